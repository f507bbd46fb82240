"""One HTTP exchange with a registry: scheme, authorization, redirects, patience. With `download`, the only user of aiohttp's client.

Owns the connections. It knows HTTP and not images. What it guarantees to the layers above:
  - Authorization goes to the registry's own origin only; redirects and upload locations elsewhere go without;
  - a registry on https is never left for http, and a public one never sends us to a private address;
  - answers are read up to a limit and within a time; 429 and, for GET and HEAD, 5xx are retried a bounded number of times;
  - aiohttp's and the kernel's errors leave as naru.errors (`faults`).
"""

from __future__ import annotations

import asyncio
import io
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import aiohttp
from aiohttp import AddrInfoType
from yarl import URL

from naru.errors import Forbidden, Unavailable
from naru.remote.addresses import PublicResolver, checked, is_literal, is_private, is_public
from naru.remote.answers import redact, retry_after_s
from naru.remote.auth import TOKEN_LIMIT_BYTES
from naru.remote.faults import foreign_errors
from naru.remote.hosts import Endpoint, RegistryConfig, split_host
from naru.remote.tokens import Key, TokenSource

PIECE_BYTES = 1 << 20
_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TRANSIENT = frozenset({500, 502, 503, 504})

Body = Callable[[], AsyncIterator[bytes]]  # called anew for each attempt


@dataclass(frozen=True, slots=True)
class Limits:
    connect_s: float = 10.0
    answer_s: float = 60.0  # head of an answer, and again the whole of a small one
    commit_s: float = 300.0  # from the last byte of an upload to the answer
    piece_s: float = (
        60.0  # one PIECE_BYTES of a blob, in either direction: a dripping peer does not hold a slot for ever
    )
    linger_s: float | None = (
        None  # when nothing has come for so long, what there is is passed on; None: whole pieces only
    )
    retries: int = 4
    backoff_s: float = 0.25  # doubled each time
    retry_after_s: float = 30.0  # a registry that wants us to wait longer is unavailable


@dataclass(frozen=True, slots=True)
class Server:
    """An endpoint whose scheme is settled."""

    url: str  # scheme://host[:port]
    is_mirror: bool
    verify_tls: bool
    is_private: bool  # it may send us to private addresses, being on one itself

    def repository(self, path: str) -> str:
        return f"{self.url}/v2/{path}"


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    url: str  # absolute and encoded
    key: Key
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | bytes | None = None

    def __str__(self) -> str:
        return f'{self.method.capitalize()} "{redact(self.url)}"'


