"""Health as a value: what probes said, and the rule by which a status follows. Pure.

Docker's rules: healthy after one success; unhealthy after `retries` failures in a row; failures during the start period do
not count.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from naru.containers.records import Container

_LOG_ENTRIES = 5


@dataclass(frozen=True, slots=True)
class Probe:
    start_ns: int
    end_ns: int
    exit_code: int  # -1: it could not be run, or took too long
    output: str


def judge(status: str, streak: int, exit_code: int, *, retries: int, in_start_period: bool) -> tuple[str, int]:
    """(status, failing streak) after one more probe."""
    if exit_code == 0:
        return "healthy", 0
    if in_start_period and status == "starting":
        return status, 0
    streak += 1
    return ("unhealthy" if streak >= retries else status), streak


class Health:
    """What is known of one container's health; replaced by nobody but its check's task."""

    def __init__(self) -> None:
        self.status = "starting"
        self.streak = 0
        self.log: deque[Probe] = deque(maxlen=_LOG_ENTRIES)


def command(record: Container) -> list[str] | None:
    """What is to be run, or None if the container has no check."""
    check = record.config.healthcheck
    test = check.test if check is not None else None
    if not test or test[0] == "NONE" or len(test) < 2:
        return None
    if test[0] == "CMD-SHELL":
        return [*(record.config.shell or ["/bin/sh", "-c"]), test[1]]
    return test[1:] if test[0] == "CMD" else None
