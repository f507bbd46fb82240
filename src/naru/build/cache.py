"""The build cache: steps that were done before, found by what went into them, and an answer to "why not this one?".

Owns the table build_cache(key, parent, chain_id, record, created_ns, used_ns). A step's key is of its parent (the would-be
image it starts from, never merely a name) and of its named inputs: the instruction, build arguments, the digest of each
file. The inputs are kept with the result, so a miss can name the first one that differs. Only our own results are
candidates: a pulled image never is (moby CVE-2024-24557).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass

from naru.oci.digest import Digest, chain_id
from naru.oci.image import Descriptor, Json, dump_json
from naru.store.db import Database

_VERSION = 1
_INPUT_LIMIT = 4096  # more files than this are remembered by folder
_CANDIDATES = 8


@dataclass(frozen=True, slots=True)
class Record:
    """What a step was given and what came of it. `layer` and `diff_id` are "" for a step that made no layer."""

    inputs: Mapping[str, str]
    created: str
    created_by: str
    base: str = ""  # the name in FROM, of the first step of a stage
    layer: Descriptor | None = None
    diff_id: str = ""

    def to_json(self) -> str:
        document = asdict(self) | {"layer": self.layer.to_json() if self.layer else None}
        return dump_json(document).decode()

    @classmethod
    def parse(cls, text: str) -> Record:
        document: Json = json.loads(text)
        layer = document.pop("layer")
        return cls(**document, layer=Descriptor.parse(layer, "build cache") if layer else None)


@dataclass(frozen=True, slots=True)
class CacheRow:
    """A result as `system df` lists it."""

    key: str
    description: str
    size_bytes: int
    created_ns: int
    used_ns: int


class Cache:
    """`now_ns` is the clock. Calls are short database accesses."""

    def __init__(self, db: Database, now_ns: Callable[[], int]) -> None:
        self._db = db
        self._now_ns = now_ns

    def find(self, parent: str, inputs: Mapping[str, str], is_whole: Callable[[Record], bool]) -> Record | None:
        """The result of this very step, if it is known and still there (`is_whole`). Marks it as used."""
        key = _key(parent, folded(inputs))
        row = self._db.row("SELECT record FROM build_cache WHERE key = ?", key)
        if row is None:
            return None
        record = Record.parse(row[0])
        if not is_whole(record):
            self._db.write("DELETE FROM build_cache WHERE key = ?", key)
            return None
        self._db.write("UPDATE build_cache SET used_ns = ? WHERE key = ?", self._now_ns(), key)
        return record

    def save(self, parent: str, record: Record, diff_ids: tuple[Digest, ...]) -> None:
        """Remember a result, in place of an older one of the same inputs."""
        inputs = folded(record.inputs)
        record = Record(inputs, record.created, record.created_by, record.base, record.layer, record.diff_id)
        now = self._now_ns()
        self._db.write(
            "INSERT OR REPLACE INTO build_cache (key, parent, chain_id, record, created_ns, used_ns) VALUES (?, ?, ?, ?, ?, ?)",
            _key(parent, inputs), parent, chain_id(diff_ids), record.to_json(), now, now,
        )  # fmt: skip

    def explain(self, parent: str, inputs: Mapping[str, str], base: str = "") -> str:
        """Why `find` found nothing: what differs from the nearest step done before, in a few words.

        `base` is the name in FROM if this is the first step of a stage.
        """
        wanted = folded(inputs)
        nearest = self._nearest("parent = ?", parent, wanted)
        if nearest is not None:
            return "; ".join(_differences(nearest.inputs, wanted)) or "its result is no longer in the store"
        before = self._nearest(
            "json_extract(record, '$.inputs.instruction') = ?", wanted.get("instruction", ""), wanted
        )
        if before is None:
            return "never built before"
        if base and before.base == base:
            return f"base image {base} changed"
        if base and before.base:
            return f"base image changed from {before.base} to {base}"
        return "an earlier step changed"

    def _nearest(self, condition: str, value: str, wanted: Mapping[str, str]) -> Record | None:
        rows = self._db.rows(
            f"SELECT record FROM build_cache WHERE {condition} ORDER BY used_ns DESC LIMIT {_CANDIDATES}", value
        )
        records = [Record.parse(text) for (text,) in rows]
        return max(records, key=lambda record: _likeness(record.inputs, wanted), default=None)

    def rows(self) -> list[CacheRow]:
        """Every result, the last used first."""
        rows = self._db.rows("SELECT key, record, created_ns, used_ns FROM build_cache ORDER BY used_ns DESC")
        out = []
        for key, text, created_ns, used_ns in rows:
            record = Record.parse(text)
            out.append(CacheRow(key, record.created_by, record.layer.size if record.layer else 0, created_ns, used_ns))
        return out

    def blobs(self) -> Iterator[Digest]:
        """The layers of all results, for the collection of garbage to leave alone."""
        for (digest,) in self._db.rows("SELECT json_extract(record, '$.layer.digest') FROM build_cache"):
            if digest is not None:
                yield Digest(digest)

    def prune(self, unused_since_ns: int | None = None) -> int:
        """Forget all results, or those not used since then; returns how many. Their blobs become garbage."""
        if unused_since_ns is None:
            return self._db.write("DELETE FROM build_cache")
        return self._db.write("DELETE FROM build_cache WHERE used_ns < ?", unused_since_ns)


def _key(parent: str, inputs: Mapping[str, str]) -> str:
    return Digest.of(dump_json([_VERSION, parent, sorted(inputs.items())]))


def folded(inputs: Mapping[str, str]) -> dict[str, str]:
    """The inputs with files joined into their folders, deepest first, until there are few enough to keep."""
    out = dict(inputs)
    while len(out) > _INPUT_LIMIT:
        files = [name for name in out if name.startswith("file ")]
        depth = max((name.count("/") for name in files), default=0)
        deepest = [name for name in files if name.count("/") == depth]
        if not deepest:
            break
        groups: dict[str, list[str]] = {}
        for name in sorted(deepest):
            groups.setdefault(name.rpartition("/")[0] if depth else "file .", []).append(f"{name} {out.pop(name)}")
        for folder, members in groups.items():
            digest = Digest.of("\0".join([out.get(folder, ""), *members]).encode("utf-8", "surrogateescape")).hex
            out[folder] = digest
        if not depth:
            break
    return out


def _likeness(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[bool, int, int]:
    same = sum(1 for name, value in new.items() if old.get(name) == value)
    return old.get("instruction") == new.get("instruction"), len(old.keys() & new.keys()), same


def _differences(old: Mapping[str, str], new: Mapping[str, str], limit: int = 3) -> list[str]:
    if old.get("instruction") != new.get("instruction"):
        return [f"instruction changed, from: {old.get('instruction', '')}"]
    out = [f"{name} added" for name in new if name not in old]
    out += [f"{name} removed" for name in old if name not in new]
    out += [f"{name} changed" for name, value in new.items() if name in old and old[name] != value]
    return out if len(out) <= limit else [*out[:limit], f"and {len(out) - limit} more"]
