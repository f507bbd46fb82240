"""COPY --chmod: octal (`0755`) or symbolic (`u=rwX,go-w`, POSIX chmod "Extended description") modes. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from naru.errors import InvalidArgument

Change = Callable[[int, bool], int]  # (permission bits, is it a directory) → permission bits

_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=][rwxXst]*)+)")
_ACTION = re.compile(r"([-+=])([rwxXst]*)")
_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o1007, "a": 0o7777}
_BITS = {"r": 0o444, "w": 0o222, "x": 0o111, "s": 0o6000, "t": 0o1000}


def is_absolute(text: str) -> bool:
    """Whether the result does not depend on the mode the file had."""
    return text.isascii() and text.isdigit()


def parse(text: str) -> Change:
    """Raises InvalidArgument in Docker's words."""
    if is_absolute(text):
        if not re.fullmatch(r"[0-7]{1,6}", text) or int(text, 8) > 0o7777:
            raise InvalidArgument(
                f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777"
            )
        fixed = int(text, 8)
        return lambda mode, is_dir: fixed
    actions: list[tuple[int, str, str]] = []
    for clause in text.split(","):
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            raise InvalidArgument(f"invalid chmod parameter: '{text}'")
        who = 0
        for letter in match[1] or "a":
            who |= _WHO[letter]
        actions += [(who, operator, letters) for operator, letters in _ACTION.findall(match[2])]

    def change(mode: int, is_dir: bool) -> int:
        for who, operator, letters in actions:
            bits = 0
            for letter in letters:
                if letter == "X":
                    bits |= 0o111 if is_dir or mode & 0o111 else 0
                else:
                    bits |= _BITS[letter]
            bits &= who
            if operator == "=":
                mode &= ~(who & (0o777 if is_dir else 0o7777))  # as GNU chmod: a directory keeps its set-ID bits
            mode = mode & ~bits if operator == "-" else mode | bits
        return mode

    return change
