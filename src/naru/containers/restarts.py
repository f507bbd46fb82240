"""Whether a container that has ended is started again, and when. Pure: Docker's restart policies and back-off, and health's."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass

from naru.errors import InvalidArgument
from naru.wire.container import RestartPolicy

MAX_BACKOFF_NS = 60_000_000_000
_FIRST_BACKOFF_NS = 100_000_000
_GOOD_RUN_NS = 10_000_000_000
_ENDING = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)

ON_FAILURE_LABEL = "naru.health.on-failure"
ON_FAILURE = ("none", "kill", "restart", "stop")  # Podman's words


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a run."""

    exit_code: int
    ran_ns: int
    restarts: int  # by the policy, since a user started it
    short_runs: int = 0  # restarts in a row that were followed by no good run
    stopped_by_user: bool = False
    for_health: bool = False  # ended so that it be started again


def short_runs(ended: Ended) -> int:
    """How many short runs in a row there were before the next restart."""
    return 0 if ended.ran_ns >= _GOOD_RUN_NS else ended.short_runs


def restart_delay_ns(policy: RestartPolicy, ended: Ended) -> int | None:
    """How long to wait before the next start, or None for no restart: 100 ms, doubled each time up to a minute; a run of ten
    seconds starts this anew (Docker's restart manager)."""
    name, limit = policy.name, policy.maximum_retry_count
    if ended.stopped_by_user or (name in ("", "no") and not ended.for_health):
        return None
    if name == "on-failure" and (
        (ended.exit_code == 0 and not ended.for_health) or (limit and ended.restarts >= limit)
    ):
        return None
    return min(MAX_BACKOFF_NS, _FIRST_BACKOFF_NS << min(short_runs(ended), 16))


def asks_to_end(number: int, stop_signal: int) -> bool:
    """Whether who sends this signal wants the container down, so that no policy starts it again. (With Docker that goes for
    SIGHUP too, so that a reload of its configuration costs a container its restart policy: moby #11065.)"""
    return number == stop_signal or number in _ENDING


def on_failure(labels: Mapping[str, str] | None) -> str:
    """What becomes of a container that is unhealthy: one of ON_FAILURE. Raises InvalidArgument."""
    text = (labels or {}).get(ON_FAILURE_LABEL, "none")
    if text not in ON_FAILURE:
        raise InvalidArgument(f'invalid label {ON_FAILURE_LABEL}: "{text}" is none of {", ".join(ON_FAILURE)}')
    return text
