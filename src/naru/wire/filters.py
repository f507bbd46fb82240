"""Docker's filters as values, and what it means to match one: keys are conditions, the values of a key alternatives. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from naru.errors import InvalidArgument

Filters = Mapping[str, Sequence[str]]


def check_keys(filters: Filters, known: Sequence[str]) -> None:
    """Raises InvalidArgument for a key that is not known."""
    for key in filters:
        if key not in known:
            raise InvalidArgument(f"invalid filter '{key}'")


def one_of(values: Sequence[str] | None, test: Callable[[str], bool]) -> bool:
    return not values or any(test(value) for value in values)


def name_matches(pattern: str, text: str) -> bool:
    """Docker's match: equal, a part of it, or a regular expression that is found in it."""
    if pattern in text:
        return True
    try:
        return re.search(pattern, text) is not None
    except re.error:
        return False


def has_labels(labels: Mapping[str, str], wanted: Iterable[str]) -> bool:
    """Every wanted `key` or `key=value` is there."""
    for want in wanted:
        key, equals, value = want.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    return True
