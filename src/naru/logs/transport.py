"""Sockets to log servers: datagrams and streams, opened when they are needed, and again after a failure.

Both raise OSError when the server cannot be had; what was given is then to be given again. Nothing waits for ever.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

CONNECT_S = 10.0
SEND_S = 30.0
_ALL_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


@dataclass(frozen=True, slots=True)
class Address:
    """`unix` and `unixgram` have a path; `tcp`, `tls` and `udp` a host and port."""

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.path or f'{self.host}:{self.port}'}"


class Datagrams:
    def __init__(self, address: Address) -> None:
        self._address = address
        self._socket: socket.socket | None = None

    async def send(self, packets: Sequence[bytes]) -> None:
        """One after the other. Raises OSError; EMSGSIZE for one that does not fit."""
        loop = asyncio.get_running_loop()
        try:
            sock = self._socket = self._socket or await self._open()
            async with asyncio.timeout(SEND_S):
                for packet in packets:
                    await loop.sock_sendall(sock, packet)
        except OSError:
            self.close()
            raise

    async def _open(self) -> socket.socket:
        if self._address.scheme in ("unix", "unixgram"):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            target: object = self._address.path
        else:
            found = await asyncio.get_running_loop().getaddrinfo(
                self._address.host, self._address.port, type=socket.SOCK_DGRAM
            )
            sock, target = socket.socket(found[0][0], socket.SOCK_DGRAM), found[0][4]
        try:
            sock.setblocking(False)
            sock.connect(target)  # type: ignore[arg-type]
        except OSError:
            sock.close()
            raise
        return sock

    async def send_file(self, data: bytes) -> None:
        """The data in a sealed file whose descriptor is the datagram, as systemd's journal takes what is too large."""
        sock = self._socket = self._socket or await self._open()
        fd = os.memfd_create("journal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with open(fd, "wb", closefd=False) as file:
                file.write(data)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _ALL_SEALS)
            socket.send_fds(sock, [b""], [fd])
        finally:
            os.close(fd)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class Stream:
    def __init__(self, address: Address, tls: ssl.SSLContext | None = None) -> None:
        self._address = address
        self._tls = tls
        self._pair: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, data: bytes) -> None:
        """The kernel has it when this returns. Raises OSError."""
        try:
            async with asyncio.timeout(SEND_S):
                reader, writer = await self._connected()
                if reader.at_eof():
                    raise ConnectionResetError("the log server has closed the connection")
                writer.write(data)
                await writer.drain()
        except OSError:  # TimeoutError too
            self.close()
            raise

    async def receive(self) -> bytes:
        """What the server answers next. Raises OSError."""
        try:
            async with asyncio.timeout(SEND_S):
                reader, _ = await self._connected()
                if data := await reader.read(4096):
                    return data
                raise ConnectionResetError("the log server has closed the connection")
        except OSError:
            self.close()
            raise

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._pair is None:
            async with asyncio.timeout(CONNECT_S):
                if self._address.scheme == "unix":
                    self._pair = await asyncio.open_unix_connection(self._address.path)
                else:
                    self._pair = await asyncio.open_connection(self._address.host, self._address.port, ssl=self._tls)
            # so that a drain means that the kernel has it
            self._pair[1].transport.set_write_buffer_limits(high=0)
        return self._pair

    def close(self) -> None:
        if self._pair is not None:
            self._pair[1].transport.abort() if self._tls is not None else self._pair[1].close()
            self._pair = None
