from __future__ import annotations

from dataclasses import replace

import pytest

from naru.build.parse import parse
from naru.build.reading import read
from naru.build.state import State
from naru.build.steps import DEFAULT_PATH, RunPlan, describe_run
from naru.errors import InvalidArgument
from naru.oci.image import Platform

STATE = State(Platform(), {"Env": ["E=1"]}, scope={"E": "1", "A": "2"}, declared={"A": "2"})


def _describe(text: str, state: State = STATE, **given: str) -> RunPlan:
    (run,) = read(parse(text.encode()))
    return describe_run(run, state, given, "default", "\\")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "argv"),
    [
        ("RUN a $b", ("/bin/sh", "-c", "a $b")),
        ('RUN ["a", "$b"]', ("a", "$b")),
        ("RUN <<E\na\nb\nE", ("/bin/sh", "-c", "a\nb\n")),
        ("RUN <<-E\n\ta\n\tE", ("/bin/sh", "-c", "a\n")),
        ("RUN << E\na\nE", ("/bin/sh", "-c", "a\n")),
        ("RUN cat <<'E' - > x\na\nE", ("/bin/sh", "-c", "cat <<'E' - > x\na\nE")),
        ("RUN 3<<A 4<<B f\n1\nA\n2\nB", ("/bin/sh", "-c", "3<<A 4<<B f\n1\nA\n2\nB")),
        ("RUN <<E\n#!/bin/x\nE", ("/dev/pipes/E",)),
    ],
)
def test_argv(text: str, argv: tuple[str, ...]) -> None:
    assert _describe(text).argv == argv


def test_the_shell_is_the_stages() -> None:
    state = replace(STATE, run={"Shell": ["/bin/ash", "-ec"]})
    assert _describe("RUN a", state).argv == ("/bin/ash", "-ec", "a")


def test_environment_history_and_inputs() -> None:
    plan = _describe("RUN a", HTTP_PROXY="p", UNDECLARED="x")
    assert plan.env == (f"PATH={DEFAULT_PATH}", "HTTP_PROXY=p", "E=1", "A=2")
    assert plan.created_by == "|1 A=2 /bin/sh -c a"
    assert set(plan.inputs) == {"instruction", "build-arg A", "network"}
    assert plan.inputs["build-arg A"] != "2"  # a digest: values do not lie about in the cache


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("RUN a", "RUN b"),
        ("RUN a", 'RUN ["a"]'),
        ("RUN a", "RUN --network=none a"),
        ("RUN a", "RUN --mount=type=tmpfs,target=/t a"),
        ("RUN <<E\na\nE", "RUN <<E\nb\nE"),
        ("RUN <<E\n#!a\nE", "RUN <<E\n#!b\nE"),
    ],
)
def test_what_differs_has_other_inputs(one: str, other: str) -> None:
    assert _describe(one).inputs != _describe(other).inputs


def test_variables_in_mounts() -> None:
    plan = _describe("RUN --mount=type=cache,target=/c$E,id=$A a")
    assert (plan.mounts[0].target, plan.mounts[0].id) == ("/c1", "2")
    with pytest.raises(InvalidArgument, match="invalid value"):
        _describe("RUN --mount=type=cache,target=/c,uid=$E$none.x a")
