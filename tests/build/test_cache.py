from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from naru.build.cache import Cache, Record, folded
from naru.oci.digest import Digest
from naru.oci.image import Descriptor
from naru.store.db import Database

BLOB, DIFF = Digest.of(b"blob"), Digest.of(b"diff")


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    db = Database(str(tmp_path / "naru.db"))
    clock = iter(range(1, 1 << 30))
    yield Cache(db, lambda: next(clock))
    db.close()


def _save(cache: Cache, parent: str, inputs: dict[str, str], base: str = "", layer: bool = False) -> Record:
    descriptor = Descriptor("tar", BLOB, 3) if layer else None
    record = Record(inputs, "2026-01-01T00:00:00Z", "by", base, descriptor, str(DIFF) if layer else "")
    cache.save(parent, record, (DIFF,) if layer else ())
    return record


def test_found_by_parent_and_all_inputs_only(cache: Cache) -> None:
    inputs = {"instruction": "COPY a b", "file a": "1"}
    record = _save(cache, "p", inputs, layer=True)
    assert cache.find("p", dict(reversed(inputs.items())), lambda _: True) == record
    for parent, other in (("q", inputs), ("p", inputs | {"file a": "2"}), ("p", inputs | {"x": "1"}), ("p", {})):
        assert cache.find(parent, other, lambda _: True) is None


def test_a_result_that_is_gone_is_forgotten(cache: Cache) -> None:
    _save(cache, "p", {"instruction": "RUN a"})
    assert cache.find("p", {"instruction": "RUN a"}, lambda _: False) is None
    assert cache.find("p", {"instruction": "RUN a"}, lambda _: True) is None


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"file app/main.py": "2"}, "file app/main.py changed"),
        ({"build-arg X": "2"}, "build-arg X changed"),
        ({"file new": "1"}, "file new added"),
        ({"file app/main.py": None}, "file app/main.py removed"),
        ({"network": "host"}, "network changed"),
        ({"instruction": "RUN b"}, "instruction changed, from: RUN a"),
        ({f"file {n}": "1" for n in range(5)}, "file 0 added; file 1 added; file 2 added; and 2 more"),
    ],
)
def test_explanations(cache: Cache, changed: dict[str, str | None], why: str) -> None:
    inputs = {"instruction": "RUN a", "file app/main.py": "1", "build-arg X": "1", "network": "none"}
    _save(cache, "p", {"instruction": "ENV unrelated"})
    _save(cache, "p", inputs)
    now = {name: value for name, value in (inputs | changed).items() if value is not None}
    assert cache.explain("p", now) == why


def test_explanations_of_another_parent(cache: Cache) -> None:
    inputs = {"instruction": "RUN a"}
    assert cache.explain("p", inputs, "base") == "never built before"
    _save(cache, "p", inputs, "base")
    assert cache.explain("q", inputs, "base") == "base image base changed"
    assert cache.explain("q", inputs, "other") == "base image changed from base to other"
    assert cache.explain("q", inputs) == "an earlier step changed"
    assert cache.explain("p", inputs) == "its result is no longer in the store"


def test_the_nearest_is_compared(cache: Cache) -> None:
    _save(cache, "p", {"instruction": "COPY . .", "file a": "1", "file b": "1", "file c": "1"})
    _save(cache, "p", {"instruction": "COPY . .", "file a": "2", "file b": "2", "file c": "2"})
    assert (
        cache.explain("p", {"instruction": "COPY . .", "file a": "1", "file b": "1", "file c": "3"}) == "file c changed"
    )


def test_blobs_and_prune(cache: Cache) -> None:
    _save(cache, "p", {"instruction": "a"})
    _save(cache, "p", {"instruction": "b"}, layer=True)
    assert list(cache.blobs()) == [BLOB]
    assert cache.prune(unused_since_ns=1) == 0
    assert cache.prune() == 2
    assert list(cache.blobs()) == []


def test_very_many_files_are_remembered_by_folder() -> None:
    inputs = {"instruction": "COPY . ."} | {f"file a/b{n % 3}/{n}": str(n) for n in range(6000)} | {"file top": "1"}
    few = folded(inputs)
    assert set(few) == {"instruction", "file top", "file a/b0", "file a/b1", "file a/b2"}
    changed = folded(inputs | {"file a/b1/4": "other"})
    assert {name for name in few if few[name] != changed[name]} == {"file a/b1"}
    flat = folded({f"file {n}": "1" for n in range(6000)})
    assert set(flat) == {"file ."}
