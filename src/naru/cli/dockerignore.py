"""`.dockerignore`: which paths of a build context stay here (docs.docker.com/build/concepts/context, "Syntax").

Patterns are matched against the path and each of its parents; the last one that matches decides; `!` takes back. Pure.
"""

from __future__ import annotations

import posixpath
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Pattern:
    __slots__ = ("back", "regex", "text")

    def __init__(self, text: str, back: bool) -> None:
        """Raises ValueError for a pattern that cannot be read."""
        self.text, self.back = text, back
        try:
            self.regex = re.compile(_regex(text))
        except re.error as error:
            raise ValueError(f"invalid pattern {text!r} in .dockerignore: {error}") from error


def _regex(pattern: str) -> str:
    out, position, end = "", 0, len(pattern)
    while position < end:
        character = pattern[position]
        position += 1
        if pattern[position - 1 : position + 1] == "**":
            position += 1
            if pattern[position : position + 1] == "/":
                position += 1
                out += "(?:.*/)?"
            else:
                out += ".*"
        elif character == "*":
            out += "[^/]*"
        elif character == "?":
            out += "[^/]"
        elif character == "[":
            close = pattern.find("]", position + 1)
            if close < 0:
                raise ValueError(f"invalid pattern {pattern!r} in .dockerignore: syntax error in pattern")
            out += "[" + pattern[position:close].replace("\\", "\\\\") + "]"
            position = close + 1
        elif character == "\\" and position < end:
            out += re.escape(pattern[position])
            position += 1
        else:
            out += re.escape(character)
    return out


def read(text: str) -> list[Pattern]:
    """The patterns of a file's text. Raises ValueError."""
    patterns = []
    for line in text.removeprefix("\ufeff").splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        back = line.startswith("!")
        body = line[1:].strip() if back else line
        if not body:
            raise ValueError('illegal exclusion pattern: "!"')
        cleaned = posixpath.normpath(body).lstrip("/")
        if cleaned:
            patterns.append(Pattern(cleaned, back))
    return patterns


class Ignore:
    """Ask `ignores` about paths with slashes, relative to the context's root. `always` are paths that never stay behind."""

    def __init__(self, patterns: Iterable[Pattern], always: Iterable[str] = ()) -> None:
        self._patterns = [*patterns, *(Pattern(re.sub(r"([*?\[\\])", r"\\\1", path), True) for path in always)]
        self._any_back = any(pattern.back for pattern in self._patterns)

    def ignores(self, path: str) -> bool:
        parents = [path]
        while "/" in path:
            path = path.rpartition("/")[0]
            parents.append(path)
        ignored = False
        for pattern in self._patterns:
            if pattern.back == ignored and any(pattern.regex.fullmatch(one) for one in parents):
                ignored = not pattern.back
        return ignored

    def may_skip(self, folder: str) -> bool:
        """True if everything below this ignored folder is ignored too."""
        if not self._any_back:
            return True
        for pattern in self._patterns:
            if pattern.back and ("*" in pattern.text.partition("/")[0] or pattern.text.startswith(f"{folder}/")):
                return False
            if pattern.back and any(sign in pattern.text for sign in "*?["):
                return False
        return True