@dataclass(frozen=True, slots=True)
class Answer:
    """A small answer, read whole; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """Use it in an `async with`, or `close` it."""

    def __init__(
        self, config: RegistryConfig, user_agent: str, limits: Limits, *, check: Callable[[str], None] | None = None
    ) -> None:
        """`check` is asked about every address before it is connected to, and raises Forbidden: for servers whose users say
        what they connect to."""
        self.config = config
        self.limits = limits
        self._check = check
        self.tokens = TokenSource(self._ask, config.trusted_realms)
        self._servers: dict[Endpoint, Server] = {}
        self._by_url: dict[str, Server] = {}
        self._probing: dict[Endpoint, asyncio.Lock] = {}
        self._session = self._open_session(user_agent, self._connector(None))
        self._guarded = self._open_session(user_agent, self._connector(PublicResolver()))

    def _connector(self, resolver: PublicResolver | None) -> aiohttp.TCPConnector:
        checked_socket = self._checked_socket if self._check else None
        return aiohttp.TCPConnector(limit=0, resolver=resolver, socket_factory=checked_socket)

    def _checked_socket(self, address: AddrInfoType) -> socket.socket:
        """Raises OSError: to aiohttp it is as if nobody listened there."""
        assert self._check is not None
        family, kind, protocol, _, where = address
        try:
            self._check(str(where[0]))
        except Forbidden as error:
            raise OSError(str(error)) from error
        return socket.socket(family, kind, protocol)

    def _open_session(self, user_agent: str, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": user_agent, "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # digests are of the bytes on the wire
            read_bufsize=PIECE_BYTES // 2,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self.limits.connect_s),
        )

    async def __aenter__(self) -> Transport:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._session.close()
        await self._guarded.close()

    async def server(self, endpoint: Endpoint) -> Server:
        """Settle how to speak to endpoint, once. Raises Unreachable, in the name of our own question, if nobody listens."""
        if endpoint not in self._servers:
            async with self._probing.setdefault(endpoint, asyncio.Lock()):
                if endpoint not in self._servers:
                    server = await self._settle(endpoint)
                    self._servers[endpoint] = self._by_url[server.url] = server
        return self._servers[endpoint]

    async def _settle(self, endpoint: Endpoint) -> Server:
        private = await is_private(split_host(endpoint.host)[0])
        candidates = [
            Server(f"{scheme}://{endpoint.host}", endpoint.is_mirror, endpoint.verify_tls, private)
            for scheme in endpoint.schemes
        ]
        for server in candidates[:-1]:
            request = Request("GET", f"{server.url}/v2/", Key(server.url, (), None))
            try:
                async with self._send(server, request, URL(request.url), "") as response:
                    # 400 is what TLS servers say to plain HTTP; a redirect is most often one to https.
                    if response.status != 400 and response.status not in _REDIRECTS:
                        return server
            except Unavailable as error:
                cause = error.__cause__
                if isinstance(cause, aiohttp.ClientConnectorError) and not isinstance(cause, aiohttp.ClientSSLError):
                    raise  # nobody listens: the other scheme would find nobody either
        return candidates[-1]

    async def small(self, server: Server, request: Request, limit_bytes: int) -> Answer:
        """The whole answer. Raises Unavailable if it is larger than limit_bytes or too slow, and as `exchange` does."""
        async with self.exchange(server, request) as response:
            return await self.read(response, request, limit_bytes)

    @asynccontextmanager
    async def exchange(self, server: Server, request: Request) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer after challenges, redirects and retries, whatever its status then; its body is still to be read.

        Raises Unauthenticated, Forbidden, Unavailable; Interrupted where trying again makes sense.
        """
        header = self.tokens.cached(request.key)
        challenged, attempt = False, 0
        while True:
            async with self.follow(server, request, header) as response:
                pause_s = self._pause_s(request, response, attempt)
                challenges = response.headers.getall("WWW-Authenticate", [])
                again = response.status == 401 and challenges and not challenged
                if not again and pause_s is None:
                    yield response
                    return
            if again:
                challenged = True
                header = await self.tokens.answer(request.key, challenges, header)
            else:
                attempt += 1
                await asyncio.sleep(pause_s or 0)

    def _pause_s(self, request: Request, response: aiohttp.ClientResponse, attempt: int) -> float | None:
        """How long to wait before asking again; None if the answer is to be taken as it is."""
        transient = response.status in _TRANSIENT and request.method in ("GET", "HEAD")
        if attempt >= self.limits.retries or not (transient or response.status == 429):
            return None
        wished = retry_after_s(response.headers.get("Retry-After", ""), time.time())
        pause_s = self._backoff_s(attempt) if wished is None else wished
        return pause_s if pause_s <= self.limits.retry_after_s else None

    async def wait_backoff(self, attempt: int) -> None:
        """Give a failing registry time, twice as much as at the attempt before."""
        await asyncio.sleep(self._backoff_s(attempt))

    def _backoff_s(self, attempt: int) -> float:
        return float(self.limits.backoff_s * 2**attempt)

    @asynccontextmanager
    async def follow(self, server: Server, request: Request, header: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer as it comes, redirects followed, with this Authorization; challenges are left to the caller."""
        url = _url(request.url, request)
        for _ in range(_MAX_REDIRECTS + 1):
            async with self._send(server, request, url, header) as response:
                location = response.headers.get("Location", "")
                if response.status not in _REDIRECTS or request.method not in ("GET", "HEAD") or not location:
                    yield response
                    return
            url = url.join(_url(location, request))
        raise Unavailable(f"{request}: stopped after {_MAX_REDIRECTS} redirects")

    @asynccontextmanager
    async def _send(
        self, server: Server, request: Request, url: URL, header: str
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request to one URL, which may be the registry's or one it sent us to."""
        if url.scheme not in ("http", "https") or not url.host:
            raise Unavailable(f"{request}: refusing to go on at an invalid location")
        own = url.origin() == URL(server.url)
        headers = dict(request.headers)
        if own and header:
            headers["Authorization"] = header
        if not own:
            _check_foreign(server, url, request)
        session = self._session if own or server.is_private else self._guarded
        verify = server.verify_tls or url.host != URL(server.url).host
        allowed_s = self.limits.answer_s if request.body is None else self.limits.commit_s
        with foreign_errors(str(request), url):
            async with asyncio.timeout(allowed_s) as deadline:
                data: Any = request.body
                if callable(data):
                    data = self._paced(data(), deadline)
                elif data is not None:
                    data = io.BytesIO(data)  # aiohttp warns of large bytes
                response = await session.request(
                    request.method, url, headers=headers, data=data, allow_redirects=False, ssl=verify
                )
        async with response:
            yield response

    async def _paced(self, body: AsyncIterator[bytes], deadline: asyncio.Timeout) -> AsyncIterator[bytes]:
        """The body, moving the deadline forward with every piece the peer took."""
        clock = asyncio.get_running_loop().time
        async for piece in body:
            deadline.reschedule(clock() + self.limits.piece_s)
            yield piece
        deadline.reschedule(clock() + self.limits.commit_s)

    async def pieces(self, response: aiohttp.ClientResponse, request: Request) -> AsyncIterator[list[bytes]]:
        """The body in pieces of about PIECE_BYTES, each a list of the chunks that arrived.

        Raises Interrupted, after the piece that holds what came before the connection broke.
        """
        clock, linger_s = asyncio.get_running_loop().time, self.limits.linger_s
        due, got = (
            clock() + self.limits.piece_s,
            0,
        )  # whoever is given less than a piece at a time has as long for all of it
        while True:
            piece: list[bytes] = []
            size = 0
            broken: Unavailable | None = None
            try:
                with foreign_errors(str(request), response.url):
                    async with asyncio.timeout_at(due) as deadline:
                        while size < PIECE_BYTES and (chunk := await response.content.readany()):
                            piece.append(chunk)
                            size += len(chunk)
                            if linger_s is not None:
                                deadline.reschedule(min(due, clock() + linger_s))
            except Unavailable as error:
                if linger_s is None or not piece or clock() >= due or not isinstance(error.__cause__, TimeoutError):
                    broken = error
            got += size
            left_s = due - clock()
            if piece:
                yield piece
            if got >= PIECE_BYTES:
                left_s, got = self.limits.piece_s, 0
            due = clock() + left_s  # what takes the piece takes its own time
            if broken is not None:
                raise broken
            if not piece:
                return

    async def read(self, response: aiohttp.ClientResponse, request: Request, limit_bytes: int) -> Answer:
        """The body, whole. Raises Unavailable if it is larger than limit_bytes, Interrupted if it takes too long."""
        body = bytearray()
        with foreign_errors(str(request), response.url):
            async with asyncio.timeout(self.limits.answer_s):
                while len(body) <= limit_bytes and (chunk := await response.content.readany()):
                    body += chunk
        if len(body) > limit_bytes:
            raise Unavailable(f"{request}: answer is larger than {limit_bytes} bytes")
        return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, bytes(body))

    async def _ask(
        self, method: str, url: str, headers: Mapping[str, str], form: bytes | None, registry_url: str
    ) -> tuple[int, bytes]:
        """One exchange with a token server, for TokenSource: no challenges, no redirects."""
        server = self._by_url[registry_url]
        request = Request(method, url, Key(registry_url, (), None), headers, form)
        async with self._send(server, request, _url(url, request), "") as response:
            answer = await self.read(response, request, TOKEN_LIMIT_BYTES)
        return answer.status, answer.body


def _url(text: str, request: Request) -> URL:
    """As received, percent signs and all: upload states and signatures do not survive a re-encoding."""
    try:
        return checked(URL(text, encoded=True))
    except ValueError as error:
        raise Unavailable(f"{request}: the registry answered with an invalid location") from error


def _check_foreign(server: Server, url: URL, request: Request) -> None:
    if url.scheme == "http" and server.url.startswith("https:"):
        raise Forbidden(f"{request}: refusing to go on at {url.host} by http: the registry is on https")
    if not server.is_private and is_literal(url.host or "") and not is_public(url.host or ""):
        raise Forbidden(f"{request}: refusing to go on at {url.host}: a private address, and the registry is public")
