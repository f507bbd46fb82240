"""Fetching what a URL holds, for `ADD https://…`: no registry, no credentials, no proxy, nothing kept between fetches.

`download` does the work and is imported at the first fetch: it loads aiohttp, which a daemon that starts must not wait
for.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a URL gave: `last_modified_ns` 0 if the server did not say."""

    last_modified_ns: int = 0


@dataclass(frozen=True, slots=True)
class FetchLimits:
    size_bytes: int = 16 << 30
    connect_s: float = 10.0
    answer_s: float = 60.0  # head of an answer
    piece_s: float = 60.0  # one piece of the body: a dripping server does not hold a build for ever
    total_s: float = 3600.0


class Fetcher:
    def __init__(self, user_agent: str, *, limits: FetchLimits | None = None) -> None:
        self._user_agent = user_agent
        self._limits = limits or FetchLimits()

    async def __call__(self, url: str, fd: int) -> Fetched:
        """All that the URL holds is written to fd, where it stands, when this returns; whatever happens, nothing is
        written any more after that.

        Raises InvalidArgument for what is no http(s) URL, NotFound, Forbidden (https that leads to http), Unavailable;
        fd holds some of it then.
        """
        from naru.remote.download import download  # noqa: PLC0415 - see the module's docstring

        return Fetched(await download(url, fd, self._user_agent, self._limits))
