"""When a container is healthy."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from naru.containers.health import command, judge
from naru.containers.records import Container
from naru.wire.container import Healthcheck


@pytest.mark.parametrize(
    ("status", "streak", "exit_code", "retries", "in_start_period", "after"),
    [
        ("starting", 0, 0, 3, True, ("healthy", 0)),
        ("starting", 0, 1, 3, True, ("starting", 0)),
        ("starting", 0, 1, 3, False, ("starting", 1)),
        ("starting", 2, 1, 3, False, ("unhealthy", 3)),
        ("healthy", 0, 1, 3, True, ("healthy", 1)),
        ("healthy", 1, 1, 3, False, ("healthy", 2)),
        ("healthy", 2, -1, 3, False, ("unhealthy", 3)),
        ("unhealthy", 9, 1, 3, False, ("unhealthy", 10)),
        ("unhealthy", 9, 0, 3, False, ("healthy", 0)),
        ("starting", 0, 1, 1, False, ("unhealthy", 1)),
    ],
)
def test_judge(
    status: str, streak: int, exit_code: int, retries: int, in_start_period: bool, after: tuple[str, int]
) -> None:
    assert judge(status, streak, exit_code, retries=retries, in_start_period=in_start_period) == after


@pytest.mark.parametrize(
    ("test", "argv"),
    [
        (None, None), ([], None), (["NONE"], None), (["CMD"], None), (["NONSENSE", "x"], None), (["CMD", "a", "b"], ["a", "b"]),
        (["CMD-SHELL", "a && b"], ["/bin/sh", "-c", "a && b"]),
    ],
)  # fmt: skip
def test_command(record: Callable[..., Container], test: list[str] | None, argv: list[str] | None) -> None:
    assert command(record(config={"healthcheck": Healthcheck(test=test)})) == argv
    assert command(record()) is None


def test_a_shell_of_the_images_own(record: Callable[..., Container]) -> None:
    made = record(config={"healthcheck": Healthcheck(test=["CMD-SHELL", "x"]), "shell": ["/bin/bash", "-ec"]})
    assert command(made) == ["/bin/bash", "-ec", "x"]
