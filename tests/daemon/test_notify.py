"""Socket activation and notification, with real sockets and a real child that is given them as systemd gives them."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from naru.daemon.notify import chosen, notify, reloading, take_sockets
from naru.errors import InvalidArgument

CHILD = """
import os, sys
for n, fd in enumerate(map(int, sys.argv[2:])):
    os.dup2(fd, 3 + n)
from naru.daemon.notify import take_sockets
if sys.argv[1] == "mine":
    os.environ["LISTEN_PID"] = str(os.getpid())
try:
    for name, sock in take_sockets():
        print(name, sock.fileno(), sock.getsockname(), os.get_inheritable(sock.fileno()))
except Exception as error:
    print(error)
print(sorted(key for key in os.environ if key.startswith("LISTEN")))
"""


def activated(whose: str, *fds: int, names: str = "") -> list[str]:
    """What a child says that finds these descriptors at 3, 4, …"""
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in fds]
    command = [sys.executable, "-c", CHILD, whose, *map(str, high)]
    env = {**os.environ, "LISTEN_PID": "1", "LISTEN_FDS": str(len(fds)), "LISTEN_FDNAMES": names}
    try:
        done = subprocess.run(command, pass_fds=high, env=env, capture_output=True, text=True, check=True)
    finally:
        for fd in high:
            os.close(fd)
    return done.stdout.splitlines()


def test_all_sockets_for_us_are_taken_once(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as two:
        for sock, name in ((one, "one"), (two, "two")):
            sock.bind(str(tmp_path / name))
            sock.listen()
        assert activated("mine", one.fileno(), two.fileno(), names="api:more") == [
            f"api 3 {tmp_path}/one False", f"more 4 {tmp_path}/two False", "[]",
        ]  # fmt: skip


def test_sockets_for_somebody_else_are_left_alone(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "one"))
        sock.listen()
        assert activated("theirs", sock.fileno()) == ["[]"]


def test_what_does_not_listen_is_refused() -> None:
    with open("/dev/null") as file, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
        assert activated("mine", file.fileno())[0].startswith("file descriptor 3 passed by systemd is no socket")
        assert (
            activated("mine", datagrams.fileno())[0]
            == "file descriptor 3 passed by systemd is no listening stream socket"
        )


def test_which_sockets_fd_means() -> None:
    with socket.socket() as one, socket.socket() as two:
        sockets = [("api", one), ("more", two)]
        assert chosen(sockets, "") == chosen(sockets, "*") == [one, two]
        assert chosen(sockets, "more") == chosen(sockets, str(two.fileno())) == [two]
        with pytest.raises(InvalidArgument, match="failed to find systemd socket with identifier: x"):
            chosen(sockets, "x")
    with pytest.raises(InvalidArgument, match="no sockets found via socket activation"):
        chosen([], "")


@pytest.mark.parametrize("address", ["path", "@abstract"])
def test_notification(tmp_path: Path, address: str) -> None:
    name = f"@naru-{os.getpid()}" if address == "@abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name[1:] if name.startswith("@") else name)
        notify("READY=1", {"NOTIFY_SOCKET": name})
        notify(reloading(), {"NOTIFY_SOCKET": name})
        assert sock.recv(100) == b"READY=1" and sock.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")


def test_who_does_not_listen_any_more_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("nosuch", "closed"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(str(tmp_path / "closed")) if name == "closed" else None
        notify("STOPPING=1", {"NOTIFY_SOCKET": str(tmp_path / name)})
        assert "systemd is not told STOPPING=1" in caplog.messages[-1]


def test_nobody_wants_to_know() -> None:
    notify("READY=1", {})
    assert take_sockets({"LISTEN_FDS": "1"}) == []
