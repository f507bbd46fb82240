"""Control groups by path, on v1 and v2 alike: who is in one, freeze, thaw, kill, remove, and what it has used."""

from __future__ import annotations

import errno
import os
import select
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field

from naru.linux.host import CGROUP_ROOT, Host

_FREEZE_S = 10.0
# The v1 controllers whose trees a container's group lives in; `systemd` is the named one.
_V1 = ("pids", "freezer", "memory", "cpu", "cpuacct", "cpuset", "blkio", "devices", "hugetlb", "net_cls", "systemd")


@dataclass(frozen=True, slots=True)
class Usage:
    """Counters of one moment; bytes and nanoseconds."""

    cpu_ns: int = 0
    cpu_user_ns: int = 0
    cpu_system_ns: int = 0
    throttled_periods: int = 0
    periods: int = 0
    throttled_ns: int = 0
    memory_bytes: int = 0
    memory_limit_bytes: int = 0
    memory_stat: dict[str, int] = field(default_factory=dict)
    pids: int = 0
    pids_limit: int = 0
    io_bytes: tuple[tuple[int, int, str, int], ...] = ()  # (major, minor, Read|Write, bytes)
    # What only v1 counts:
    cpus_ns: tuple[int, ...] = ()  # of each processor
    memory_peak_bytes: int = 0


def vacate_root(host: Host) -> None:
    """Move everybody in the root group of a v2 cgroup namespace (a container that a daemon runs in) to the group `/init`.

    A group that has processes cannot give its members controllers; only the host's true root may (cgroup-v2, "No Internal
    Process Constraint"). Does nothing elsewhere. Raises OSError, as for a cgroup file system that is mounted read-only.
    """
    if host.cgroup_version != 2 or not os.path.exists(f"{CGROUP_ROOT}/cgroup.type"):  # which the true root has not
        return
    moved: set[int] = set()
    while left := set(_procs(CGROUP_ROOT)) - moved - {0}:  # 0 stands for a process of another pid namespace
        os.makedirs(f"{CGROUP_ROOT}/init", exist_ok=True)
        for pid in left:
            with suppress(ProcessLookupError), open(f"{CGROUP_ROOT}/init/cgroup.procs", "w") as file:
                file.write(str(pid))
        moved |= left


