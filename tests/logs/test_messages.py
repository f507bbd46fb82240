"""Lines put together into messages of 16 KiB at most."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from loglines import line

from naru.logs.messages import MESSAGE_LIMIT_BYTES, Assembler, Message

_PIECE = st.one_of(st.binary(max_size=20), st.integers(8000, 20000).map(lambda size: b"x" * size))


def messages(data: bytes, assembler: Assembler | None = None) -> list[Message]:
    assembler = assembler or Assembler("c" * 64)
    return [*assembler.messages(data), *assembler.flush()]


def test_whole_lines() -> None:
    found = messages(line(1, b"a") + line(2, b"b", "stderr") + line(3, b""))
    assert [(m.stream, m.text, m.partial) for m in found] == [(1, b"a", None), (2, b"b", None), (1, b"", None)]
    assert found[0].time_ns == 1795625101_000000001


def test_pieces_become_one_line() -> None:
    found = messages(line(1, b"a", tag="P") + line(2, b"err", "stderr") + line(3, b"b"))
    assert [(m.time[17:19], m.text, m.partial) for m in found] == [("02", b"err", None), ("01", b"ab", None)]


def test_a_long_line_is_several_messages() -> None:
    found = messages(line(1, b"x" * 16384, tag="P") + line(1, b"y" * 16384, tag="P") + line(2, b"end"))
    assert [len(m.text) for m in found] == [16384, 16384, 3]
    partials = [m.partial for m in found if m.partial is not None]
    assert [(p.ordinal, p.last) for p in partials] == [(1, False), (2, False), (3, True)]
    assert len({p.id for p in partials}) == 1 and len(partials[0].id) == 64


def test_a_line_of_just_16_kib_is_whole() -> None:
    assert [m.partial for m in messages(line(1, b"x" * MESSAGE_LIMIT_BYTES))] == [None]


def test_what_has_no_newline_at_the_end_is_a_piece_of_which_nothing_follows() -> None:
    (found,) = messages(line(1, b"tail", tag="P"))
    assert (
        found.text == b"tail"
        and found.partial is not None
        and (found.partial.ordinal, found.partial.last) == (1, False)
    )


@given(
    st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.sampled_from("FP"), _PIECE), max_size=12),
    st.integers(0, 12),
)
def test_nothing_is_lost_and_a_restart_in_between_changes_nothing(rows: list[tuple[str, str, bytes]], cut: int) -> None:
    lines = [line(1, text.replace(b"\n", b""), stream, tag) for stream, tag, text in rows]
    whole = messages(b"".join(lines))
    first, second = Assembler("c" * 64), Assembler("c" * 64)
    begun = list(first.messages(b"".join(lines[:cut])))
    second.restore(json.loads(json.dumps(first.to_json())))
    assert begun + messages(b"".join(lines[cut:]), second) == whole
    assert all(len(m.text) <= MESSAGE_LIMIT_BYTES for m in whole)
    for stream, name in ((1, "stdout"), (2, "stderr")):
        printed = b"".join(text.replace(b"\n", b"") + b"\n" * (tag == "F") for s, tag, text in rows if s == name)
        sent = b"".join(m.text + b"\n" * (m.partial is None or m.partial.last) for m in whole if m.stream == stream)
        assert sent == printed
