"""Options of a tmpfs: what counts, and what Docker 29 says about the rest."""

from __future__ import annotations

import pytest

from naru.containers.tmpfs import DEFAULTS, merge, split
from naru.errors import Internal


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", DEFAULTS),
        ("size=1m,mode=1777", (*DEFAULTS, "size=1m", "mode=1777")),
        ("exec,suid", ("nodev", "exec", "suid")),
        ("exec,noexec,size=1m,size=2m", ("nosuid", "nodev", "noexec", "size=2m")),
        ("defaults,ro,rw", (*DEFAULTS, "rw")),
        ("shared,rslave", (*DEFAULTS, "rslave")),
    ],
)
def test_the_last_word_counts(text: str, kept: tuple[str, ...]) -> None:
    assert merge(split(text)) == kept


@pytest.mark.parametrize(("text", "name"), [("foo", "foo"), ("size", "size"), ("huge=always", "huge"), ("rw,", "")])
def test_words_that_are_none(text: str, name: str) -> None:
    with pytest.raises(Internal) as caught:
        merge(split(text))
    assert str(caught.value) == f'invalid tmpfs option "{name}"'
