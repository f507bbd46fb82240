"""conmon and the OCI runtime: how a container's processes are started, watched and found again.

One conmon (a small C process) per running container holds its stdio, writes its log and its exit code, and goes on when
the daemon dies. It is started in a private mount namespace in which the root file system has been mounted, so the
mounts end with it. Everything of a run lives in one directory, `<exec-root>/containers/<id>`, the OCI bundle:

    config.json   the runtime spec          rootfs/   where the root file system is mounted
    pid           pid of the first process  attach    conmon's socket of attached streams
    exit          exit code, at the end     oom       exists if the kernel ran out of memory for it
    ctl, winsz    conmon's fifos: terminal size

Launching is two steps, so that streams can be attached in between: `create` (conmon, runtime create: the first process
waits) and `start` (runtime start: it runs). Nothing here decides; `owner` does.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import signal
import struct
import termios
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from typing import Any

from naru.containers import conmon, survivors
from naru.containers.conmon import Stdio
from naru.containers.runtimes import Program, Runtimes
from naru.containers.seccomp import FILTER_ANNOTATION
from naru.containers.watching import Files
from naru.errors import Internal
from naru.linux import process
from naru.linux.cgroup import Cgroup
from naru.linux.files import contains, keep_apart
from naru.linux.heldmounts import HeldMounts
from naru.linux.host import UNIFIED, Host
from naru.linux.identity import Process
from naru.linux.mounts import Without, run_in_namespace_of, run_in_private_namespace
from naru.linux.moves import Moves
from naru.linux.nulldevice import open_private
from naru.linux.rlimits import Rlimit, allow
from naru.linux.sealed import SealedProgram
from naru.linux.syscalls import umount
from naru.linux.trash import Trash
from naru.linux.withheld import WithheldFile

log = logging.getLogger(__name__)
_ENV = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "TZ": "UTC0",  # conmon's log times
}
KILL_GRACE_S = 10.0  # for killed processes to be gone
_SYNC_LIMIT_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Exit:
    code: int
    finished_ns: int
    oom_killed: bool

    def ran_ns(self, started_ns: int) -> int:
        return max(0, self.finished_ns - started_ns)


class RuntimeFailure(Exception):
    """The runtime refused; `str()` is its own message."""


class Runtime:
    """The OCI runtimes and conmon of this daemon; `root` is `<exec-root>`. `runtime` is its own one, by name or path;
    `named` are those of the user's, by label, and `default` the label of the one for containers that name none."""

    def __init__(
        self, host: Host, root: str, runtime: str = "crun", named: Mapping[str, Program] | None = None, default: str = "",
    ) -> None:  # fmt: skip
        self.host = host
        self.root = root
        self._conmon = host.program("conmon")
        program = runtime if runtime.startswith("/") else host.program(runtime)
        self.name = os.path.basename(program)
        for folder in ("containers", "runtime", "exits", "execs"):
            os.makedirs(f"{root}/{folder}", mode=0o700, exist_ok=True)
        for folder in ("containers", "runtime"):
            keep_apart(f"{root}/{folder}")
        self._undo = ExitStack()
        self._trash = Trash(f"{root}/trash")
        self._undo.callback(self._trash.close)
        self.mounts = self._undo.enter_context(closing(HeldMounts()))  # of root file systems, by container
        self._null = open_private(f"{root}/trash")
        self._undo.callback(os.close, self._null)
        own = Program(self._seal(program), name=self.name, takes_filter=contains(program, FILTER_ANNOTATION.encode()))
        self.programs = Runtimes(own, named or {}, default)
        self.exits, self.execs = Files(f"{root}/exits"), Files(f"{root}/execs")
        self._undo.callback(self.exits.close)
        self._undo.callback(self.execs.close)
        self._without_unified = self._undo.enter_context(closing(Without(UNIFIED))) if host.hybrid else None
        self.moves = self._undo.enter_context(closing(Moves(host)))

    def _seal(self, program: str) -> str:
        try:
            sealed = SealedProgram(program)
        except OSError as error:
            log.info("%s is not kept in memory: %s", program, error.strerror)
            return program
        self._undo.callback(sealed.close)
        return sealed.name

    def close(self) -> None:
        """Let go of descriptors; what runs goes on."""
        self._undo.close()

    @property
    def label(self) -> str:
        """Of the runtime of containers that name none."""
        return self.programs.default

    def _command(self, id: str) -> list[str]:
        return self.programs.of(id).command(f"{self.root}/runtime")

    def bundle(self, id: str) -> str:
        return f"{self.root}/containers/{id}"

    def make_bundle(self, id: str) -> str:
        """An empty bundle directory, whatever an earlier run left there."""
        bundle = self.bundle(id)
        if os.path.exists(bundle):
            self.remove_run(id)
        os.mkdir(bundle, 0o700)
        os.mkdir(f"{bundle}/rootfs", 0o700)
        return bundle

    def _hide_unified(self) -> None:
        if self.host.hybrid:  # crun refuses hosts with controllers on both trees
            umount(UNIFIED)

    async def create(
        self,
        id: str,
        prepare: Callable[[], bytes],
        stdio: Stdio,
        *,
        restore: Sequence[str] = (),
        soon: bool = False,
        on_spawn: Callable[[], None] = lambda: None,
    ) -> tuple[Process, int]:
        """Bring a container to the point where only `start` is missing: (monitor, pid of its first process). With the words
        of `criu.restore_words` it runs already, from where a checkpoint was taken.

        `prepare` runs in the private mount namespace, mounts what the bundle needs and returns config.json. If that will be done
        `soon`, and the monitor needs nothing that it mounts, monitor and runtime start meanwhile, as far as they come without
        that file. `on_spawn` is called when it is done and they run. Raises RuntimeFailure, and whatever prepare raises; then nothing is left running.
        """
        bundle = self.bundle(id)
        sync_read, sync_write = os.pipe()
        begun: list[int] = []

        def begin() -> None:
            runtime = self._command(id)
            if not os.access(runtime[0], os.X_OK):  # conmon would end without a word
                raise RuntimeFailure(f"unable to retrieve OCI runtime error: {runtime[0]} is not installed")
            argv = [*conmon.command(self._conmon, id, bundle, f"{self.root}/exits", runtime, stdio), *restore]
            begun.append(process.spawn(argv, env={**_ENV, "_OCI_SYNCPIPE": "3"}, fds={3: sync_write}))

        def launch() -> None:
            self.mounts.let_go(id)  # no two mounts may have the same upper directory
            self._hide_unified()
            os.chdir(bundle)  # of this thread alone; conmon notes an out-of-memory kill in its working directory
            with WithheldFile(f"{bundle}/config.json") as config:
                if soon and config.is_withheld:
                    begin()
                config.write(prepare())
            if not begun:
                begin()

        try:
            await run_in_private_namespace(launch)
        except BaseException:
            os.close(sync_read)
            for pid in begun:
                await self._end_creation(id, pid)
            raise
        finally:
            os.close(sync_write)
        [pid] = begun
        on_spawn()
        return await self._confirm(id, pid, sync_read)

    async def _confirm(self, id: str, pid: int, sync_read: int) -> tuple[Process, int]:
        """The monitor with this pid has told whether the container is there. Closes the descriptor. Raises RuntimeFailure, and
        then neither is."""
        try:
            answer = await _read_line(sync_read)
        except BaseException:
            await self._end_creation(id, pid)
            raise
        finally:
            os.close(sync_read)
        container_pid = int(answer.get("data", -1))
        monitor = Process.of(pid)
        if container_pid <= 0 or monitor is None:
            await self._end_creation(id, pid)
            raise RuntimeFailure(str(answer.get("message") or "the runtime failed without a word").strip())
        return monitor, container_pid

    async def _end_creation(self, id: str, monitor: int) -> None:
        """Neither the monitor, a child of ours, nor the runtime goes on: it would make cgroups after we have cleared them."""
        child = process.Child(monitor)
        with suppress(ProcessLookupError):
            child.signal(signal.SIGKILL)
        await child.wait_exit()
        for found, runtime in survivors.find(self.root)[1]:
            if found == id:
                runtime.kill()
                await runtime.wait_end_within(KILL_GRACE_S)

    async def start(self, id: str) -> None:
        """Let the created container's first process run. Raises RuntimeFailure.

        It waits for a byte in the runtime's fifo. For crun we write it ourselves, which is all that `crun start` does for a
        container without hooks, and spares a process; any surprise there falls back to that command.
        """
        if not (self.programs.of(id).is_crun and _open_gate(f"{self.root}/runtime/{id}/exec.fifo")):
            await self._call(id, "start", id)

    async def update(self, id: str, resources: dict[str, Any]) -> None:
        """Set limits of a running container (`linux.resources` of the runtime spec). Raises RuntimeFailure."""
        path = f"{self.bundle(id)}/resources.json"
        with open(path, "w") as file:
            json.dump(resources, file)
        await self._call(id, "update", f"--resources={path}", id)

    async def checkpoint(self, id: str, monitor: Process, words: Sequence[str]) -> None:
        """Run `checkpoint` where the container's mounts are: with its monitor. Raises RuntimeFailure."""
        await self._call(id, "checkpoint", *words, id, inside=monitor)

    async def _call(self, id: str, *words: str, inside: Process | None = None) -> None:
        error = os.memfd_create("stderr", os.MFD_CLOEXEC)
        try:
            child = process.Child(await self.spawn(words, container=id, fds={2: error}, inside=inside))
            if await child.wait_exit() != 0:
                os.lseek(error, 0, os.SEEK_SET)
                raise RuntimeFailure(os.read(error, _SYNC_LIMIT_BYTES).decode("utf-8", "replace").strip())
        finally:
            os.close(error)

    async def spawn(
        self,
        words: Sequence[str],
        *,
        container: str = "",
        fds: Mapping[int, int],
        log: str = "",
        prepare: Callable[[], None] | None = None,
        oom_score_adj: int = 0,
        limits: Sequence[Rlimit] = (),
        inside: Process | None = None,
    ) -> int:
        """Run a container's runtime (or our own one) with these words; its pid. With `log`, its own errors go there, as JSON
        lines; `prepare` runs first, in the private mount namespace that the runtime then lives in, unless that is to be
        `inside` a process's. What crun executes in a container inherits `oom_score_adj`, where otherwise it would be
        protected as the daemon is. It may give itself `limits`."""
        command = self._command(container)
        options = [f"--log={log}", "--log-format=json"] if log else []

        nulls = {number: self._null for number in (0, 1, 2) if fds.get(number, process.DEVNULL) == process.DEVNULL}

        def run() -> int:
            pid = process.spawn([*command, *options, *words], env=_ENV, fds={**fds, **nulls})
            with suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/oom_score_adj", "w") as file:
                file.write(str(oom_score_adj))
            with suppress(ProcessLookupError):
                allow(pid, limits)
            return pid

        if inside is not None:
            return await run_in_namespace_of(inside.pid, run)
        if prepare is None:
            return run() if self._without_unified is None else await self._without_unified.run(run)

        def prepare_and_run() -> int:
            prepare()
            self._hide_unified()
            return run()

        return await run_in_private_namespace(prepare_and_run)

    @staticmethod
    def last_error(log: str) -> str:
        """The last error in a JSON log of the runtime; "" if it wrote none."""
        try:
            with open(log, "rb") as file:
                lines = file.read(_SYNC_LIMIT_BYTES).decode("utf-8", "replace").splitlines()
        except FileNotFoundError:
            return ""
        for line in reversed(lines):
            try:
                value = json.loads(line)
            except ValueError:
                continue
            if isinstance(value, dict) and value.get("level") in ("error", "fatal"):
                return str(value.get("msg"))
        return ""

    def read_exit(self, id: str) -> Exit | None:
        """What the monitor left; None if it left nothing (it was killed, or the host went down)."""
        for path in (f"{self.root}/exits/{id}", f"{self.bundle(id)}/exit"):
            try:
                with open(path) as file:
                    code = int(file.read().strip() or "255")
                    finished_ns = os.fstat(file.fileno()).st_mtime_ns
            except (FileNotFoundError, ValueError):
                continue
            return Exit(code, finished_ns, os.path.exists(f"{self.bundle(id)}/oom"))
        return None

    def remove_run(self, id: str) -> None:
        """Forget a run that has ended: runtime state, exit file, and last the bundle, by which `runs` knows it. Idempotent."""
        self._trash.throw(f"{self.root}/runtime/{id}")
        with suppress(FileNotFoundError):
            os.unlink(f"{self.root}/exits/{id}")
        self._trash.throw(self.bundle(id))
        self.mounts.let_go_soon(id)

    async def bury(self, id: str, group: Cgroup) -> None:
        """`remove_run`, after the end of whoever still lives in the run's group."""
        await asyncio.to_thread(self._bury, id, group)

    def _bury(self, id: str, group: Cgroup) -> None:
        if not group.end(KILL_GRACE_S):
            log.error("%s: its processes do not end", group.path)
        self.remove_run(id)  # last: what is killed in between is found by its bundle, and cleared

    def runs(self) -> list[str]:
        """Ids of all runs with a bundle, ended ones included."""
        return os.listdir(f"{self.root}/containers")

    def resize(self, id: str, height: int, width: int) -> None:
        """Set the size of the container's terminal. Raises OSError if it has none."""
        fd = os.open(f"{self.bundle(id)}/winsz", os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(fd, f"{height} {width}\n".encode())
        finally:
            os.close(fd)


def _open_gate(fifo: str) -> bool:
    """Write the byte that crun's init waits for, and take the fifo away as a mark that the container is started."""
    try:
        fd = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # fails if nobody waits there
    except OSError:
        return False
    try:
        written = os.write(fd, b"\0")
    finally:
        os.close(fd)
    os.unlink(fifo)
    return written == 1


async def _read_line(fd: int) -> dict[str, Any]:
    """The JSON line conmon writes when the runtime has created the container, or failed to."""
    data = b""
    os.set_blocking(fd, False)
    while b"\n" not in data and len(data) < _SYNC_LIMIT_BYTES:
        await process.wait_readable(fd)
        piece = os.read(fd, 4096)
        if not piece:
            break
        data += piece
    if not data:
        return {"message": "the container's monitor was killed"}
    try:
        value = json.loads(data)
    except ValueError as error:
        raise Internal(f"conmon said {data[:200]!r}") from error
    return value if isinstance(value, dict) else {}


async def end(monitor: Process, group: Cgroup, grace_s: float = KILL_GRACE_S) -> bool:
    """Kill everybody in the group, which ends the monitor; False if that took too long, and it had to be killed too."""
    group.kill()
    if await monitor.wait_end_within(grace_s):
        return True
    monitor.kill()
    return False


def set_terminal_size(fd: int, height: int, width: int) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
