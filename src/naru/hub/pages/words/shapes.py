"""Finding a text by its shape: keys are as for `str.format`, and their places, `{}`, match anything. Pure.

Of several keys that fit, the one that says most itself is it. The places are found from the left, each up to the next words of the key, so
the time is as the text's length, whatever strangers have had put in.
"""

from __future__ import annotations

import string
from collections.abc import Mapping


class Shapes:
    def __init__(self, *tables: Mapping[str, str]) -> None:
        known = [(literals(key), said) for table in tables for key, said in table.items()]
        self._known = sorted(known, key=lambda one: -sum(map(len, one[0])))

    def find(self, text: str) -> tuple[str, list[str]] | None:
        """What is said of the key that fits, and what stood in the key's places."""
        for words, said in self._known:
            found = _between(words, text)
            if found is not None:
                return said, found
        return None


def literals(key: str) -> list[str]:
    """What stands before, between and after a key's places: one more than there are places."""
    found = [""]
    for text, place, _, _ in string.Formatter().parse(key):
        found[-1] += text
        if place is not None:
            found.append("")
    return found


def _between(words: list[str], text: str) -> list[str] | None:
    first, *others = words
    if not others:
        return [] if text == first else None
    if not text.startswith(first):
        return None
    *middle, last = others
    at, end = len(first), len(text) - len(last)
    if not text.endswith(last) or at > end:
        return None
    found = []
    for word in middle:
        to = text.find(word, at, end)
        if to < 0:
            return None
        found.append(text[at:to])
        at = to + len(word)
    return [*found, text[at:end]]
