from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from played import NO_CONTENT, UPGRADED, Played, chunked, json_answer

SOURCE = Path(__file__).parent.parent.parent / "src"
CODE = f"import sys; sys.path.insert(0, {str(SOURCE)!r}); from naru.__main__ import main; main()"


def in_terminal(server: Played, tmp_path: Path, *argv: str, typed: bytes) -> tuple[int, bytes]:
    """Run the command on a terminal of its own, typing once it has printed `#`; (exit code, what was seen)."""
    outer, inner = pty.openpty()
    environment = {"DOCKER_HOST": server.host, "DOCKER_CONFIG": str(tmp_path), "PATH": os.environ["PATH"]}
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", CODE, *argv], stdin=inner, stdout=inner, stderr=inner, env=environment
    )
    os.close(inner)
    seen = b""
    while True:
        try:
            seen += os.read(outer, 4096)
        except OSError:  # EIO: nobody holds the other side any more
            break
        if typed and b"#" in seen:
            os.write(outer, typed)
            typed = b""
    os.close(outer)
    return process.wait(timeout=10), seen


def shell(connection: socket.socket) -> None:
    """Prompts, and repeats what is typed, until it sees `exit`."""
    connection.sendall(UPGRADED + b"#\r\n")
    got = b""
    while b"exit" not in got:
        piece = connection.recv(100)
        if not piece:
            return
        got += piece
    connection.sendall(b"typed:" + got)


CREATED = json_answer('{"Id":"c0ffee"}')


def test_a_terminal_passes_every_key(daemon: Callable[..., Played], tmp_path: Path) -> None:
    server = daemon([CREATED, shell], [chunked(b'{"StatusCode":3}')], [NO_CONTENT, NO_CONTENT])
    code, seen = in_terminal(server, tmp_path, "run", "-it", "image", typed=b"\x03\r\x10x exit")
    assert (code, seen) == (3, b"#\r\ntyped:\x03\r\x10x exit")


def test_detach_keys_of_run(daemon: Callable[..., Played], tmp_path: Path) -> None:
    server = daemon([CREATED, shell], [chunked(b'{"StatusCode":3}')], [NO_CONTENT, NO_CONTENT])
    assert in_terminal(server, tmp_path, "run", "-it", "image", typed=b"\x10\x11") == (0, b"#\r\n")


def test_detach_keys_of_exec(daemon: Callable[..., Played], tmp_path: Path) -> None:
    server = daemon([CREATED, shell], [NO_CONTENT])
    code, seen = in_terminal(server, tmp_path, "exec", "-it", "--detach-keys", "ctrl-x", "c", "sh", typed=b"a\x18")
    assert (code, seen) == (1, b"#\r\nread escape sequence\r\n")
    assert server.body(1) == b'{"Detach":false,"Tty":true}'


def test_the_daemons_own_error(naru: Callable[..., Any], daemon: Callable[..., Played]) -> None:
    broken = UPGRADED + b"\x01\0\0\0\0\0\0\x02ok\x03\0\0\0\0\0\0\x04boom"
    server = daemon([CREATED, broken])
    ended = naru("exec", "c", "true", host=server.host)
    assert (ended.code, ended.out, ended.err) == (1, "ok", "error from daemon in stream: boom\n")
