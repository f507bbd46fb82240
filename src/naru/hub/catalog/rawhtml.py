"""The HTML that people write into Markdown: cut into tags, and the harmless ones written anew, each closed. Pure.

It is not what keeps scripts out: `readme` sanitises the page as a whole, by a real HTML parser. It keeps that parser
from being overwhelmed. HTML's rules for tags that are never closed make it repeat them (with n open `<b>`s each new
paragraph gets n of its own) and look through all that are open for each one that comes: 10 KB become 4 MB, and 500 KB
of `<div>` take minutes (measured). After this, every element is closed, inside the Markdown element in which it was
opened, and at most 20 are open at a time.
"""

from __future__ import annotations

import re
from html import escape, unescape

from naru.errors import InvalidArgument

# HTML Living Standard §4: elements that only say what their text is, or how it stands; none that load, run or submit.
_EVERYWHERE = frozenset({"id", "title"})
TAGS: dict[str, frozenset[str]] = {
    **dict.fromkeys(
        "b big blockquote br caption cite code dd del dfn dl dt em hr i ins kbd li mark ol pre q s samp small span strike"
        " strong sub summary sup table tbody tfoot thead tr tt u ul var wbr".split(),
        _EVERYWHERE,
    ),
    **dict.fromkeys("center div h1 h2 h3 h4 h5 h6 p".split(), _EVERYWHERE | {"align"}),
    **dict.fromkeys("td th".split(), _EVERYWHERE | {"align", "colspan", "rowspan"}),
    "a": _EVERYWHERE | {"href", "name"},
    "abbr": _EVERYWHERE,
    "code": _EVERYWHERE | {"class"},
    "details": _EVERYWHERE | {"open"},
    "img": _EVERYWHERE | {"align", "alt", "height", "src", "width"},
    "ol": _EVERYWHERE | {"start"},
}
_VOID = frozenset({"br", "hr", "img", "wbr"})
# What is between these is not text.
_HIDING = frozenset({"iframe", "math", "noscript", "object", "script", "style", "svg", "template", "textarea", "title"})
_DEPTH = 20
_MAX_PIECES = 40_000

_PIECE = re.compile(
    r"""<!--.*?(?:-->|\Z)                             # comment
      | <[?!].*?(?:>|\Z)                              # instruction, declaration, CDATA
      | <(?P<end>/?)(?P<name>[a-zA-Z][a-zA-Z0-9-]*+)(?P<rest>(?:[^<>"']|"[^"]*"|'[^']*')*+)>
      | (?P<text>[^<]+|<)""",
    re.DOTALL | re.VERBOSE,
)
_ATTRIBUTE = re.compile(r"""([a-zA-Z-]++)(?:\s*+=\s*+("[^"]*"|'[^']*'|[^\s"'<>=`]+))?""")


class RawHtml:
    """What is open at the moment: raw elements, and between them marks for the Markdown elements that they stand in."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self._depth = 0
        self._pieces = 0

    def enter(self) -> None:
        """A Markdown element begins."""
        self._open.append("")

    def leave(self) -> str:
        """It ends: the end tags of what was opened in it."""
        return self._closed_to("")

    def rewritten(self, source: str) -> str:
        """HTML for HTML, of tags and text as they come; what is left open closes with the Markdown element around it.

        Raises InvalidArgument when a README has had 40 000 pieces of it.
        """
        out: list[str] = []
        hiding = ""
        for match in _PIECE.finditer(source):
            self._pieces += 1
            if self._pieces > _MAX_PIECES:
                raise InvalidArgument("README: too much HTML")
            name, text = (match["name"] or "").lower(), match["text"]
            if hiding:
                hiding = "" if match["end"] and name == hiding else hiding
            elif text:
                out.append(escape(unescape(text), quote=False))
            elif name in _HIDING and not match["end"]:
                hiding = name
            elif name in TAGS:
                out.append(self._end(name) if match["end"] else self._start(name, match["rest"]))
        return "".join(out)

    def _start(self, name: str, rest: str) -> str:
        if name not in _VOID:
            if self._depth == _DEPTH:
                return ""
            self._depth += 1
            self._open.append(name)
        attributes = {
            key.lower(): unescape(value[1:-1] if value[:1] in ("'", '"') else value)
            for key, value in _ATTRIBUTE.findall(rest)
            if key.lower() in TAGS[name]
        }
        written = "".join(f' {key}="{escape(value)}"' for key, value in attributes.items())
        return f"<{name}{written}>"

    def _end(self, name: str) -> str:
        for opened in reversed(self._open):
            if opened == name:
                return self._closed_to(name)
            if not opened:
                break
        return ""

    def _closed_to(self, last: str) -> str:
        """Close what is open, up to and including the last of this name."""
        out: list[str] = []
        while True:
            name = self._open.pop()
            if name:
                self._depth -= 1
                out.append(f"</{name}>")
            if name == last:
                return "".join(out)
