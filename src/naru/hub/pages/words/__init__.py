"""What pages say, in English and Korean: one table from key to both, and how each language writes numbers, sizes and times.

A text may hold `{name}` places; where it counts `{n}` things, English has two forms with a `|` between them. Pure.
"""

from __future__ import annotations

import string
from datetime import UTC, datetime
from typing import Any

from naru.hub.pages.words import accounts, administration, common, images, outside, problems, settings
from naru.hub.pages.words.shapes import Shapes

LANGUAGES = ("en", "ko")
WORDS: dict[str, tuple[str, str]] = {
    key: texts
    for subject in (common, images, settings, accounts, administration, outside)
    for key, texts in subject.WORDS.items()
}
_SAID = Shapes(problems.TEXTS, problems.RESULTS, problems.PHRASES)
_DEEP = 3  # texts in texts
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_DAY_S = 86400
_SPANS = ((365 * _DAY_S, "years"), (30 * _DAY_S, "months"), (_DAY_S, "days"), (3600, "hours"), (60, "minutes"))
_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")
_BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iOS"),
    ("iPad", "iOS"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)


def choose(wanted: str, accepted: str) -> Language:
    """The language that somebody chose, or that their browser would rather have (RFC 9110, 12.5.4)."""
    if wanted in LANGUAGES:
        return Language(wanted)
    ranked: list[tuple[float, int, str]] = []
    for at, part in enumerate(accepted.split(",")[:20]):
        name, _, rest = part.strip().partition(";")
        code = name.lower().partition("-")[0]
        if code in LANGUAGES:
            ranked.append((-_quality(rest), at, code))
    best = min(ranked, default=None)
    return Language(best[2] if best and best[0] < 0 else "en")


def _quality(text: str) -> float:
    try:
        return float(text.strip().removeprefix("q=")) if text.strip() else 1.0
    except ValueError:
        return 0.0


class Language:
    __slots__ = ("_at", "code")

    def __init__(self, code: str) -> None:
        self.code = code
        self._at = LANGUAGES.index(code)

    def __call__(self, key: str, **values: Any) -> str:
        """Raises KeyError for a key that there is not, or a value that the text wants."""
        text = WORDS[key][self._at]
        count = values.get("n")
        if count is not None and "|" in text:
            one, many = text.split("|")
            text = one if count == 1 else many
        shown = {name: self.number(value) if isinstance(value, int) else value for name, value in values.items()}
        return text.format(**shown) if values else text

    def said(self, text: str, deep: int = _DEEP) -> str:
        """What a service has said, as far as it is known in this language; else as it was."""
        found = _SAID.find(text) if self.code == "ko" and deep else None
        if found is None:
            return text
        korean, parts = found
        return korean.format(*(_Part(part, self, deep - 1) for part in parts))

    def knows(self, key: str) -> bool:
        return key in WORDS

    def number(self, value: float) -> str:
        return f"{value:,}"

    def count(self, value: int) -> str:
        """Short: 1,234 is 1.2K."""
        for size, unit in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
            if value >= size:
                return f"{value / size:.1f}".removesuffix(".0") + unit
        return str(value)

    def size(self, size_bytes: int) -> str:
        value, at = float(size_bytes), 0
        while value >= 999.5 and at < len(_UNITS) - 1:
            value, at = value / 1000, at + 1
        return f"{value:.{0 if at == 0 or value >= 99.95 else 1}f} {_UNITS[at]}"

    def date(self, at_s: float) -> str:
        at = datetime.fromtimestamp(at_s, UTC)
        return (
            f"{at.year}년 {at.month}월 {at.day}일"
            if self.code == "ko"
            else f"{at.day} {_MONTHS[at.month - 1]} {at.year}"
        )

    def day(self, day: int) -> str:
        return self.date(day * _DAY_S)

    def moment(self, at_s: float) -> str:
        return f"{self.date(at_s)} {datetime.fromtimestamp(at_s, UTC):%H:%M} UTC"

    def iso(self, at_s: float) -> str:
        return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def ago(self, at_s: float, now_s: float) -> str:
        passed = int(now_s - at_s)
        if passed < 0:
            return self.date(at_s)
        for seconds, unit in _SPANS:
            if passed >= seconds:
                return self(f"ago.{unit}", n=passed // seconds)
        return self("ago.now")

    def kind(self, artifact_type: str) -> str:
        """What sort of thing an artifact is, as people call it."""
        for beginning, key in images.KINDS:
            if artifact_type.startswith(beginning):
                return self(key)
        return artifact_type or self("kind.other")

    def browser(self, agent: str) -> str:
        """Of a User-Agent: as much as tells one's own devices apart."""
        name = next((name for sign, name in _BROWSERS if sign in agent), "")
        system = next((name for sign, name in _SYSTEMS if sign in agent), "")
        return " · ".join(filter(None, (name, system))) or self("browser.unknown")


class _Part:
    """What stands in a place of a text; how it is to be said comes after the place's colon."""

    __slots__ = ("_deep", "_language", "_text")

    def __init__(self, text: str, language: Language, deep: int) -> None:
        self._text = text
        self._language = language
        self._deep = deep

    def __format__(self, how: str) -> str:
        if how == "said":
            return self._language.said(self._text, self._deep)
        key = f"{how}.{self._text}"
        return self._language(key) if how and key in WORDS else self._text


def places(text: str) -> set[str]:
    """The names of a text's places."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}
