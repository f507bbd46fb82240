"""Wildcard patterns in time linear in the text: a hostile pattern can be refused by nobody and must not be able to hang us.

Owns the automaton that shell patterns (`${v#p}`), COPY's wildcards (Go's filepath.Match) and .dockerignore share. A
pattern is a row of pieces; the set of places reached in it is one integer, a bit per piece. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from naru.errors import InvalidArgument

Accepts = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Piece:
    """One character that `accepts` says yes to; `repeat`: any number of them, none included. `skip` > 0: this piece and
    the skip - 1 after it may be left out together."""

    accepts: Accepts
    repeat: bool = False
    skip: int = 0


def anything(_: str) -> bool:
    return True


def in_segment(character: str) -> bool:
    return character != "/"


def literal(wanted: str) -> Accepts:
    return lambda character: character == wanted


class Glob:
    """A compiled row of pieces."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = tuple(pieces)
        self._accept = 1 << len(self._pieces)
        self._repeat = sum(1 << i for i, piece in enumerate(self._pieces) if piece.repeat)
        self._jumps: dict[int, int] = {}  # how far → from which pieces one may go on without a character
        for i, piece in enumerate(self._pieces):
            for distance in {1 if piece.repeat else 0, piece.skip} - {0}:
                self._jumps[distance] = self._jumps.get(distance, 0) | 1 << i
        self._step: dict[str, int] = {}
        self._start = self._close(1)

    def _close(self, places: int) -> int:
        while True:
            more = places
            for distance, sources in self._jumps.items():
                more |= (places & sources) << distance
            if more == places:
                return places
            places = more

    def _advance(self, places: int, character: str) -> int:
        accepting = self._step.get(character)
        if accepting is None:
            accepting = sum(1 << i for i, piece in enumerate(self._pieces) if piece.accepts(character))
            self._step[character] = accepting
        places &= accepting
        return self._close((places & self._repeat) | ((places & ~self._repeat) << 1))

    def prefixes(self, text: str) -> Iterator[int]:
        """Every n, rising, for which the whole pattern matches text[:n]."""
        places = self._start
        if places & self._accept:
            yield 0
        for n, character in enumerate(text, 1):
            places = self._advance(places, character)
            if not places:
                return
            if places & self._accept:
                yield n

    def matches(self, text: str) -> bool:
        places = self._start
        for character in text:
            places = self._advance(places, character)
            if not places:
                return False
        return bool(places & self._accept)


def character_class(body: str) -> tuple[Accepts, int]:
    """Read a class from just after its `[`: what it accepts, and how many characters it took with its `]`.

    Raises InvalidArgument where Go's filepath.Match says ErrBadPattern.
    """
    bad = InvalidArgument("syntax error in pattern")
    i, ranges = 0, list[tuple[str, str]]()
    negated = body.startswith("^")
    i += negated

    def one() -> str:
        nonlocal i
        if i < len(body) and body[i] == "\\":
            i += 1
        elif i >= len(body) or body[i] in "-]":
            raise bad
        if i >= len(body):
            raise bad
        i += 1
        return body[i - 1]

    while True:
        if i < len(body) and body[i] == "]" and ranges:
            break
        low = high = one()
        if i < len(body) and body[i] == "-":
            i += 1
            high = one()
        ranges.append((low, high))
    return lambda character: any(low <= character <= high for low, high in ranges) != negated, i + 1


_WILD = re.compile(r"[*?\[]")


def has_wildcards(pattern: str) -> bool:
    """Whether a COPY source is a pattern rather than a path (an escaped wildcard is none)."""
    return bool(_WILD.search(re.sub(r"\\.", "", pattern, flags=re.DOTALL)))


def path_glob(pattern: str, *, deep: bool = False) -> Glob:
    """Go's filepath.Match: `*` and `?` stay inside a path segment, `[a-z]`, `[^a]`, `\\x`; with `deep`, also .dockerignore's
    `**`, any number of segments. Raises InvalidArgument."""
    pieces: list[Piece] = []
    i = 0
    while i < len(pattern):
        character = pattern[i]
        i += 1
        if deep and character == "*" and pattern[i : i + 1] == "*":
            i += 1
            i += pattern[i : i + 1] == "/"
            if i == len(pattern):
                pieces.append(Piece(anything, repeat=True))
            else:  # any number of whole directories, none included
                pieces += [Piece(anything, repeat=True, skip=2), Piece(literal("/"))]
        elif character == "*":
            pieces.append(Piece(in_segment, repeat=True))
        elif character == "?":
            pieces.append(Piece(in_segment))
        elif character == "[":
            accepts, taken = character_class(pattern[i:])
            pieces.append(Piece(accepts))
            i += taken
        elif character == "\\":
            if i == len(pattern):
                raise InvalidArgument("syntax error in pattern")
            pieces.append(Piece(literal(pattern[i])))
            i += 1
        else:
            pieces.append(Piece(literal(character)))
    return Glob(pieces)
