"""systemd's two protocols: sockets it has opened for us (sd_listen_fds(3)), and what we tell it (sd_notify(3))."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping, MutableMapping

from naru.errors import InvalidArgument

log = logging.getLogger(__name__)
_FIRST_FD = 3  # SD_LISTEN_FDS_START


def take_sockets(environment: MutableMapping[str, str] = os.environ) -> list[tuple[str, socket.socket]]:
    """(name, listening socket) for each that systemd has passed to this very process; none if it has not.

    The variables are taken away, so that no child believes they are for it. Raises InvalidArgument for what is no
    listening stream socket.
    """
    passed = {name: environment.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")}
    if passed["LISTEN_PID"] != str(os.getpid()) or not passed["LISTEN_FDS"].isdigit():
        return []
    count = int(passed["LISTEN_FDS"])
    names = passed["LISTEN_FDNAMES"].split(":") if passed["LISTEN_FDNAMES"] else []
    return [
        (names[index] if index < len(names) else "unknown", _listening(_FIRST_FD + index)) for index in range(count)
    ]


def _listening(fd: int) -> socket.socket:
    try:
        os.set_inheritable(fd, False)
        sock = socket.socket(fileno=fd)
    except OSError as error:
        raise InvalidArgument(f"file descriptor {fd} passed by systemd is no socket: {error.strerror}") from error
    if sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.detach()
        raise InvalidArgument(f"file descriptor {fd} passed by systemd is no listening stream socket")
    sock.setblocking(False)
    return sock


def chosen(sockets: list[tuple[str, socket.socket]], wanted: str) -> list[socket.socket]:
    """Those that `fd://WANTED` means: all of them for "" and "*", else one by its number or name. Raises InvalidArgument."""
    if not sockets:
        raise InvalidArgument(
            f"no sockets found via socket activation for fd://{wanted}: make sure the service was started by systemd"
        )
    if wanted in ("", "*"):
        return [sock for _, sock in sockets]
    found = [sock for name, sock in sockets if name == wanted or str(sock.fileno()) == wanted]
    if not found:
        raise InvalidArgument(f"failed to find systemd socket with identifier: {wanted}")
    return found


def notify(state: str, environment: Mapping[str, str] = os.environ) -> None:
    """Tell systemd, if it wants to know: READY=1, STOPPING=1, RELOADING=1, STATUS=…, one per line."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
        except OSError as error:  # who does not listen must not keep us from starting or stopping
            log.warning("systemd is not told %s: %s", state.partition("\n")[0], error.strerror)


def reloading() -> str:
    """What precedes a reload: systemd counts the READY=1 that comes after this moment (Type=notify-reload)."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"
