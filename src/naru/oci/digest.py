"""Content digests (OCI image-spec, descriptor.md "Digests") and the chain ID (config.md "Layer ChainID")."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

from naru.errors import InvalidArgument

_HEX_LENGTH = {"sha256": 64, "sha384": 96, "sha512": 128}
_GRAMMAR = re.compile(r"([a-z0-9]+):([0-9a-f]+)")


class Digest(str):
    """`algorithm:hex`, checked. A str, so it is its own JSON and its own key; build one with `parse`, `of` or `Hasher`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Raises InvalidArgument unless text is one of sha256, sha384, sha512 with exactly its number of lower-case hex digits."""
        match = _GRAMMAR.fullmatch(text)
        if match is None:
            raise InvalidArgument(f"invalid checksum digest format: {text[:200]!r}")
        algorithm, digits = match.groups()
        if algorithm not in _HEX_LENGTH:
            raise InvalidArgument(f"unsupported digest algorithm: {text[:200]!r}")
        if len(digits) != _HEX_LENGTH[algorithm]:
            raise InvalidArgument(f"invalid checksum digest length: {text[:200]!r}")
        return cls(text)

    @classmethod
    def of(cls, data: bytes, algorithm: str = "sha256") -> Digest:
        """The digest of data. Raises InvalidArgument for an algorithm that `parse` would not take."""
        hasher = Hasher(algorithm)
        hasher.update(data)
        return hasher.digest()

    @property
    def algorithm(self) -> str:
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        return self.partition(":")[2]


class Hasher:
    """A digest of bytes that arrive piece by piece; `update` releases the GIL on large pieces."""

    def __init__(self, algorithm: str = "sha256") -> None:
        if algorithm not in _HEX_LENGTH:
            raise InvalidArgument(f"unsupported digest algorithm: {algorithm!r}")
        self._algorithm = algorithm
        self._hash = hashlib.new(algorithm)
        self.update = self._hash.update

    def digest(self) -> Digest:
        return Digest(f"{self._algorithm}:{self._hash.hexdigest()}")


def chain_id(diff_ids: tuple[Digest, ...]) -> Digest | None:
    """The name of the stack of these layers, bottom first; None for no layers.

    ChainID(L0) = DiffID(L0); ChainID(L0|…|Ln) = sha256(ChainID(L0|…|Ln-1) + " " + DiffID(Ln)).
    """
    return chain_ids(diff_ids)[-1] if diff_ids else None


def chain_on(parent: Digest | None, diff_id: Digest) -> Digest:
    """The name of the stack `parent` with one more layer on top."""
    return diff_id if parent is None else Digest.of(f"{parent} {diff_id}".encode())


@lru_cache(maxsize=256)
def chain_ids(diff_ids: tuple[Digest, ...]) -> tuple[Digest, ...]:
    """The chain ID of every prefix of the stack, bottom first: one per layer."""
    chains: list[Digest] = []
    for diff_id in diff_ids:
        chains.append(chain_on(chains[-1] if chains else None, diff_id))
    return tuple(chains)
