"""Requests of the hub to places that its users name: to public addresses only, unless its owner says otherwise; no redirects followed.

The address that was checked is the address that is connected to: aiohttp is given a resolver that lets nothing else through.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from naru.errors import Forbidden, InvalidArgument, Unavailable
from naru.hub.webhooktargets import check_target, target_of
from naru.remote.addresses import is_literal

_CONNECT_S, _TOTAL_S = 10.0, 30.0
_ANSWER_BYTES = 4 << 20


class CheckedResolver(AbstractResolver):
    def __init__(self, allow_private: bool) -> None:
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises OSError for a name without an address, or with one that is out of bounds."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]) for entry in found]
        url = f"http://[{host}]/" if ":" in host else f"http://{host}/"
        try:
            check_target(url, addresses, self._allow_private)
        except (Forbidden, InvalidArgument) as error:
            raise OSError(str(error)) from error
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=entry[0], proto=entry[2],
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for entry, address in zip(found, addresses, strict=True)
        ]  # fmt: skip

    async def close(self) -> None:
        return None


class Outbound:
    """`allow_private`: whether the hub may be sent into the network it stands in."""

    def __init__(self, allow_private: bool = False) -> None:
        self._allow_private = allow_private
        self._session: aiohttp.ClientSession | None = None

    def check(self, url: str) -> None:
        """As far as can be said without resolving its name. Raises InvalidArgument, Forbidden."""
        target = target_of(url)
        if is_literal(target.host):
            check_target(url, [target.host], self._allow_private)

    @asynccontextmanager
    async def request(
        self, method: str, url: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Raises Unavailable if nobody answers, InvalidArgument and Forbidden as `check`."""
        self.check(url)
        if self._session is None:
            connector = aiohttp.TCPConnector(resolver=CheckedResolver(self._allow_private), use_dns_cache=False)
            timeout = aiohttp.ClientTimeout(total=_TOTAL_S, sock_connect=_CONNECT_S)
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=timeout,
                trust_env=False,
                headers={"Accept-Encoding": "identity"},  # a few bytes that become many are counted as they came
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),  # what one receiver sets is not for another user's requests
            )
        try:
            async with self._session.request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as response:
                yield response
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unavailable(f"{_origin(url)}: {_reason(error) or type(error).__name__}") from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def _origin(url: str) -> str:
    """Of a URL, what may be shown: the rest of it is a secret as often as not."""
    return str(URL(url).origin())


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return str(error.os_error)  # a CheckedResolver's word, of which aiohttp's own has nothing
    return error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)  # which has the URL in it


async def read_beginning(response: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
    """So much of its body; what comes after that is not waited for."""
    data = bytearray()
    while len(data) < limit_bytes and (more := await response.content.read(limit_bytes - len(data))):
        data += more
    return bytes(data)


async def read_limited(response: aiohttp.ClientResponse, limit_bytes: int = _ANSWER_BYTES) -> bytes:
    """Its body. Raises Unavailable if it is larger."""
    data = await read_beginning(response, limit_bytes + 1)
    if len(data) > limit_bytes:
        raise Unavailable(f"{response.url.origin()}: the answer is larger than {limit_bytes} bytes")
    return data
