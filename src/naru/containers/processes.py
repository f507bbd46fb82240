"""`top`: the processes of a container, read from the host's /proc. Nothing of the container's is executed."""

from __future__ import annotations

import os
import pwd
import time

from naru.containers.service import Containers
from naru.errors import Conflict, Internal
from naru.linux import process
from naru.linux.host import Host

_TITLES = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]


class Processes:
    def __init__(self, containers: Containers, host: Host) -> None:
        self._containers = containers
        self._host = host

    async def table(self, name: str, ps_args: str) -> tuple[list[str], list[list[str]]]:
        """(titles, rows) as `ps` with these arguments prints them. `-ef` is answered from /proc, others by the host's ps."""
        owner = self._containers.find(name)
        if not owner.record.state.status.is_live:
            raise Conflict(f"container {owner.record.id} is not running")
        owner.announce("top")
        pids = sorted(owner.cgroup().pids())
        if ps_args == "-ef":
            return _TITLES, [row for pid in pids if (row := _row(pid)) is not None]
        return await self._ps(ps_args, set(pids))

    async def _ps(self, arguments: str, pids: set[int]) -> tuple[list[str], list[list[str]]]:
        program = next((path for path in ("/usr/bin/ps", "/bin/ps") if os.path.exists(path)), None)
        if program is None:
            raise Internal("ps is not installed on the host")
        result = await process.run([program, *arguments.split()], env={"PATH": "/usr/bin:/bin"}, limit_bytes=8 << 20)
        if result.exit_code != 0:
            first = result.stderr.decode("utf-8", "replace").strip().splitlines()
            raise Internal(f"ps: {first[0] if first else f'exit code {result.exit_code}'}")
        lines = result.stdout.decode("utf-8", "replace").splitlines()
        titles = lines[0].split()
        if "PID" not in titles:
            raise Internal("Couldn't find PID field in ps output")
        column = titles.index("PID")
        rows = []
        for line in lines[1:]:
            fields = line.split(None, len(titles) - 1)
            if len(fields) == len(titles) and fields[column].isdigit() and int(fields[column]) in pids:
                rows.append(fields)
        return titles, rows


def _row(pid: int) -> list[str] | None:
    try:
        with open(f"/proc/{pid}/stat") as file:
            name, _, rest = file.read().partition(" (")[2].rpartition(") ")
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().rstrip(b"\0").split(b"\0")
        uid = os.stat(f"/proc/{pid}").st_uid
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = rest.split()
    tick = os.sysconf("SC_CLK_TCK")
    cpu_s = (int(fields[11]) + int(fields[12])) // tick
    started = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + int(fields[19]) / tick
    terminal = int(fields[4])
    return [
        _user(uid), str(pid), fields[1], "0", time.strftime("%H:%M", time.localtime(started)),
        f"pts/{terminal & 0xFF}" if terminal else "?", time.strftime("%H:%M:%S", time.gmtime(cpu_s)),
        b" ".join(words).decode("utf-8", "replace") or f"[{name}]",
    ]  # fmt: skip


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
