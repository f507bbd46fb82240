"""Raw HTML of a README, made into whole elements of the harmless kind; `test_readme` has it in its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naru.errors import InvalidArgument
from naru.hub.catalog.rawhtml import RawHtml


def rewritten(*sources: str) -> str:
    raw = RawHtml()
    raw.enter()
    return "".join(map(raw.rewritten, sources)) + raw.leave()


# source → what becomes of it
CASES = {
    "a &amp; b < c & &lt;d&gt;": "a &amp; b &lt; c &amp; &lt;d&gt;",
    "<B>x</b>": "<b>x</b>",
    "<b><i>x</b>y</i>": "<b><i>x</i></b>y",
    "</b>x</p>": "x",
    "<br/><hr><img src=x alt='a \"b\"'/>": '<br><hr><img src="x" alt="a &quot;b&quot;">',
    "<a HREF=x&amp;y onclick=z title>t": '<a href="x&amp;y" title="">t</a>',
    "<a href='1' href=\"2\">t": '<a href="2">t</a>',
    "<script>a<b>c</b></script>d": "d",
    "<svg><path d='x'/>t</svg>u": "u",
    "<style>never closed <b>x": "",
    "<blink>x</blink>": "x",
    "a<!-- b -->c<!-- d": "ac",
    "a<?b?>c<!d>e": "ace",
    "<b title='>'>x": '<b title="&gt;">x</b>',
    "<b\n id=x\n>y": '<b id="x">y</b>',
    "<": "&lt;",
    "<b": "&lt;b",
    "< b>": "&lt; b>".replace(">", "&gt;"),
    "": "",
}


def test_pieces() -> None:
    assert {source: rewritten(source) for source in CASES} == CASES


def test_elements_end_with_the_markdown_around_them() -> None:
    raw = RawHtml()
    raw.enter()
    assert raw.rewritten("<details>") == "<details>"
    raw.enter()
    assert raw.rewritten("<b><i>") == "<b><i>"
    assert raw.rewritten("</details>") == ""  # not from in here
    assert raw.leave() == "</i></b>"
    assert raw.rewritten("</b></details>") == "</details>"
    assert raw.leave() == ""


def test_no_more_than_twenty_are_open_at_once() -> None:
    assert rewritten("<div>" * 50) == "<div>" * 20 + "</div>" * 20
    assert rewritten("<div></div>" * 50) == "<div></div>" * 50


def test_too_much_is_refused() -> None:
    raw = RawHtml()
    raw.enter()
    raw.rewritten("<br>" * 30_000)
    with pytest.raises(InvalidArgument, match="README: too much HTML"):
        raw.rewritten("<br>" * 10_001)


@given(
    st.lists(
        st.sampled_from(
            [
                "<b>",
                "</b>",
                "<i x='",
                "'>",
                "<p>",
                "</p>",
                "<br>",
                "<script>",
                "</script>",
                "<!--",
                "-->",
                "x",
                '"',
                "<",
            ]
        )
    )
)
def test_every_element_is_closed_where_it_should_be(pieces: list[str]) -> None:
    out = rewritten("".join(pieces))
    opened: list[str] = []
    for tag in out.split("<")[1:]:
        name = tag.partition(">")[0].partition(" ")[0]
        if name.startswith("/"):
            assert opened.pop() == name[1:]
        elif name != "br":
            opened.append(name)
    assert opened == []