class Cgroup:
    """The group `path` ("/naru/<id>") in every hierarchy of the host. A group that does not exist is empty."""

    def __init__(self, host: Host, path: str) -> None:
        self.path = path
        self._v2 = host.cgroup_version == 2
        roots = (
            [CGROUP_ROOT] if self._v2 else [f"{CGROUP_ROOT}/{c}" for c in _V1 if os.path.isdir(f"{CGROUP_ROOT}/{c}")]
        )
        self._dirs = [root + path for root in roots]

    def _dir(self, controller: str) -> str:
        return CGROUP_ROOT + self.path if self._v2 else f"{CGROUP_ROOT}/{controller}{self.path}"

    def pids(self) -> list[int]:
        """Every process in the group or below, in no order."""
        found: list[int] = []
        for folder, _, _ in os.walk(self._dir("pids")):
            with suppress(OSError):
                found += _procs(folder)
        return found

    def exists(self) -> bool:
        return any(os.path.isdir(folder) for folder in self._dirs)

    def freeze(self, frozen: bool) -> None:
        """Stop every process of the group, or let them go on. On v2 that has happened when this returns; it blocks until
        then. Raises OSError; TimeoutError, with everything running as before, if some process cannot be stopped."""
        if not self._v2:
            with open(f"{self._dir('freezer')}/freezer.state", "w") as file:
                file.write("FROZEN" if frozen else "THAWED")
            return
        folder = self._dir("")
        with open(f"{folder}/cgroup.events") as events:
            with open(f"{folder}/cgroup.freeze", "w") as file:
                file.write("1" if frozen else "0")
            if not _await_event(events.fileno(), f"frozen {int(frozen)}", _FREEZE_S):
                with open(f"{folder}/cgroup.freeze", "w") as file:
                    file.write("0")
                raise TimeoutError(errno.ETIMEDOUT, "freeze: some process cannot be stopped", folder)

    def lift_pids_limit(self) -> None:
        """Let it have as many processes as it likes; without the controller it may already. Raises OSError."""
        with suppress(FileNotFoundError), open(f"{self._dir('pids')}/pids.max", "w") as file:
            file.write("max")

    def is_frozen(self) -> bool:
        path = f"{self._dir('')}/cgroup.freeze" if self._v2 else f"{self._dir('freezer')}/freezer.state"
        try:
            with open(path) as file:
                return file.read().strip() in ("1", "FROZEN", "FREEZING")
        except OSError:
            return False

    def kill(self) -> None:
        """SIGKILL for everybody in the group, frozen ones included."""
        if self._v2:
            try:
                with open(f"{self._dir('')}/cgroup.kill", "w") as file:
                    file.write("1")
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENODEV):  # there is no such group, or none any more
                    raise
            return
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.is_frozen():
            self.freeze(False)

    def end(self, timeout_s: float) -> bool:
        """Kill everybody and take the group away; blocks until they have ended. False if that took too long."""
        deadline = time.monotonic() + timeout_s
        while not self.remove():
            self.kill()
            for pid in self.pids():
                if not _await_end(pid, deadline - time.monotonic()):
                    return False
        return True

    def remove(self) -> bool:
        """Take the (empty) group away in every hierarchy; False if some process still lives in it."""
        return all([_remove(folder) for folder in self._dirs])

    def _text(self, controller: str, name: str) -> str:
        try:
            with open(f"{self._dir(controller)}/{name}") as file:
                return file.read()
        except OSError:
            return ""

    def _number(self, controller: str, name: str) -> int:
        text = self._text(controller, name).strip()
        return int(text) if text.isdigit() else 0

    def _table(self, controller: str, name: str) -> dict[str, int]:
        pairs = (line.split() for line in self._text(controller, name).splitlines())
        return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}

    def usage(self) -> Usage:
        return self._usage_v2() if self._v2 else self._usage_v1()

    def _usage_v2(self) -> Usage:
        cpu = self._table("", "cpu.stat")
        io = []
        for line in self._text("", "io.stat").splitlines():
            device, *pairs = line.split()
            major, minor = map(int, device.split(":"))
            values = dict(pair.split("=") for pair in pairs)
            io += [
                (major, minor, "Read", int(values.get("rbytes", 0))),
                (major, minor, "Write", int(values.get("wbytes", 0))),
            ]
        return Usage(
            cpu.get("usage_usec", 0) * 1000, cpu.get("user_usec", 0) * 1000, cpu.get("system_usec", 0) * 1000,
            cpu.get("nr_throttled", 0), cpu.get("nr_periods", 0), cpu.get("throttled_usec", 0) * 1000,
            self._number("", "memory.current"), self._number("", "memory.max"), self._table("", "memory.stat"),
            self._number("", "pids.current"), self._number("", "pids.max"), tuple(io),
        )  # fmt: skip

    def _usage_v1(self) -> Usage:
        throttling = self._table("cpu", "cpu.stat")
        split = self._table("cpuacct", "cpuacct.stat")
        tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
        io = []
        for line in self._text("blkio", "blkio.throttle.io_service_bytes").splitlines():
            parts = line.split()
            if len(parts) == 3 and parts[1] in ("Read", "Write"):
                major, minor = map(int, parts[0].split(":"))
                io.append((major, minor, parts[1], int(parts[2])))
        return Usage(
            self._number("cpuacct", "cpuacct.usage"), split.get("user", 0) * tick_ns, split.get("system", 0) * tick_ns,
            throttling.get("nr_throttled", 0), throttling.get("nr_periods", 0), throttling.get("throttled_time", 0),
            self._number("memory", "memory.usage_in_bytes"), self._number("memory", "memory.limit_in_bytes"),
            self._table("memory", "memory.stat"), self._number("pids", "pids.current"), self._number("pids", "pids.max"), tuple(io),
            tuple(map(int, self._text("cpuacct", "cpuacct.usage_percpu").split())),
            self._number("memory", "memory.max_usage_in_bytes"),
        )  # fmt: skip


def _remove(folder: str) -> bool:
    """rmdir, after all that is below."""
    try:
        os.rmdir(folder)
    except FileNotFoundError:
        return True
    except OSError:
        try:
            below = [entry.path for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:  # somebody else has just done it
            return True
        return bool(below) and all([_remove(inner) for inner in below]) and _remove(folder)
    return True


def _procs(folder: str) -> list[int]:
    with open(f"{folder}/cgroup.procs") as file:
        return [int(word) for word in file.read().split()]


def _await_event(fd: int, line: str, timeout_s: float) -> bool:
    """Wait until cgroup.events, open as fd, has this line (the kernel reports a change of it as POLLPRI); False if late."""
    deadline = time.monotonic() + timeout_s
    poller = select.poll()
    poller.register(fd, select.POLLPRI)
    while line not in os.pread(fd, 4096, 0).decode().splitlines():
        if not poller.poll(max(0, deadline - time.monotonic()) * 1000):
            return False
    return True


def _await_end(pid: int, timeout_s: float) -> bool:
    """Wait until a process has ended; False if late."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([pidfd], [], [], max(0, timeout_s))[0])
    finally:
        os.close(pidfd)
