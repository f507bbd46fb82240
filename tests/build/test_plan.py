from __future__ import annotations

import pytest

from naru.build.parse import DockerfileError, parse
from naru.build.plan import Plan, plan, platform_args
from naru.build.reading import read
from naru.errors import InvalidArgument
from naru.oci.image import Platform


def _plan(text: str, **given: str) -> Plan:
    file = parse(text.encode())
    return plan(file, read(file), given, platform_args(Platform("linux", "arm64", "v8"), Platform()))


def _needed(text: str, target: str = "") -> list[int]:
    made = _plan(text)
    return [stage.index for stage in made.needed(made.target(target))]


@pytest.mark.parametrize(
    ("text", "target", "indices"),
    [
        ("FROM a\nFROM b", "", [1]),
        ("FROM a AS x\nFROM b\nFROM x", "", [0, 2]),
        ("FROM a AS x\nFROM b\nCOPY --from=X f /", "", [0, 1]),
        ("FROM a\nFROM b\nCOPY --from=0 f /", "", [0, 1]),
        ("FROM a AS x\nFROM b\nRUN --mount=type=bind,from=x,target=/m y", "", [0, 1]),
        ("FROM a AS x\nFROM x AS y\nFROM y AS z\nFROM b", "z", [0, 1, 2]),
        ("FROM a AS x\nFROM b AS x\nFROM x", "", [1, 2]),
        ("FROM a AS x\nFROM x AS x\nFROM x", "", [0, 1, 2]),
        ("FROM a\nFROM b\nCOPY --from=other/image f /", "", [1]),
        ("FROM a AS x\nFROM b", "X", [0]),
        ("FROM a\nFROM b", "0", [0]),
        ("FROM a\nFROM 0", "", [1]),
    ],
)
def test_needed(text: str, target: str, indices: list[int]) -> None:
    assert _needed(text, target) == indices


@pytest.mark.parametrize(
    ("text", "given", "base"),
    [
        ("ARG v=1\nFROM a:$v", {}, "a:1"),
        ("ARG v=1\nFROM a:$v", {"v": "2"}, "a:2"),
        ("ARG v\nFROM a:${v:-x}", {}, "a:x"),
        ("ARG a=1\nARG b=$a$a\nFROM x:$b", {}, "x:11"),
        ("FROM a:$TARGETARCH-$TARGETVARIANT-$BUILDARCH", {}, "a:arm64-v8-amd64"),
        ("FROM a:$TARGETARCH", {"TARGETARCH": "mine"}, "a:mine"),
        ("FROM a:${TARGETSTAGE}", {}, "a:default"),
    ],
)
def test_what_from_sees(text: str, given: dict[str, str], base: str) -> None:
    assert _plan(text, **given).stages[0].base == base


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("RUN a\nFROM b", 1, "no build stage in current context"),
        ("ARG v\nFROM $v", 2, r"base name \(\$v\) should not be blank"),
        ("FROM a\nARG v=1\nFROM a:$v$", 3, None),
        ("FROM ${a", 1, "missing '}'"),
    ],
)
def test_refused(text: str, line: int, message: str | None) -> None:
    if message is None:  # an ARG of a stage means nothing to the next FROM
        assert _plan(text).stages[1].base == "a:$"
        return
    with pytest.raises(DockerfileError, match=message) as caught:
        _plan(text)
    assert caught.value.first_line == line


@pytest.mark.parametrize("target", ["nope", "5", "0", "-1"])
def test_no_such_target(target: str) -> None:
    made = _plan("FROM a AS x\nFROM b AS y")
    with pytest.raises(InvalidArgument, match=f'target stage "{target}" could not be found'):
        made.target(target)


def test_no_stage() -> None:
    with pytest.raises(InvalidArgument, match="no build stage"):
        _plan("ARG a")
