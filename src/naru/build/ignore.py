""".dockerignore: which files of a context the builder must not see.

Owns the reading of the file and the matching of its patterns, strange cases included (Dockerfile reference,
".dockerignore file"): Go's filepath.Match plus `**`, the last pattern that matches decides, and a pattern that matches a
directory matches all below it. COPY --exclude uses the same. Pure.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable

from naru.build.glob import path_glob
from naru.errors import InvalidArgument


def read(data: bytes) -> list[str]:
    """The patterns of a .dockerignore file, cleaned; `!` in front means: not this."""
    patterns: list[str] = []
    for line in data.removeprefix(b"\xef\xbb\xbf").decode(errors="replace").split("\n"):
        if line.startswith("#"):
            continue
        pattern = line.strip()
        if not pattern:
            continue
        negated = pattern.startswith("!")
        pattern = pattern[negated:].strip()
        if pattern:
            pattern = _clean(pattern)
            if len(pattern) > 1:
                pattern = pattern.removeprefix("/")
        patterns.append("!" * negated + pattern)
    return patterns


def _clean(path: str) -> str:
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


class Ignore:
    """Patterns ready to match. Raises InvalidArgument for a malformed one."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._rules: list[tuple[bool, _Rule]] = []
        for raw in patterns:
            pattern = raw.strip()
            if not pattern:
                continue
            negated = pattern.startswith("!")
            if pattern == "!":
                raise InvalidArgument('illegal exclusion pattern: "!"')
            cleaned = _clean(pattern)
            self._rules.append((negated, _Rule(cleaned[negated:])))

    @property
    def may_reinclude(self) -> bool:
        """Whether something below an excluded directory may have to stay."""
        return any(negated for negated, _ in self._rules)

    def excludes(self, path: str) -> bool:
        """Whether this path (relative, no leading `/`) is to be left out, by itself or with a directory above it."""
        excluded = False
        for negated, rule in self._rules:
            if negated == excluded and rule.covers(path):
                excluded = not negated
        return excluded


class _Rule:
    def __init__(self, pattern: str) -> None:
        self._matches = _compile(pattern)
        self._directories: dict[str, bool] = {"": False}

    def covers(self, path: str) -> bool:
        """Whether the pattern matches path or a directory above it."""
        return self._matches(path) or self._covers_directory(path.rpartition("/")[0])

    def _covers_directory(self, path: str) -> bool:
        pending: list[str] = []
        while (known := self._directories.get(path)) is None:
            pending.append(path)
            path = path.rpartition("/")[0]
        for directory in reversed(pending):
            known = known or self._matches(directory)
            self._directories[directory] = known
        return known


def _compile(pattern: str) -> Callable[[str], bool]:
    """The cheapest test that decides as Docker's does. A pattern that is `**` and plain text behind it is a plain
    suffix there, slash or not: `**foo` also matches `xfoo`. Raises InvalidArgument for what filepath.Match would refuse."""
    wild = set("*?[]\\")
    if not wild & set(pattern):
        return lambda path: path == pattern
    if pattern.startswith("**") and not wild & set(pattern[2:]):
        suffix = pattern[2:]
        return lambda path: path.endswith(suffix) or (suffix.startswith("/") and path == suffix[1:])
    if pattern.endswith("**") and not wild & set(pattern[:-2]):
        prefix = pattern[:-2]
        return lambda path: path.startswith(prefix)
    return path_glob(pattern, deep=True).matches
