"""A repository's README: Markdown from anybody, to HTML that is safe inside our pages.

CommonMark 0.31 with GitHub's tables, strikethrough, task lists and anchors of headings. Three walls, each enough for
most: our own reading of raw HTML (`rawhtml`), nh3's allow-list of elements, and the rules below for every attribute's
value. markdown-it-py and nh3 are imported by no other file.

It takes 25 ms as a rule and two seconds at worst, in pure Python: render when a README is saved, and keep the HTML.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from naru.errors import InvalidArgument
from naru.hub.catalog.rawhtml import TAGS, RawHtml

MAX_BYTES = 512 << 10
ID_PREFIX = "readme-"  # no id or name of a README's can take the place of one of the page's (DOM clobbering)

# Of the parser, some 30 µs each. 500 KB of links with a line of text to each take 24 000 and 36 000.
_MAX_STEPS = {"StateBlock": 30_000, "StateInline": 50_000}
_NESTING = 40
_LINK_ROOM_BYTES = 100_000

_SLUG_LIMIT = 100
_NOT_IN_SLUG = re.compile(r"[^\w\- ]")
_TASK = re.compile(r"\[([ xX])\] ")
_ALIGNED = re.compile(r"text-align:(left|center|right)")
_LINK = re.compile(r"(?:https?://|mailto:)\S+", re.IGNORECASE)
_IMAGE = re.compile(r"https://\S+", re.IGNORECASE)
_LANGUAGE = re.compile(r"language-[\w+#.-]{1,40}")
_ALIGN = re.compile(r"left|center|right", re.IGNORECASE)
_LENGTH = re.compile(r"[0-9]{1,4}%?")
_NUMBER = re.compile(r"[0-9]{1,3}")


def _count(state: StateBlock | StateInline, *_: Any) -> bool:
    """A rule that comes before all others wherever the parser tries them, and never applies. Raises InvalidArgument."""
    kind = type(state).__name__
    state.env[kind] = taken = state.env.get(kind, 0) + 1
    if taken > _MAX_STEPS[kind]:
        raise InvalidArgument("README: too much markup")
    return False


_PARSER = MarkdownIt("commonmark", {"html": True, "maxNesting": _NESTING}).enable(["table", "strikethrough"])
_PARSER.block.ruler.before("table", "count", _count, {"alt": ["paragraph", "reference", "blockquote", "list"]})
_PARSER.inline.ruler.before("text", "count", _count)


def render(markdown: str) -> str:
    """HTML for this README. Raises InvalidArgument for one that is too long, or would take too long.

    Links lead to http, https, mailto or a heading of the same README; images come by https; others, relative ones among
    them, lose their address. Ids begin with `ID_PREFIX`.
    """
    size_bytes = _check(markdown)
    tokens = _PARSER.parse(markdown)
    _check_links(tokens, size_bytes)
    _anchor(tokens)
    _mark_tasks(tokens)
    _align(tokens)
    return _CLEANER.clean(_PARSER.renderer.render(list(_balanced(tokens, RawHtml())), _PARSER.options, {}))


def _check(markdown: str) -> int:
    try:
        size_bytes = len(markdown.encode())
    except UnicodeEncodeError as error:
        raise InvalidArgument(f"README: character {error.start + 1} is not Unicode text") from error
    if size_bytes > MAX_BYTES:
        raise InvalidArgument(f"README: {size_bytes} bytes, more than {MAX_BYTES}")
    return size_bytes


def _check_links(tokens: Sequence[Token], size_bytes: int) -> None:
    """A link's address and title may be written once and used ten thousand times: limit what they come to, as cmark
    does."""
    room = max(size_bytes, _LINK_ROOM_BYTES)
    for token in tokens:
        for child in token.children or ():
            room -= sum(len(str(child.attrs.get(name, ""))) for name in ("href", "src", "title"))
    if room < 0:
        raise InvalidArgument("README: its links, written out, are longer than itself")


def _anchor(tokens: Sequence[Token]) -> None:
    """Headings get the ids that GitHub gives them; the prefix comes with all others' in `_kept`."""
    taken: dict[str, int] = {}
    for heading, inline in pairwise(tokens):
        if heading.type == "heading_open":
            text = "".join(t.content for t in inline.children or () if t.type in ("text", "code_inline"))
            base = slug = _slug(text)
            while slug in taken:
                taken[base] += 1
                slug = f"{base}-{taken[base]}"
            taken[slug] = 0
            heading.attrSet("id", slug)


def _slug(text: str) -> str:
    words = _NOT_IN_SLUG.sub("", unicodedata.normalize("NFC", text[:_SLUG_LIMIT]).strip().lower())
    return words.replace(" ", "-") or "section"


def _mark_tasks(tokens: Sequence[Token]) -> None:
    """`- [x] done`: as a sign, for a check box that nobody can check says no more."""
    for item, inline in zip(tokens, tokens[2:], strict=False):
        if item.type == "list_item_open" and inline.type == "inline" and inline.children:
            text = inline.children[0]
            if text.type == "text" and (task := _TASK.match(text.content)):
                text.content = ("☐ " if task[1] == " " else "☑ ") + text.content[task.end() :]


def _align(tokens: Sequence[Token]) -> None:
    """Table cells say by an attribute how they stand; `style` is for nobody."""
    for token in tokens:
        if aligned := _ALIGNED.fullmatch(str(token.attrs.pop("style", ""))):
            token.attrSet("align", aligned[1])


def _balanced(tokens: Sequence[Token], raw: RawHtml) -> Iterator[Token]:
    """The same with raw HTML rewritten, and closed where the Markdown around it ends."""
    raw.enter()
    for token in tokens:
        if token.type in ("html_block", "html_inline"):
            token.content = raw.rewritten(token.content)
        elif (
            token.children and token.type == "inline"
        ):  # an image has some too: its description, of which the text is shown
            token.children = list(_balanced(token.children, raw))
        elif token.nesting == 1:
            raw.enter()
        elif token.nesting == -1:
            yield from _html(raw.leave())
        yield token
    yield from _html(raw.leave())


def _html(text: str) -> Iterator[Token]:
    if text:
        yield Token("html_inline", "", 0, content=text)


def _matching(pattern: re.Pattern[str]) -> Callable[[str], str | None]:
    return lambda value: value if pattern.fullmatch(value) else None


def _link(value: str) -> str | None:
    if value.startswith("#") and len(value) > 1:
        return f"#{ID_PREFIX}{value[1:]}"
    return value if _LINK.fullmatch(value) else None


def _own(value: str) -> str | None:
    return ID_PREFIX + value if value and not any(map(str.isspace, value)) else None


# attribute → the value to keep it with, or None. Values come with their entities and line breaks already resolved.
_VALUES: dict[str, Callable[[str], str | None]] = {
    "align": _matching(_ALIGN),
    "class": _matching(_LANGUAGE),
    "colspan": _matching(_NUMBER),
    "height": _matching(_LENGTH),
    "href": _link,
    "id": _own,
    "name": _own,
    "rowspan": _matching(_NUMBER),
    "src": _matching(_IMAGE),
    "start": _matching(_LENGTH),
    "width": _matching(_LENGTH),
}


def _kept(tag: str, attribute: str, value: str) -> str | None:
    rule = _VALUES.get(attribute)
    return value if rule is None else rule(value)


_CLEANER = nh3.Cleaner(
    tags=set(TAGS),
    attributes={tag: set(attributes) for tag, attributes in TAGS.items()},
    attribute_filter=_kept,
    link_rel="nofollow noopener noreferrer ugc",
    url_schemes={"http", "https", "mailto"},
)
