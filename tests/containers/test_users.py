"""Who runs: every form of `user[:group]`, and never root by accident."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naru.containers.users import MAX_ID, User, resolve
from naru.errors import InvalidArgument

PASSWD = """root:x:0:0:root:/root:/bin/sh
alice:x:1000:1001:Alice:/home/alice:/bin/sh
1234:x:77:78:a number for a name:/:
empty:x::0:no number:/:
minus:x:-1:0:negative:/:
huge:x:4294967296:0:wraps to root elsewhere:/:
edge:x:2147483647:0:the largest:/:
words:x:zero:0:no number:/:
hex:x:0x0:0::/:
short:x:5
:x:6:6:no name:/:
superscript:x:\u00b2:0::/:
homeless:x:50:50
"""
GROUP = """root:x:0:
staff:x:1001:
crew:x:2000:alice,bob
deck:x:2001:alice
4321:x:88:
void:x::alice
minus:x:-5:alice
broken
"""


@pytest.mark.parametrize(
    ("spec", "user"),
    [
        ("", User(0, 0, (0,), "/root")),
        ("0", User(0, 0, (0,), "/root")),
        ("root", User(0, 0, (0,), "/root")),
        ("1000", User(1000, 1001, (1001, 2000, 2001), "/home/alice")),
        ("alice", User(1000, 1001, (1001, 2000, 2001), "/home/alice")),
        ("alice:", User(1000, 1001, (1001, 2000, 2001), "/home/alice")),
        ("alice:crew", User(1000, 2000, (2000,), "/home/alice")),
        ("alice:0", User(1000, 0, (0,), "/home/alice")),
        ("1000:1000", User(1000, 1000, (1000,), "/home/alice")),
        ("4242", User(4242, 0, (0,), "/")),
        ("4242:4243", User(4242, 4243, (4243,), "/")),
        (":crew", User(0, 2000, (2000,), "/root")),
        ("1234", User(77, 78, (78,), "/")),  # a name first, as Docker has it
        ("alice:4321", User(1000, 88, (88,), "/home/alice")),
        ("77", User(77, 78, (78,), "/")),
        ("edge", User(MAX_ID, 0, (0,), "/")),
        (str(MAX_ID), User(MAX_ID, 0, (0,), "/")),
        ("homeless", User(50, 50, (50,), "/")),
    ],
)
def test_resolves(spec: str, user: User) -> None:
    assert resolve(spec, (), PASSWD, GROUP) == user


@pytest.mark.parametrize(
    "spec", ["2147483648", "4294967296", "-1", "-0", "99999999999999999999", "alice:2147483648", "1:-1"]
)
def test_numbers_out_of_range(spec: str) -> None:
    with pytest.raises(InvalidArgument, match="uids and gids must be in range 0-2147483647"):
        resolve(spec, (), PASSWD, GROUP)


@pytest.mark.parametrize(
    "spec",
    [
        "1000abc",
        "nobody",
        "empty",
        "minus",
        "huge",
        "words",
        "hex",
        "short",
        "0x0",
        " ",
        "superscript",
        "+0",
        "1_0",
        "root ",
    ],
)
def test_what_is_not_there_is_not_root(spec: str) -> None:
    with pytest.raises(InvalidArgument, match="no matching entries in passwd file"):
        resolve(spec, (), PASSWD, GROUP)


@pytest.mark.parametrize("spec", ["alice:nosuch", "alice:void", "alice:minus", "alice:broken"])
def test_unknown_groups(spec: str) -> None:
    with pytest.raises(InvalidArgument, match="no matching entries in group file"):
        resolve(spec, (), PASSWD, GROUP)


def test_extra_groups_come_on_top_without_repeats() -> None:
    user = resolve("alice", ["crew", "3000", "0", "crew"], PASSWD, GROUP)
    assert user.groups == (1001, 2000, 2001, 3000, 0)
    with pytest.raises(InvalidArgument):
        resolve("alice", ["nosuch"], PASSWD, GROUP)


def test_an_image_without_files() -> None:
    assert resolve("", (), "", "") == User(0, 0, (0,), "/")
    assert resolve("7:8", ["9"], "", "") == User(7, 8, (8, 9), "/")
    with pytest.raises(InvalidArgument):
        resolve("root", (), "", "")


@given(st.text(alphabet=st.characters(codec="utf-8")), st.text(), st.text())
def test_anything_else_is_an_error_or_what_was_asked(spec: str, passwd: str, group: str) -> None:
    try:
        user = resolve(spec, (), passwd, group)
    except InvalidArgument:
        return
    name = spec.partition(":")[0]
    listed = name in [line.split(":")[0] for line in passwd.splitlines()]
    assert user.uid != 0 or listed or name == "" or int(name) == 0 or f":{int(name)}:" in passwd
