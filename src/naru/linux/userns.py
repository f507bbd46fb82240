"""User namespaces without processes: held by a descriptor, gone with their last user. See user_namespaces(7).

Neither a thread of ours can enter one (the kernel wants a process with one thread) nor are we to be forked, so a short
child does it: `unshare` (util-linux) with `cat` in it, whose echo says that the namespaces are there. We write its maps, open its
namespaces, and end it. A network namespace that is to be the container's own must be made in its user namespace, or the
kernel denies it its /sys and its settings.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from naru.linux import netns, process
from naru.linux.netlink import LOOPBACK, Netlink, set_up

OVERFLOW_ID = 65534  # what the kernel shows for an owner that has no id in the namespace
PROGRAMS = ("unshare", "nsenter", "cat")
_ALL_IDS = 2**32 - 1
_ERROR_BYTES = 4096


@dataclass(frozen=True, slots=True)
class IdRange:
    """A line of /proc/<pid>/uid_map."""

    inside: int
    outside: int
    size: int


@dataclass(frozen=True, slots=True)
class IdMaps:
    uids: tuple[IdRange, ...]
    gids: tuple[IdRange, ...]

    @property
    def root(self) -> tuple[int, int]:
        """The host's user and group for 0:0 inside."""
        return _outside(self.uids, 0), _outside(self.gids, 0)

    def inside(self, uid: int, gid: int) -> tuple[int, int]:
        """What the host's owner is called inside."""
        return _inside(self.uids, uid), _inside(self.gids, gid)


def _outside(ranges: Sequence[IdRange], id: int) -> int:
    return next((r.outside + id - r.inside for r in ranges if 0 <= id - r.inside < r.size), OVERFLOW_ID)


def _inside(ranges: Sequence[IdRange], id: int) -> int:
    return next((r.inside + id - r.outside for r in ranges if 0 <= id - r.outside < r.size), OVERFLOW_ID)


def maps_of(pid: int) -> IdMaps | None:
    """Those of a process; None in a namespace in which all ids are the host's. Raises OSError."""
    maps = IdMaps(*(_read(f"/proc/{pid}/{kind}_map") for kind in ("uid", "gid")))
    return None if maps.uids == maps.gids == (IdRange(0, 0, _ALL_IDS),) else maps


def _read(path: str) -> tuple[IdRange, ...]:
    with open(path) as file:
        return tuple(IdRange(*map(int, line.split())) for line in file)


def create(maps: IdMaps, programs: Mapping[str, str]) -> tuple[int, int]:
    """Descriptors of a new user namespace and of a network namespace that belongs to it, in which `lo` is up. Blocks some
    3 ms; the caller closes both. Raises OSError."""
    with _held([programs["unshare"], "--user", "--net", programs["cat"]]) as pid, ExitStack() as undo:
        for kind, ranges in (("uid", maps.uids), ("gid", maps.gids)):
            with open(f"/proc/{pid}/{kind}_map", "wb", buffering=0) as file:  # the kernel takes one write
                file.write("".join(f"{r.inside} {r.outside} {r.size}\n" for r in ranges).encode())
        user = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        undo.callback(os.close, user)
        network = _network_of(pid)
        undo.pop_all()
        return user, network


def create_network(user_namespace: str, programs: Mapping[str, str]) -> int:
    """A descriptor of a new network namespace that belongs to an existing user namespace, in which `lo` is up."""
    argv = [programs["nsenter"], f"--user={user_namespace}", programs["unshare"], "--net", programs["cat"]]
    with _held(argv) as pid:
        return _network_of(pid)


def _network_of(pid: int) -> int:
    fd = netns.open_of(pid)
    try:
        netns.inside(fd, _raise_loopback)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _raise_loopback() -> None:
    with Netlink() as netlink:
        netlink.run(set_up(LOOPBACK))


@contextmanager
def _held(argv: Sequence[str]) -> Iterator[int]:
    """The pid of the program, once its `cat` answers; it has ended at the end. Raises OSError in its own words."""
    with ExitStack() as undo:
        inputs, outputs, errors = os.pipe(), os.pipe(), os.memfd_create("stderr", os.MFD_CLOEXEC)
        undo.callback(os.close, errors)
        try:
            pid = process.spawn(argv, env={}, fds={0: inputs[0], 1: outputs[1], 2: errors})
            undo.callback(process.kill_and_reap, pid)
        finally:
            os.close(inputs[0])
            os.close(outputs[1])
            undo.callback(os.close, inputs[1])
            undo.callback(os.close, outputs[0])
        with suppress(BrokenPipeError):  # it has ended already: `errors` has why
            os.write(inputs[1], b"\n")
        if os.read(outputs[0], 1) != b"\n":
            reason = os.pread(errors, _ERROR_BYTES, 0).decode("utf-8", "replace").strip()
            raise OSError(0, f"cannot make a user namespace: {reason}")
        yield pid
