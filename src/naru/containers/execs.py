"""Execs: more processes in a running container.

An exec is the runtime's own child of ours (`crun exec`), with pipes or a terminal between the process and us: no monitor,
one spawn. It ends with the container, and when the client that started it attached goes away, its stdin and outputs are
closed; its exit code is known before its stream ends.
"""

from __future__ import annotations

import array
import asyncio
import json
import os
import secrets
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from naru.containers import execending, monitor, validate
from naru.containers.accounts import find_user
from naru.containers.messages import exec_failure
from naru.containers.owner import Owner
from naru.containers.records import Status
from naru.containers.runtimespec import environment, process
from naru.containers.streams import PipeStdio
from naru.containers.surroundings import Surroundings
from naru.containers.users import User
from naru.errors import Conflict, Internal, InvalidArgument, NotFound
from naru.linux.files import Root
from naru.linux.process import DEVNULL, Child
from naru.wire.container import ExecRequest

_KILLED = 128  # and the signal's number


@dataclass(frozen=True, slots=True)
class ExecState:
    running: bool = False
    exit_code: int | None = None
    pid: int = 0
    started: bool = False


class Exec:
    """One exec; `state` is replaced whole."""

    def __init__(self, owner: Owner, request: ExecRequest, user: User) -> None:
        self.id = secrets.token_hex(32)
        self.file_name = self.id[:24]  # a socket's path is short
        self.owner = owner
        self.request = request
        self.user = user
        self.state = ExecState()
        self.decided = asyncio.Event()  # its process runs, or never will
        self.ended = asyncio.Event()
        self.failure = ""  # why it could not be started, in Docker's words
        self.terminal = -1  # the terminal's master while it runs
        self.size: tuple[int, int] | None = request.console_size


def _told(item: Exec) -> str:
    """Its command as events have it: a space comes after the program, also where no argument does."""
    program, *arguments = item.request.cmd or [""]
    return f"{program} {' '.join(arguments)}"


