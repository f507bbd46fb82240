from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest
from played import NO_CONTENT, UPGRADED, Played, chunked, json_answer

from naru.client.engine import Client
from naru.client.http import quote
from naru.errors import Conflict, Unavailable

Play = Callable[..., tuple[Played, Client]]


def read(client: Client, method: str = "GET") -> bytes:
    return b"".join(client.stream(client.call(method, "/x")))


BODIES = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b""),
    (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    (chunked(b"he", b"l" * 70000, b"o"), b"he" + b"l" * 70000 + b"o"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n0\r\nTrailer: 1\r\n\r\n", b"ab"),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", b"x"),
    (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", b"until the end"),
    (NO_CONTENT, b""),
]


@pytest.mark.parametrize(("answer", "wanted"), BODIES)
def test_bodies(answer: bytes, wanted: bytes, play: Play) -> None:
    _, client = play([answer])
    assert read(client) == wanted


BROKEN = [
    b"nonsense\r\n\r\n",
    b"HTTP/1.1 abc\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Le",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    b"",
]


@pytest.mark.parametrize("answer", BROKEN)
def test_broken_answers(answer: bytes, play: Play) -> None:
    _, client = play([answer])
    with pytest.raises(Unavailable):
        read(client)


def test_one_connection_for_several_requests(play: Play) -> None:
    server, client = play([json_answer("1"), NO_CONTENT, chunked(b"3")])
    assert [read(client) for _ in range(3)] == [b"1", b"", b"3"]
    assert len(server.requests) == 3


def test_an_idle_connection_that_was_closed_is_replaced(play: Play) -> None:
    server, client = play([json_answer("1")], [json_answer("2")])
    assert (read(client), read(client)) == (b"1", b"2")
    assert server.lines == ["GET /v1.51/x"] * 2


def test_a_first_connection_that_closes_is_an_error(play: Play) -> None:
    _, client = play([b""], [json_answer("2")])
    with pytest.raises(Unavailable, match="EOF"):
        read(client)


def test_body_in_pieces(play: Play) -> None:
    server, client = play([NO_CONTENT, json_answer("{}")])
    client.negotiate()
    pieces = [b"a" * 100000, b"", b"b" * 10]
    assert b"".join(client.stream(client.call("POST", "/load", None, iter(pieces)))) == b"{}"
    assert server.body() == b"a" * 100000 + b"b" * 10


def test_a_refused_body_is_not_sent_to_the_end(play: Play) -> None:
    sent = []

    def endless() -> Iterator[bytes]:
        for number in range(10000):
            sent.append(number)
            yield b"x" * 65536

    def refuse(connection: socket.socket) -> None:
        connection.sendall(json_answer('{"message":"no space left"}', "409 Conflict"))

    # the head is answered at once: the recorded server never reads the body
    def early(connection: socket.socket) -> None:
        connection.recv(65536)
        refuse(connection)

    _, client = _played_early(play, early)
    with pytest.raises(Conflict, match="no space left"):
        client.call("POST", "/load", None, endless())
    assert len(sent) < 10000


def _played_early(play: Play, early: Callable[[socket.socket], None]) -> tuple[Played, Client]:
    server, client = play([NO_CONTENT])
    client.negotiate()
    client.close()
    path = server.host.removeprefix("unix://") + "2"
    import threading

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def accept() -> None:
        connection, _ = listener.accept()
        with connection, listener:
            early(connection)

    threading.Thread(target=accept).start()
    client.endpoint.address = path
    return server, client


def test_a_server_that_answers_while_it_reads(play: Play) -> None:
    """Both sides have more to say than the socket buffers hold: whoever waited for the other first would hang."""
    size = 4 << 20

    def both(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"y" * size)
        got = 0
        while got < size:
            got += len(connection.recv(1 << 16))

    _, client = _played_early(play, both)
    answer = client.call("POST", "/build", None, iter([b"x" * size]))
    assert b"".join(client.stream(answer)) == b"y" * size


def test_errors_of_the_body_come_through(play: Play) -> None:
    def bad() -> Iterator[bytes]:
        yield b"x"
        raise Conflict("the file changed")

    _, client = play([NO_CONTENT, json_answer("{}")])
    client.negotiate()
    with pytest.raises(Conflict, match="the file changed"):
        client.call("POST", "/load", None, bad())


def test_upgrade(play: Play) -> None:
    def echo(connection: socket.socket) -> None:
        connection.sendall(UPGRADED + b"first")
        data = b""
        while piece := connection.recv(1024):
            data += piece
        connection.sendall(data.upper())  # after our half-close

    _, client = play([echo])
    stream = client.upgrade("/containers/x/attach", {"stdin": True})
    assert stream.receive() == b"first"
    assert stream.receive() is None
    assert stream.send(b"hello") == 5
    stream.close_write()
    got = b""
    while (piece := stream.receive()) != b"":
        got += piece or b""
    assert got == b"HELLO"
    stream.close()


@pytest.mark.parametrize(
    ("text", "wanted"), [("a/b:c", "a/b:c"), ("a b+é%", "a%20b%2B%C3%A9%25"), ("x?y=&", "x%3Fy%3D%26")]
)
def test_quote(text: str, wanted: str) -> None:
    assert quote(text) == wanted
