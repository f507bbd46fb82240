"""TLS under HTTP: half-closed streams, much data, strangers, and ends without a goodbye; certificates by openssl."""

from __future__ import annotations

import asyncio
import http.client
import os
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from naru.api.exchange import Exchange
from naru.api.server import Server
from naru.client.tls import TlsSocket

SUBJECT = "subjectAltName=IP:127.0.0.1"
UPGRADE = b"POST /attach HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with cert.pem and key.pem, self-signed."""
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=x -keyout key.pem -out cert.pem"
    subprocess.run([*command.split(), "-addext", SUBJECT], cwd=folder, check=True, capture_output=True)
    return folder


def contexts(folder: Path, *, ask: bool = False) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """(server's, client's); the server may ask for a certificate that it has signed itself."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    if ask:
        server.verify_mode = ssl.CERT_REQUIRED
        server.load_verify_locations(folder / "cert.pem")
    return server, ssl.create_default_context(cafile=str(folder / "cert.pem"))


def run(handler: Callable[[Exchange], Awaitable[None]], tls: ssl.SSLContext, client: Callable[[int], None]) -> None:
    """The client, in a thread, against a server of its own."""

    async def main() -> None:
        server, stop = Server(handler), asyncio.Event()
        with closing(socket.create_server(("127.0.0.1", 0))) as sock:
            sock.setblocking(False)
            async with asyncio.timeout(20), asyncio.TaskGroup() as group:
                group.create_task(server.serve(stop))
                await server.listen(sock, tls)
                try:
                    await asyncio.to_thread(client, sock.getsockname()[1])
                finally:
                    stop.set()

    asyncio.run(main())


async def whole(exchange: Exchange) -> None:
    """Answers, to all of the input at once, when it has ended."""
    duplex = await exchange.hijack(101, [("Connection", "Upgrade"), ("Upgrade", "tcp")])
    data = b""
    while piece := await duplex.read():
        data += piece
    await duplex.write(b"%d:" % len(data) + data[:10])


async def body(exchange: Exchange) -> None:
    await exchange.send(200, [], await exchange.body.read())


def received(sock: TlsSocket) -> bytes:
    out = b""
    while piece := sock.recv(1 << 16):
        out += piece
    return out


@pytest.mark.parametrize("size", [3, 5_000_000])
def test_the_input_may_end_before_the_output(certificate: Path, size: int) -> None:
    server, mine = contexts(certificate)

    def client(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as raw:
            sock = TlsSocket(raw, mine, "127.0.0.1")
            sock.sendall(UPGRADE + b"x" * size)
            sock.shutdown(socket.SHUT_WR)
            head, _, rest = received(sock).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101") and rest == b"%d:" % size + (b"x" * size)[:10]

    run(whole, server, client)


def test_bodies_and_connections_that_stay(certificate: Path) -> None:
    server, mine = contexts(certificate)

    def client(port: int) -> None:
        with (
            socket.create_connection(("127.0.0.1", port)) as raw,
            mine.wrap_socket(raw, server_hostname="127.0.0.1") as sock,
        ):
            for size in (0, 70_000, 3_000_000):
                sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + b"y" * size)
                with sock.makefile("rb") as file:
                    length = 0
                    while (line := file.readline()) != b"\r\n":
                        if line.lower().startswith(b"content-length:"):
                            length = int(line.split()[1])
                    assert length == size and file.read(length) == b"y" * size

    run(body, server, client)


async def bulk(exchange: Exchange) -> None:
    """Gives back what it was sent, both ways in bulk."""
    read_end, write_end = os.pipe()

    async def pour() -> None:
        await exchange.body.pour(write_end)
        os.close(write_end)

    pouring = asyncio.ensure_future(pour())
    await exchange.begin(200, [])

    def work(sink: Any) -> None:
        while data := os.read(read_end, 65536):
            sink.write(data)
        with tempfile.TemporaryFile() as file:
            file.write(b"file")
            file.seek(0)
            sink.send_file(file.fileno(), 6)  # two bytes more than it has

    await exchange.produce(work)
    await pouring
    os.close(read_end)


def test_bulk_is_encrypted_too(certificate: Path) -> None:
    server, mine = contexts(certificate)

    def client(port: int) -> None:
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=mine)
        sent = b"z" * 1_000_000
        connection.request("PUT", "/", sent)
        assert connection.getresponse().read() == sent + b"file\0\0"
        connection.close()

    run(bulk, server, client)


def test_who_has_no_certificate_is_told_so(certificate: Path) -> None:
    server, mine = contexts(certificate, ask=True)

    def client(port: int) -> None:
        with (
            socket.create_connection(("127.0.0.1", port)) as raw,
            pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"),
            mine.wrap_socket(raw, server_hostname="127.0.0.1") as sock,
        ):
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            sock.recv(100)
        mine.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
        with (
            socket.create_connection(("127.0.0.1", port)) as raw,
            mine.wrap_socket(raw, server_hostname="127.0.0.1") as sock,
        ):
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert sock.recv(100).startswith(b"HTTP/1.1 200")

    run(body, server, client)


def test_plain_http_gets_no_answer(certificate: Path) -> None:
    def client(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as raw:
            raw.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"HTTP" not in raw.recv(100)

    run(body, contexts(certificate)[0], client)


def test_an_end_without_goodbye_is_no_end_of_the_input(certificate: Path) -> None:
    server, mine = contexts(certificate)
    gone = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        duplex = await exchange.hijack(101, [])
        await duplex.closed.wait()
        gone.set()

    def client(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as raw:
            sock = TlsSocket(raw, mine, "127.0.0.1")
            sock.sendall(UPGRADE + b"half of it")
            sock.recv(1000)

    async def waiting(exchange: Exchange) -> None:
        await handler(exchange)

    run(waiting, server, client)
    assert gone.is_set()


def test_what_a_thread_sends_is_encrypted_too(certificate: Path, tmp_path: Path) -> None:
    server, mine = contexts(certificate)
    (tmp_path / "file").write_bytes(content := os.urandom(3_000_000))

    async def handler(exchange: Exchange) -> None:
        def work(sink: Any) -> None:
            with open(tmp_path / "file", "rb") as file:
                sink.write(b"head")
                sink.send_file(file.fileno(), len(content) + 5)

        await exchange.begin(200)
        await exchange.produce(work)

    def client(port: int) -> None:
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=mine)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"head" + content + bytes(5)
        connection.request("GET", "/")  # the connection is still good
        assert connection.getresponse().read(4) == b"head"
        connection.close()

    run(handler, server, client)


def test_a_thread_ends_with_its_client(certificate: Path) -> None:
    server, mine = contexts(certificate)
    ended: list[BaseException] = []

    async def handler(exchange: Exchange) -> None:
        def work(sink: Any) -> None:
            try:
                while True:
                    sink.write(bytes(1 << 18))
            except BaseException as error:
                ended.append(error)
                raise

        await exchange.begin(200)
        await exchange.produce(work)

    def client(port: int) -> None:
        with (
            socket.create_connection(("127.0.0.1", port)) as raw,
            mine.wrap_socket(raw, server_hostname="127.0.0.1") as sock,
        ):
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert sock.recv(100)

    run(handler, server, client)
    assert len(ended) == 1 and isinstance(ended[0], ConnectionError)
