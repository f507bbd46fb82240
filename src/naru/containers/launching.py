"""The start of one run: sandbox, root file system, monitor and networks, each with its undo, in the order that is fastest.

A launch either ends with the first process running, or leaves nothing and says why. It changes no record: `owner` does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import TypeVar

from naru.containers import criu, monitor, validate
from naru.containers.conmon import Stdio
from naru.containers.devices import limited
from naru.containers.launch import prepare
from naru.containers.messages import start_failure
from naru.containers.monitor import RuntimeFailure
from naru.containers.networking import Sandbox
from naru.containers.records import Container
from naru.containers.runtimespec import Launch
from naru.containers.surroundings import Surroundings
from naru.containers.users import User
from naru.containers.waiting import Attaches
from naru.errors import Internal, NaruError
from naru.linux import rlimits
from naru.linux.identity import Process
from naru.linux.process import reap
from naru.linux.threads import outlast
from naru.logs.options import backstop_bytes

T = TypeVar("T")
U = TypeVar("U")


class LaunchFailure(Exception):
    """Nothing runs: what to tell, and the exit code that the container gets."""

    def __init__(self, error: NaruError, code: int) -> None:
        super().__init__(str(error))
        self.error = error
        self.code = code


async def launch(
    around: Surroundings, record: Container, attaches: Attaches, checkpoint: str = ""
) -> tuple[Process, int]:
    """(monitor, pid of the first process), which runs: from its beginning, or from where the checkpoint was taken whose
    directory is given. Nothing of an earlier run may be left. Raises LaunchFailure."""
    try:
        async with AsyncExitStack() as undo:
            validate.launch_options(record.host, record.config)
            bundle = around.runtime.make_bundle(record.id)
            undo.push_async_callback(around.runtime.bury, record.id, around.cgroup(record))
            sandbox = around.networking.sandbox(record)
            undo.callback(sandbox.close)
            # Interfaces are made while the runtime makes the rest, and holds the first process back: not sooner, since until then
            # it is our own thread that would be held up by it.
            spawned = asyncio.Event()
            join = partial(around.networking.join, record, sandbox, undo)
            if checkpoint:  # its processes run at once, and expect their network
                await _both(asyncio.to_thread(sandbox.make), join())
                process, pid = await _create(around, record, bundle, sandbox, undo, checkpoint)
                await attaches.connect(bundle)
            else:
                (process, pid), _ = await _both(
                    _create(around, record, bundle, sandbox, undo, on_spawn=spawned.set), _after(spawned, join)
                )
                await attaches.connect(bundle)
                if sandbox.shift is not None:
                    rlimits.impose(pid, validate.rlimits(record.host), record.host.oom_score_adj)
                await around.runtime.start(record.id)
            undo.pop_all()
        sandbox.close()
    except RuntimeFailure as error:
        raise LaunchFailure(*start_failure(str(error), record.argv, around.runtime.label)) from error
    except NaruError as error:
        raise LaunchFailure(error, 128) from error
    except OSError as error:
        raise LaunchFailure(Internal(f"{error.strerror or error}: {error.filename or record.id}"), 128) from error
    return process, pid


async def _create(
    around: Surroundings,
    record: Container,
    bundle: str,
    sandbox: Sandbox,
    undo: AsyncExitStack,
    checkpoint: str = "",
    on_spawn: Callable[[], None] = lambda: None,
) -> tuple[Process, int]:
    """The container, with its first process waiting to be let go: (monitor, pid)."""
    try:
        launch = _described(around, record, bundle, sandbox)
        mounts = around.snapshots.mounts(record.id)
        shown = replace(record, mounts=around.actual_mounts(record))

        def in_namespace() -> bytes:
            if checkpoint:
                criu.place(around.host, checkpoint, bundle, launch.cgroup_path)
            network = sandbox.make()
            launched = replace(launch, network=network, shift=sandbox.shift)
            takes_filter = around.runtime.programs.of(record.id).takes_filter
            content = prepare(shown, launched, mounts, takes_filter=takes_filter)
            around.runtime.mounts.hold(record.id, sandbox.shift.root if sandbox.shift is not None else launch.rootfs)
            return content

        config = record.config
        stdio = Stdio(
            around.log_path(record), backstop_bytes(record.host.log_config), config.tty, config.open_stdin,
            leave_stdin_open=not config.stdin_once,
        )  # fmt: skip
        process, pid = await around.runtime.create(
            record.id, in_namespace, stdio,
            restore=criu.restore_words(around.host, checkpoint) if checkpoint else (),
            soon=not (checkpoint or sandbox.is_shifted or any(mount.copy_up for mount in shown.mounts)), on_spawn=on_spawn,
        )  # fmt: skip
    except BaseException as error:
        sandbox.close()  # nobody is to wait for it any longer
        on_spawn()
        if checkpoint and isinstance(error, RuntimeFailure):
            raise RuntimeFailure(criu.reason(f"{bundle}/{criu.RESTORE_LOG}", str(error))) from error
        raise
    undo.push_async_callback(_abandon, around, record, process)
    return process, pid


def _described(around: Surroundings, record: Container, bundle: str, sandbox: Sandbox) -> Launch:
    """What the runtime spec is made of, but for what is known only in the run's mount namespace."""
    return Launch(
        rootfs=f"{bundle}/rootfs", user=User(), machine=around.host.machine, cgroup_path=around.cgroup_path(record),
        cgroup_version=around.host.cgroup_version, network=None, files=sandbox.files,
        join=around.joined_namespaces(record), init=around.init_program(record),
        devices=around.devices(record), seccomp=around.seccomp(record), capabilities=around.capabilities,
        images=around.image_layers(record), edits=around.vendor_devices(record), apparmor=around.apparmor(record),
        numbers=limited(record.host),
    )  # fmt: skip


async def _abandon(around: Surroundings, record: Container, process: Process) -> None:
    await monitor.end(process, around.cgroup(record))
    reap(process.pid)


async def _after(event: asyncio.Event, work: Callable[[], Awaitable[T]]) -> T:
    await event.wait()
    return await work()


async def _both(first: Awaitable[T], second: Awaitable[U]) -> tuple[T, U]:
    """Side by side; both have ended when this returns or raises the first one's error, or else the second one's."""
    tasks = asyncio.ensure_future(first), asyncio.ensure_future(second)
    await outlast(asyncio.gather(*tasks, return_exceptions=True))
    for task in tasks:
        task.exception()  # looked at: the loop need not complain of the one that is not raised
    return tasks[0].result(), tasks[1].result()
