"""Rate limits: what fits in a window, what fades, what is forgotten, and what a client is told."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naru.errors import InvalidArgument
from naru.hub.ratelimit import Limiter, Verdict, Window, address_key, headers

T = 1_800_000_000.0  # a multiple of 100: windows of 100 s begin here


def test_as_many_as_the_limit_and_no_more() -> None:
    limiter = Limiter(Window(3, 100))
    assert [limiter.take("a", T + second).remaining for second in range(3)] == [2, 1, 0]
    refused = limiter.take("a", T + 10)
    assert (refused.allowed, refused.remaining, refused.limit, refused.window_s) == (False, 0, 3, 100)
    assert limiter.take("b", T + 10).allowed


def test_what_was_taken_fades_over_the_next_window() -> None:
    limiter = Limiter(Window(10, 100))
    assert all(limiter.take("a", T + 99).allowed for _ in range(10))
    assert not limiter.take("a", T + 100).allowed  # a fixed window would give ten more
    assert [limiter.take("a", T + 150).allowed for _ in range(6)] == [True] * 5 + [False]
    assert limiter.peek("a", T + 200).remaining == 5
    assert limiter.peek("a", T + 300).remaining == 10


def test_retry_after_is_when_it_will_be_allowed_and_not_before() -> None:
    for limit in (1, 2, 3, 10):
        for begin in (0.0, 37.5, 99.9):
            limiter = Limiter(Window(limit, 100))
            now_s = T + begin
            for _ in range(4 * limit):
                verdict = limiter.take("a", now_s)
                if not verdict.allowed:
                    assert 0 < verdict.retry_after_s <= 200
                    assert not limiter.take("a", now_s + verdict.retry_after_s - 0.01).allowed
                    now_s += verdict.retry_after_s + 0.000_01
                    assert limiter.take("a", now_s).allowed


def test_what_was_refused_does_not_count() -> None:
    limiter = Limiter(Window(1, 100))
    assert limiter.take("a", T).allowed
    for second in range(1, 100):
        assert not limiter.take("a", T + second).allowed
    assert limiter.take("a", T + 200).allowed


def test_peeking_takes_nothing_and_remembers_nobody() -> None:
    limiter = Limiter(Window(2, 100))
    assert limiter.peek("a", T) == Verdict(True, 2, 2, 100, 0.0)
    assert len(limiter) == 0
    limiter.take("a", T)
    limiter.take("a", T)
    assert limiter.peek("a", T) == limiter.peek("a", T) == Verdict(True, 2, 0, 100, 0.0)


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    limiter = Limiter(Window(2, 100))
    limiter.take("a", T + 150)
    limiter.take("a", T + 150)
    assert not limiter.take("a", T + 10).allowed
    assert not limiter.take("a", T - 10_000).allowed
    assert limiter.take("a", T + 400).allowed


@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.floats(0, 50), st.sampled_from("ab")), max_size=60),
)
def test_never_two_windows_worth_and_keys_do_not_meet(limit: int, asked: list[tuple[float, str]]) -> None:
    limiter, alone = Limiter(Window(limit, 100)), Limiter(Window(limit, 100))
    now_s, allowed = T, []
    for pause_s, key in asked:
        now_s += pause_s
        verdict = limiter.take(key, now_s)
        assert 0 <= verdict.remaining < limit
        if key == "a":
            assert verdict == alone.take(key, now_s)
            allowed += [now_s] * verdict.allowed
    for at in allowed:
        assert sum(at <= other < at + 100 for other in allowed) < 2 * limit
        window = at // 100
        assert sum(other // 100 == window for other in allowed) <= limit


def test_memory_is_bounded_and_the_least_recently_seen_goes_first() -> None:
    limiter = Limiter(Window(1, 100), max_keys=3)
    for key in "abc":
        limiter.take(key, T)
    limiter.take("a", T)  # refused, but seen
    limiter.take("d", T)
    assert len(limiter) == 3
    assert not limiter.take("a", T + 1).allowed
    assert limiter.take("b", T + 1).allowed  # forgotten
    begin = time.process_time()
    for number in range(50_000):
        limiter.take(f"ip:{number}", T)
    assert len(limiter) == 3
    assert time.process_time() - begin < 3


def test_what_counts_no_more_is_forgotten() -> None:
    limiter = Limiter(Window(5, 100))
    for number in range(1000):
        limiter.take(str(number), T)
    limiter.take("x", T + 199)
    assert len(limiter) == 1001
    limiter.take("x", T + 200)
    assert len(limiter) == 1


def test_what_a_client_is_told() -> None:
    limiter = Limiter(Window(1, 21600))
    assert headers(limiter.take("ip:192.0.2.1", T), "192.0.2.1") == {
        "ratelimit-limit": "1;w=21600", "ratelimit-remaining": "0;w=21600", "docker-ratelimit-source": "192.0.2.1",
    }  # fmt: skip
    told = headers(Verdict(False, 1, 0, 21600, 12.01), "192.0.2.1")
    assert told["Retry-After"] == "13"
    assert headers(Verdict(False, 1, 0, 21600, 0.0001), "x")["Retry-After"] == "1"


def test_windows_of_nothing_are_refused() -> None:
    for limit, window_s in ((0, 10), (-1, 10), (1, 0)):
        with pytest.raises(InvalidArgument):
            Window(limit, window_s)


def test_addresses_as_keys() -> None:
    assert address_key("192.0.2.1") == address_key("::ffff:192.0.2.1") == "ip:192.0.2.1"
    assert address_key("2001:db8:1:2:3::4") == address_key("2001:db8:1:2::") == "ip:2001:db8:1:2::/64"
    assert address_key("fe80::1%eth0") == "ip:fe80::/64"
    for bad in ("", "localhost", "1.2.3", "1.2.3.4:80", "x" * 1000):
        with pytest.raises(InvalidArgument):
            address_key(bad)