class Execs:
    def __init__(self, around: Surroundings, group: asyncio.TaskGroup) -> None:
        self._around = around
        self._group = group
        self._all: dict[str, Exec] = {}

    def find(self, id: str) -> Exec:
        found = self._all.get(id)
        if found is None or found.owner.record.id not in self._around.owners:
            self._all.pop(id, None)
            raise NotFound(f"No such exec instance: {id}")
        return found

    def of(self, container_id: str) -> list[str]:
        """Ids of a container's execs that have not ended."""
        return [e.id for e in self._all.values() if e.owner.record.id == container_id and not e.ended.is_set()]

    async def create(self, owner: Owner, request: ExecRequest, called: str = "") -> Exec:
        """`called` is what the client calls the container. Raises Conflict unless the container runs, InvalidArgument for an unknown user or no command."""
        record = owner.record
        if not request.cmd:
            raise InvalidArgument("No exec command specified")
        self._check_running(owner, called)
        self._around.runtime.moves.prepare()
        user = self._find_user(owner, request.user or record.config.user)
        made = Exec(owner, request, user)
        self._all[made.id] = made
        self._forget_ended()
        owner.announce(f"exec_create: {_told(made)}", execID=made.id)
        return made

    @staticmethod
    def _check_running(owner: Owner, called: str = "") -> None:
        status, id = owner.record.state.status, owner.record.id
        if status is Status.PAUSED:
            raise Conflict(f"Container {called or id} is paused, unpause the container before exec")
        if status is Status.RESTARTING:
            raise Conflict(f"container {id} is restarting, wait until the container is running")
        if status is not Status.RUNNING:
            raise Conflict(f"container {id} is not running")

    def _find_user(self, owner: Owner, spec: str) -> User:
        try:
            inside = Root.at(f"/proc/{owner.record.state.pid}/root")
        except OSError as error:  # it has ended, and its owner has not got round to saying so
            raise Conflict(f"container {owner.record.id} is not running") from error
        with inside as root:
            return find_user(root, spec, owner.record.host.group_add or [])

    def _forget_ended(self) -> None:
        """Ended execs are kept for a while, so that their exit code can be asked for, but not for ever."""
        ended = [e for e in self._all.values() if e.ended.is_set()]
        for old in ended[:-256]:
            del self._all[old.id]

    # -- start ----------------------------------------------------------------------------------------------------------

    async def start(self, item: Exec, *, size: tuple[int, int] | None = None) -> PipeStdio:
        """Its streams; the process runs (or `failure` says why not) when this returns. Raises Conflict."""
        if item.state.started:
            what = "is already running" if item.state.running else "has already run"
            raise Conflict(f"exec command {item.id} {what}")
        self._check_running(item.owner)
        self._around.runtime.moves.prepare()
        item.state = replace(item.state, started=True, running=True)
        item.size = size or item.size
        item.owner.announce(f"exec_start: {_told(item)}", execID=item.id)
        try:
            return await (self._spawn_terminal if item.request.tty else self._spawn_pipes)(item)
        except BaseException:
            self._finish(item, 126)
            raise

    def _file(self, item: Exec, suffix: str = "") -> str:
        """Where its pid is written, or with a suffix its log, its console socket."""
        return f"{self._around.runtime.execs.folder}/{item.file_name}{suffix}"

    def _process_spec(self, item: Exec) -> dict[str, Any]:
        record, request = self._around.effective(item.owner.record), item.request
        env = [e for e in environment(record) if not e.startswith("TERM=")]
        if request.tty:
            env.append("TERM=xterm")
        given = {e.partition("=")[0]: e for e in request.env or []}
        env = [given.pop(e.partition("=")[0], e) for e in env] + list(given.values())
        spec = process(
            record, item.user, argv=request.cmd or [], env=[e for e in env if "=" in e],
            cwd=request.working_dir or record.config.working_dir, tty=request.tty,
            privileged=request.privileged or record.host.privileged,
            possible=self._around.capabilities,
        )  # fmt: skip
        spec.pop("oomScoreAdj")
        if request.tty and item.size and any(item.size):  # crun sets it a moment sooner than we can
            height, width = item.size
            spec["consoleSize"] = {"height": height, "width": width}
        if profile := "" if request.privileged else self._around.apparmor(record):
            spec["apparmorProfile"] = profile
        return spec

    async def _spawn_pipes(self, item: Exec) -> PipeStdio:
        request = item.request
        pipes: list[int] = []
        child_fds = {0: DEVNULL, 1: DEVNULL, 2: DEVNULL}
        ours = {0: -1, 1: -1, 2: -1}
        wanted = {0: request.attach_stdin, 1: request.attach_stdout, 2: request.attach_stderr}
        for number, on in wanted.items():
            if on:
                read, write = os.pipe()
                child_fds[number], ours[number] = (read, write) if number == 0 else (write, read)
                pipes.append(child_fds[number])
        try:
            await self._spawn(item, child_fds, [])
        except BaseException:
            for fd in ours.values():
                if fd >= 0:
                    os.close(fd)
            raise
        finally:
            for fd in pipes:
                os.close(fd)
        return PipeStdio(ours[0], {stream: ours[stream] for stream in (1, 2) if ours[stream] >= 0})

    async def _spawn_terminal(self, item: Exec) -> PipeStdio:
        """The runtime makes the terminal in the container and sends us its master over a socket."""
        socket_name = self._file(item, ".console")
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.bind(socket_name)
            listener.listen(1)
            listener.setblocking(False)
            await self._spawn(item, {}, ["--console-socket", socket_name])
            master = await self._receive_terminal(item, listener)
        finally:
            listener.close()
        if master < 0:
            return PipeStdio(-1, {})
        stdio = PipeStdio(os.dup(master), {1: os.dup(master)})
        if item.ended.is_set():  # meanwhile: nobody is going to close it
            os.close(master)
            return stdio
        item.terminal = master
        if item.size and any(item.size):
            self._set_size(item, *item.size)
        return stdio

    async def _receive_terminal(self, item: Exec, listener: socket.socket) -> int:
        """The master's descriptor, or -1 if the runtime ended without sending one."""
        loop = asyncio.get_running_loop()
        accept = self._group.create_task(loop.sock_accept(listener))
        ended = self._group.create_task(item.ended.wait())
        await asyncio.wait((accept, ended), return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if accept.done():
            connection, _ = accept.result()
        else:
            accept.cancel()
            try:
                connection, _ = listener.accept()  # sent in its last moment
            except BlockingIOError:
                return -1
        try:
            connection.setblocking(True)
            _, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4))
        finally:
            connection.close()
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fd = array.array("i", data[:4])[0]
                os.set_inheritable(fd, False)
                return fd
        raise Internal(f"exec {item.id}: the runtime sent no terminal")

    async def _spawn(self, item: Exec, fds: dict[int, int], options: list[str]) -> None:
        record, runtime = item.owner.record, self._around.runtime
        spec = json.dumps(self._process_spec(item)).encode()
        # The runtime gets its spec through a pipe, and only when it has all that it is to hand down: it waits for it.
        read_end, write_end = os.pipe()
        words = ["exec", "--process", f"/proc/{os.getpid()}/fd/{read_end}", "--pid-file", self._file(item), *options, record.id]  # fmt: skip
        try:
            pid = await runtime.spawn(
                words, container=record.id, fds=fds, log=self._file(item, ".log"), oom_score_adj=record.host.oom_score_adj,
                limits=validate.rlimits(record.host),
            )  # fmt: skip
        except BaseException:
            os.close(read_end)
            os.close(write_end)
            raise
        child = Child(pid)
        self._group.create_task(_hand_over(spec, read_end, write_end, item.decided))
        # What is in its pipes before the process runs is the runtime's complaint, which is told in Docker's words instead.
        runtime.execs.expect(item.file_name, item.decided.set)
        self._group.create_task(self._follow(item, child))
        if not options:
            await item.decided.wait()

    async def _follow(self, item: Exec, child: Child) -> None:
        """Until the exec's end: the exit code, or why the process never ran."""
        item.state = replace(item.state, pid=child.pid)
        code = await child.wait_exit()
        self._around.runtime.execs.forget(item.file_name)
        if not os.path.exists(self._file(item)):
            request = item.request
            message = self._around.runtime.last_error(self._file(item, ".log"))
            cwd = request.working_dir or item.owner.record.config.working_dir
            item.failure, code = exec_failure(message, request.cmd or [], cwd)
        elif code >= _KILLED:
            self._end_orphan(item)
        self._finish(item, code)

    def _end_orphan(self, item: Exec) -> None:
        """The process of an exec whose runtime was killed: nobody waits for it any more."""
        pid = self.pid(item)
        if pid != item.state.pid and pid in item.owner.cgroup().pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _finish(self, item: Exec, code: int) -> None:
        item.state = replace(item.state, running=False, exit_code=code)
        if item.terminal >= 0:
            os.close(item.terminal)
            item.terminal = -1
        for suffix in ("", ".log", ".console"):
            with suppress(FileNotFoundError):
                os.unlink(self._file(item, suffix))
        item.decided.set()
        item.ended.set()
        item.owner.announce("exec_die", execID=item.id, exitCode=str(code))

    # -- while it runs --------------------------------------------------------------------------------------------------

    def resize(self, item: Exec, height: int, width: int) -> None:
        item.size = (height, width)
        if item.terminal >= 0:
            self._set_size(item, height, width)
        elif not item.state.started:
            raise Internal("timeout waiting for exec session ready")

    @staticmethod
    def _set_size(item: Exec, height: int, width: int) -> None:
        monitor.set_terminal_size(item.terminal, height, width)

    def pid(self, item: Exec) -> int:
        """The host's pid of its process; 0 before it runs."""
        try:
            with open(self._file(item)) as file:
                return int(file.read())
        except (FileNotFoundError, ValueError):
            return item.state.pid

    def abandon(self, item: Exec, *, at_once: bool = False) -> None:
        """Nobody will ever read it again: it ends within `execending.GRACE_S`, or at once. What is detached is not abandoned."""
        if item.state.running:
            numbers = () if at_once else execending.HANG_UP if item.request.tty else execending.TERMINATE
            self._group.create_task(execending.end(self.pid(item), item.state.pid, item.ended, numbers))


async def _hand_over(spec: bytes, read_end: int, write_end: int, decided: asyncio.Event) -> None:
    """The spec into the pipe from which the runtime reads it, which is closed once it is decided whether the process runs."""
    pipe = PipeStdio(write_end, {})
    told, settled = asyncio.ensure_future(pipe.write(spec)), asyncio.ensure_future(decided.wait())
    try:
        # A runtime that has ended reads no more, so the decision ends the wait as well.
        await asyncio.wait((told, settled), return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        await asyncio.wait((told,))
        pipe.close()  # that was all
        await settled
    finally:
        pipe.close()
        os.close(read_end)
