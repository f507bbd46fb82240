"""What is sealed in a database: opened by the key that it names, and by none other; and where the keys are."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from naru.errors import Internal, InvalidArgument, NotFound
from naru.registry.seals import Seals, new_key, own_keys, read_keys

OLD, NEW = new_key(), new_key()


def test_there_and_back() -> None:
    seals = Seals([OLD])
    sealed = seals.seal("pässword")
    assert sealed.startswith(seals.mark) and "pässword" not in sealed and sealed != seals.seal("pässword")
    assert seals.open(sealed) == "pässword"
    assert seals.seal("") == seals.open("") == ""


def test_an_older_key_opens_and_the_newest_seals() -> None:
    sealed = Seals([OLD]).seal("secret")
    both = Seals([NEW, OLD])
    assert both.open(sealed) == "secret"
    assert both.mark == Seals([NEW]).mark and both.seal("x").startswith(both.mark)
    with pytest.raises(NotFound, match=f"secret key {sealed[:8]}, which is not among those given"):
        Seals([NEW]).open(sealed)


@pytest.mark.parametrize(
    "spoilt", [lambda text: text[:-4], lambda text: text[:-4] + "AAA=", lambda text: text[:9] + "é"]
)
def test_what_was_changed_is_not_believed(spoilt) -> None:  # type: ignore[no-untyped-def]
    seals = Seals([OLD])
    with pytest.raises(InvalidArgument, match="has been changed"):
        seals.open(spoilt(seals.seal("secret")))


@pytest.mark.parametrize(("keys", "said"), [([OLD] * 11, "not 11"), ([OLD, "short"], "key 2"), (["é" * 44], "key 1")])
def test_keys_that_are_none(keys: list[str], said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        Seals(keys)


def test_what_is_not_sealed_is_not_quoted() -> None:
    for clear in ("hunter2", "hunter2:x", "BEGIN PRIVATE KEY"):
        with pytest.raises(InvalidArgument) as caught:
            Seals([OLD]).open(clear)
        assert "hunter" not in str(caught.value) and "is not" in str(caught.value)


def test_without_keys_nothing_is_sealed() -> None:
    """And nothing is kept in the clear instead."""
    assert Seals().seal("") == Seals().open("") == ""
    with pytest.raises(Internal, match="no key"):
        Seals().seal("secret")
    with pytest.raises(NotFound):
        Seals().open(Seals([OLD]).seal("secret"))


def test_a_key_of_openssl() -> None:
    """`openssl rand -base64 32` has + and / where Fernet has - and _."""
    raw = b"\xfb\xff" * 16
    standard, url_safe = base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()
    assert standard != url_safe
    assert Seals([url_safe]).open(Seals([standard]).seal("x")) == "x"


def test_a_file_of_keys(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# of November\n{NEW}\n\n  {OLD}  \n")
    assert read_keys(str(path)) == [NEW, OLD]
    path.write_text("# none\n")
    with pytest.raises(InvalidArgument, match="no key in it"):
        read_keys(str(path))
    with pytest.raises(InvalidArgument, match="No such file"):
        read_keys(str(tmp_path / "none"))


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = str(tmp_path / "keys")
    (made,) = own_keys(path)
    assert Seals([made]).seal("x") and own_keys(path) == [made]
    assert os.stat(path).st_mode & 0o777 == 0o600
    os.chmod(path, 0o600)
    with pytest.raises(InvalidArgument, match="Is a directory"):
        own_keys(str(tmp_path))
