"""A registry made by hand, for answers that no honest server gives: bytes in, bytes out, over a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from naru.oci.digest import Digest
from naru.oci.image import OCI_LAYER, Descriptor
from naru.remote.client import RegistryClient
from naru.remote.hosts import RegistryConfig
from naru.remote.transport import Limits


@dataclass
class Seen:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def authorization(self) -> str:
        return self.headers.get("authorization", "")


Answer = bytes | AsyncIterator[bytes]


@dataclass
class RawServer:
    """Answers each request by what `answer` returns, and closes; `GET /v2/` is answered by 200 unless `base` is given."""

    answer: Callable[[Seen], Answer]
    base: Callable[[Seen], Answer] | None = None
    seen: list[Seen] = field(default_factory=list)
    _handlers: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> RawServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.host = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for task in self._handlers:  # some answers never end by themselves
            task.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            method, target, _ = first.split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            seen = Seen(method, target, headers, body)
            if target == "/v2/" and self.base is None:
                answer: Answer = reply(200)
            elif target == "/v2/" and self.base is not None:
                self.seen.append(seen)
                answer = self.base(seen)
            else:
                self.seen.append(seen)
                answer = self.answer(seen)
            if isinstance(answer, bytes):
                writer.write(answer)
            else:
                async for piece in answer:
                    writer.write(piece)
                    await writer.drain()
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._handlers.discard(task)
            writer.close()


def reply(status: int, body: bytes | Any = b"", **headers: str) -> bytes:
    """An HTTP answer; Content-Length is true unless given as content_length."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {"Content-Length": str(len(raw)), "Connection": "close"}
    named.update({name.replace("_", "-").title(): value for name, value in headers.items()})
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + raw


def layer(data: bytes) -> Descriptor:
    return Descriptor(OCI_LAYER, Digest.of(data), len(data))


FAST = Limits(connect_s=2, answer_s=2, commit_s=5, piece_s=2, retries=3, backoff_s=0.001, retry_after_s=1)


def client(config: RegistryConfig | None = None, limits: Limits = FAST) -> RegistryClient:
    return RegistryClient(config or RegistryConfig(), "naru-test", limits=limits)
