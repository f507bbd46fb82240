"""Templates to HTML: Jinja2, which no other file imports, with everything escaped and nothing undefined."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import jinja2
from markupsafe import Markup

from naru.hub.pages import charts
from naru.hub.pages.words import Language

FOLDER = os.path.join(os.path.dirname(__file__), "templates")


class Templates:
    """Each is compiled when it is first asked for, and then kept."""

    def __init__(self, asset: Callable[[str], str], folder: str = FOLDER) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(folder), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
            lstrip_blocks=True, auto_reload=False, cache_size=-1,
        )  # fmt: skip
        self._environment.globals["asset"] = asset
        self._environment.globals["charts"] = charts
        self._environment.filters.update(short=short, pretty=pretty, mention=mention, details=details)

    def render(self, template: str, language: Language, /, **values: Any) -> bytes:
        """Half characters, which JSON of strangers may hold, become question marks."""
        text = self._environment.get_template(template).render(t=language, lang=language.code, **values)
        return text.encode("utf-8", "replace")


def safe(html: str) -> Markup:
    """HTML that `readme` has made, and nothing else."""
    return Markup(html)


def short(digest: str) -> str:
    """The first twelve digits."""
    return digest.partition(":")[2][:12] or digest[:12]


def mention(text: str) -> str:
    """A digest by its first digits, anything else as it is."""
    return f"sha256:{short(text)}" if text.startswith("sha256:") else text


def details(told: dict[str, Any]) -> list[tuple[str, str]]:
    """What an audit entry tells besides, short enough for a line."""
    found = []
    for name, value in told.items():
        if value in (None, "", []) or name == "media_type":
            continue
        if name.endswith("_at") and isinstance(value, int | float):
            value = datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M")
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        found.append((name, mention(text)[:300]))
    return found


def pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
