"""Restart policies, their back-off, and what is done for health."""

from __future__ import annotations

import signal

import pytest

from naru.containers.restarts import Ended, asks_to_end, on_failure, restart_delay_ns, short_runs
from naru.errors import InvalidArgument
from naru.wire.container import RestartPolicy

S_NS = 10**9


@pytest.mark.parametrize(
    ("policy", "ended", "delay_ns"),
    [
        ("no", Ended(1, 0, 0), None),
        ("", Ended(1, 0, 0), None),
        ("always", Ended(0, 0, 0), 100_000_000),
        ("always", Ended(1, 0, 1, short_runs=1), 200_000_000),
        ("always", Ended(1, 0, 5, short_runs=5), 3_200_000_000),
        ("always", Ended(1, 0, 9, short_runs=9), 51_200_000_000),
        ("always", Ended(1, 0, 10, short_runs=10), 60 * S_NS),
        ("always", Ended(1, 0, 10**6, short_runs=10**6), 60 * S_NS),
        ("always", Ended(1, 10 * S_NS, 10**6, short_runs=10**6), 100_000_000),
        ("always", Ended(1, 0, 10**6, short_runs=1), 200_000_000),  # the first crash after that good run
        ("always", Ended(0, 0, 3, stopped_by_user=True), None),
        ("unless-stopped", Ended(0, 0, 0), 100_000_000),
        ("unless-stopped", Ended(0, 0, 0, stopped_by_user=True), None),
        ("on-failure", Ended(0, 0, 0), None),
        ("on-failure", Ended(1, 0, 0), 100_000_000),
        ("on-failure:3", Ended(1, 0, 2, short_runs=2), 400_000_000),
        ("on-failure:3", Ended(1, 0, 3, short_runs=3), None),
        ("on-failure:3", Ended(1, 20 * S_NS, 3), None),  # good runs do not take away from the count
        ("on-failure:3", Ended(137, 0, 2, stopped_by_user=True), None),
        ("no", Ended(0, 0, 0, for_health=True), 100_000_000),
        ("no", Ended(0, 0, 2, short_runs=2, for_health=True), 400_000_000),
        ("no", Ended(0, 0, 0, stopped_by_user=True, for_health=True), None),
        ("on-failure:3", Ended(0, 0, 2, for_health=True), 100_000_000),
        ("on-failure:3", Ended(0, 0, 3, for_health=True), None),
    ],
)
def test_restart_delay(policy: str, ended: Ended, delay_ns: int | None) -> None:
    name, _, limit = policy.partition(":")
    assert restart_delay_ns(RestartPolicy(name=name, maximum_retry_count=int(limit or 0)), ended) == delay_ns


def test_a_good_run_makes_short_ones_forgotten() -> None:
    assert short_runs(Ended(1, 10 * S_NS, 9, short_runs=9)) == 0
    assert short_runs(Ended(1, 10 * S_NS - 1, 9, short_runs=9)) == 9


@pytest.mark.parametrize(
    ("number", "stop_signal", "asks"),
    [
        (signal.SIGKILL, signal.SIGTERM, True),
        (signal.SIGTERM, signal.SIGTERM, True),
        (signal.SIGINT, signal.SIGTERM, True),
        (signal.SIGQUIT, signal.SIGTERM, True),
        (signal.SIGHUP, signal.SIGTERM, False),
        (signal.SIGUSR1, signal.SIGTERM, False),
        (signal.SIGWINCH, signal.SIGWINCH, True),  # httpd
    ],
)
def test_signals_that_ask_to_end(number: int, stop_signal: int, asks: bool) -> None:
    assert asks_to_end(number, stop_signal) is asks


@pytest.mark.parametrize("action", ["none", "kill", "restart", "stop"])
def test_what_becomes_of_the_unhealthy(action: str) -> None:
    assert on_failure({"naru.health.on-failure": action}) == action


def test_nothing_does_if_nobody_says_so() -> None:
    assert on_failure(None) == on_failure({}) == on_failure({"other": "kill"}) == "none"


@pytest.mark.parametrize("text", ["", "Kill", "reboot"])
def test_what_makes_no_sense(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"is none of none, kill, restart, stop"):
        on_failure({"naru.health.on-failure": text})
