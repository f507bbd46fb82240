"""A daemon of recorded bytes on a unix socket: it reads whole requests, keeps them, and answers what it was told to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

Answer = bytes | Callable[[socket.socket], None]  # a function takes over the connection after a request


def json_answer(body: str, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body.encode())}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def chunked(*pieces: bytes, status: str = "200 OK") -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return f"HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + body + b"0\r\n\r\n"


NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"


class Played:
    """`connections` is a list of answers for each connection, in the order in which they are made."""

    def __init__(self, path: Path, connections: Sequence[Sequence[Answer]]) -> None:
        self.host = f"unix://{path}"
        self.requests: list[bytes] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._threads: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept, args=(connections,))
        self._acceptor.start()

    def _accept(self, connections: Sequence[Sequence[Answer]]) -> None:
        for answers in connections:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed: the test made fewer connections
                return
            thread = threading.Thread(target=self._play, args=(connection, answers))
            thread.start()
            self._threads.append(thread)

    def _play(self, connection: socket.socket, answers: Sequence[Answer]) -> None:
        with connection, connection.makefile("rb") as file:
            for answer in answers:
                request = _read_request(file)
                if not request:
                    return
                self.requests.append(request)
                if callable(answer):
                    answer(connection)
                    return
                try:
                    connection.sendall(answer)
                except BrokenPipeError:
                    return

    @property
    def lines(self) -> list[str]:
        """The first line of each request, without the HTTP version."""
        return [request.split(b" HTTP/1.1\r\n", 1)[0].decode() for request in self.requests]

    def body(self, index: int = -1) -> bytes:
        return self.requests[index].partition(b"\r\n\r\n")[2]

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join()
        for thread in self._threads:
            thread.join()


def _read_request(file: object) -> bytes:
    """Head and body of one request; a chunked body is joined."""
    head = b""
    while True:
        line = file.readline()  # type: ignore[attr-defined]
        if not line:
            return b""
        head += line
        if line == b"\r\n":
            break
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        body = b""
        while size := int(file.readline() or b"0", 16):  # type: ignore[attr-defined]
            body += file.read(size)  # type: ignore[attr-defined]
            file.readline()  # type: ignore[attr-defined]
        file.readline()  # type: ignore[attr-defined]
        return head + body
    _, found, rest = lower.partition(b"content-length: ")
    return head + (file.read(int(rest.split(b"\r\n", 1)[0])) if found else b"")  # type: ignore[attr-defined]
