"""Templates to HTML: Jinja2, which no other file imports, with everything escaped and nothing undefined."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
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
        self._environment.filters["short"] = short
        self._environment.filters["pretty"] = pretty

    def render(self, name: str, language: Language, **values: Any) -> bytes:
        """Half characters, which JSON of strangers may hold, become question marks."""
        text = self._environment.get_template(name).render(t=language, lang=language.code, **values)
        return text.encode("utf-8", "replace")


def safe(html: str) -> Markup:
    """HTML that `readme` has made, and nothing else."""
    return Markup(html)


def short(digest: str) -> str:
    """The first twelve digits."""
    return digest.partition(":")[2][:12] or digest[:12]


def pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
