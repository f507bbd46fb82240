"""How much one client may ask for in a while. Pure: the time is given; what is counted lives in memory, within bounds.

A sliding window of two counters: what was taken in the present window, and as much of the window before as still lies
within reach, taken to have been spread evenly. It needs two numbers a key, forgets smoothly, and lets nobody take two
windows' worth at a boundary as fixed windows do. What was refused does not count.

Header names are Docker Hub's (docs.docker.com, "Pull usage and limits"; `docker` and mirrors read them) and RFC 9110
§10.2.3.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

from naru.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class Window:
    """`limit` in each window of `window_s` seconds by the clock, and about that in any other; both at least 1, or
    InvalidArgument."""

    limit: int
    window_s: int

    def __post_init__(self) -> None:
        if self.limit < 1 or self.window_s < 1:
            raise InvalidArgument(f"rate limit: {self.limit} in {self.window_s} s; both are at least 1")


@dataclass(frozen=True, slots=True)
class Verdict:
    allowed: bool
    limit: int
    remaining: int
    window_s: int
    retry_after_s: float  # 0 if allowed


@dataclass(slots=True)
class _Taken:
    window: int  # number of the window since the epoch
    now: int
    before: int


class Limiter:
    """One window for many keys (`user:ann`, `ip:192.0.2.1`), of which the `max_keys` last seen are remembered.

    Belongs to one event loop: no locks.
    """

    def __init__(self, window: Window, max_keys: int = 100_000) -> None:
        self.window = window
        self._max_keys = max_keys
        self._taken: OrderedDict[str, _Taken] = OrderedDict()  # least recently seen first

    def __len__(self) -> int:
        return len(self._taken)

    def take(self, key: str, now_s: float) -> Verdict:
        """Take one, if it is allowed."""
        taken = self._current(key, now_s)
        verdict = self._verdict(taken, now_s, 1)
        if verdict.allowed:
            taken.now += 1
        self._taken[key] = taken
        self._taken.move_to_end(key)
        self._evict(taken.window)
        return verdict

    def peek(self, key: str, now_s: float) -> Verdict:
        """What is left, without taking: for answers to requests that are free."""
        return self._verdict(self._current(key, now_s), now_s, 0)

    def _current(self, key: str, now_s: float) -> _Taken:
        """The key's counters, moved on to the present window. A clock that went back stays in the window it has
        seen."""
        window = int(now_s // self.window.window_s)
        old = self._taken.get(key)
        if old is None or window > old.window + 1:
            return _Taken(window, 0, 0)
        return _Taken(window, 0, old.now) if window == old.window + 1 else old

    def _verdict(self, taken: _Taken, now_s: float, wanted: int) -> Verdict:
        limit, window_s = self.window.limit, self.window.window_s
        passed = min(1.0, max(0.0, now_s / window_s - taken.window))
        left = max(0, math.floor(limit - taken.now - taken.before * (1 - passed) + 1e-9))  # 0.1 * 3 is not 0.3
        if left >= wanted:
            return Verdict(True, limit, left - wanted, window_s, 0.0)
        return Verdict(False, limit, left, window_s, self._wait_s(taken, passed))

    def _wait_s(self, taken: _Taken, passed: float) -> float:
        """Until one more fits: within this window if what is fading is of the one before, else in the next."""
        limit, window_s = self.window.limit, self.window.window_s
        if taken.now < limit:
            return (1 - (limit - 1 - taken.now) / taken.before - passed) * window_s
        return (1 - passed + 1 - (limit - 1) / taken.now) * window_s

    def _evict(self, window: int) -> None:
        """What counts no more, and the least recently seen past the bound."""
        while self._taken:
            key, oldest = next(iter(self._taken.items()))
            if oldest.window >= window - 1 and len(self._taken) <= self._max_keys:
                return
            del self._taken[key]


def address_key(address: str) -> str:
    """The key of an anonymous client: its IPv4 address, or the /64 of an IPv6 one, as every home has 2^64 of those.

    Raises InvalidArgument for what is not an address.
    """
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError as error:
        raise InvalidArgument(f"not an IP address: {address[:100]!r}") from error
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is None:
            return f"ip:{ip_network((int(ip), 64), strict=False)}"
        ip = ip.ipv4_mapped
    return f"ip:{ip}"


def headers(verdict: Verdict, source: str) -> dict[str, str]:
    """For every answer to a pull; `source` is whom the limit is of: an address, or a user's id."""
    out = {
        "ratelimit-limit": f"{verdict.limit};w={verdict.window_s}",
        "ratelimit-remaining": f"{verdict.remaining};w={verdict.window_s}",
        "docker-ratelimit-source": source,
    }
    if not verdict.allowed:
        out["Retry-After"] = str(max(1, math.ceil(verdict.retry_after_s)))
    return out
