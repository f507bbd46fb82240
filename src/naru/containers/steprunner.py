"""One process in a root file system, to its end: how a build's RUN is executed.

No record, no monitor: the step belongs to its build, is a child of the daemon's, and ends with either. It has Docker's
default security profile and, unless told otherwise, an address on the default network.
"""

from __future__ import annotations

import asyncio
import os
import posixpath
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Protocol

from naru.containers import apparmor
from naru.containers.accounts import find_user
from naru.containers.launch import make_working_dir, own_files, shift_root
from naru.containers.messages import start_failure
from naru.containers.monitor import RuntimeFailure
from naru.containers.records import Container, MountPoint
from naru.containers.runtimespec import Launch, build
from naru.containers.streams import PipeStdio
from naru.containers.surroundings import Surroundings
from naru.containers.users import User
from naru.linux.cgroup import Cgroup
from naru.linux.files import Root
from naru.linux.idmapped import apply_shifted
from naru.linux.mounts import Mount, apply_all, check_writable
from naru.linux.process import Child, kill_and_reap
from naru.oci.image import dump_json
from naru.wire.container import MASKED_PATHS, READONLY_PATHS, Config, EndpointSettings, HostConfig

_SHM_BYTES = 64 << 20


class StepMount(Protocol):
    """A RUN --mount; see build.needs.StepMount, whose shape this is."""

    @property
    def kind(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def mounts(self) -> Sequence[Mount]: ...
    @property
    def subpath(self) -> str: ...
    @property
    def read_only(self) -> bool: ...
    @property
    def size_bytes(self) -> int: ...


class Step(Protocol):
    """A RUN; see build.needs.RunStep, whose shape this is."""

    @property
    def id(self) -> str: ...
    @property
    def mounts(self) -> Sequence[Mount]: ...
    @property
    def argv(self) -> Sequence[str]: ...
    @property
    def env(self) -> Sequence[str]: ...
    @property
    def cwd(self) -> str: ...
    @property
    def user(self) -> str: ...
    @property
    def network(self) -> str: ...
    @property
    def extra_mounts(self) -> Sequence[StepMount]: ...
    @property
    def hostname(self) -> str: ...
    @property
    def shm_size_bytes(self) -> int: ...
    @property
    def extra_hosts(self) -> Sequence[str]: ...
    @property
    def memory_bytes(self) -> int: ...
    @property
    def cpu_quota(self) -> int: ...
    @property
    def cpu_period(self) -> int: ...
    @property
    def cpu_shares(self) -> int: ...
    @property
    def cpuset_cpus(self) -> str: ...
    @property
    def cpuset_mems(self) -> str: ...


class Steps:
    def __init__(self, around: Surroundings) -> None:
        self._around = around

    async def run(self, step: Step, output: Callable[[int, bytes], None]) -> int:
        """The exit code. Nothing of the process is left when this returns or raises; cancelling kills it."""
        around = self._around
        record = _record(step, around.now_ns())
        os.makedirs(around.directory(step.id), mode=0o710)
        async with AsyncExitStack() as undo:
            undo.callback(around.remove_directory, step.id)
            bundle = around.runtime.make_bundle(step.id)
            group = Cgroup(around.host, f"/{around.cgroup_parent}/{step.id}")
            undo.push_async_callback(around.runtime.bury, step.id, group)
            sandbox = around.networking.sandbox(record)
            undo.callback(sandbox.close)
            network = await asyncio.to_thread(sandbox.make)
            await around.networking.join(record, sandbox, undo)
            launch = Launch(
                rootfs=f"{bundle}/rootfs", user=User(), machine=around.host.machine, cgroup_path=group.path,
                cgroup_version=around.host.cgroup_version, network=network, files=sandbox.files, capabilities=around.capabilities,
                apparmor=around.apparmor(record), shift=sandbox.shift,
            )  # fmt: skip
            return await self._execute(step, record, launch, bundle, output, undo)

    async def _execute(
        self,
        step: Step,
        record: Container,
        launch: Launch,
        bundle: str,
        output: Callable[[int, bytes], None],
        undo: AsyncExitStack,
    ) -> int:
        pipes = [os.pipe() for _ in (1, 2)]
        stdio = PipeStdio(-1, {1: pipes[0][0], 2: pipes[1][0]})
        undo.callback(stdio.close)
        log = f"{bundle}/log"

        def prepare() -> None:
            apparmor.ensure(launch.apparmor)
            apply_all(step.mounts, launch.rootfs)
            check_writable(step.mounts, launch.rootfs)
            with Root.at(launch.rootfs) as root:
                user = find_user(root, step.user, ())
                make_working_dir(root, step.cwd, user)
            shown = replace(launch, user=user)
            if launch.shift is not None:
                own_files(record, launch.files, launch.shift)
                shown = shift_root(shown, step.mounts, launch.shift)
            extra = [_place(mount, f"{bundle}/mount-{n}", launch) for n, mount in enumerate(step.extra_mounts)]
            with open(f"{bundle}/config.json", "wb") as file:
                file.write(dump_json(build(replace(record, mounts=tuple(extra)), shown)))

        words = ["run", "--bundle", bundle, step.id]
        try:
            pid = await self._around.runtime.spawn(
                words, fds={1: pipes[0][1], 2: pipes[1][1]}, log=log, prepare=prepare
            )
        finally:
            for _, write_end in pipes:
                os.close(write_end)
        child = Child(pid)
        try:
            while (piece := await stdio.read()) is not None:
                output(*piece)
            code = await child.wait_exit()
        except asyncio.CancelledError:
            Cgroup(self._around.host, launch.cgroup_path).kill()
            kill_and_reap(pid)
            raise
        if code != 0 and (message := self._around.runtime.last_error(log)):
            raise start_failure(message, step.argv, self._around.runtime.label)[0] from RuntimeFailure(message)
        return code


def _place(mount: StepMount, scratch: str, launch: Launch) -> MountPoint:
    """Mount what a RUN --mount shows aside, in the private namespace, and say where it goes."""
    if mount.kind == "tmpfs":
        size = (f"size={mount.size_bytes}",) if mount.size_bytes else ()
        return MountPoint("tmpfs", "", mount.target, options=("nosuid", "nodev", *size))
    os.mkdir(scratch, 0o700)
    if launch.shift is None:
        apply_all(mount.mounts, scratch)
    else:
        apply_shifted(mount.mounts, scratch, launch.shift, launch.rootfs)
    source = posixpath.join(scratch, mount.subpath) if mount.subpath else scratch
    return MountPoint("bind", source, mount.target, writable=not mount.read_only)


def _record(step: Step, now_ns: int) -> Container:
    mode = {"default": "bridge", "": "bridge"}.get(step.network, step.network)
    host = HostConfig(
        network_mode=mode, ipc_mode="private", cgroupns_mode="host", shm_size=step.shm_size_bytes or _SHM_BYTES,
        masked_paths=list(MASKED_PATHS), readonly_paths=list(READONLY_PATHS), extra_hosts=list(step.extra_hosts),
        memory=step.memory_bytes, cpu_quota=step.cpu_quota, cpu_period=step.cpu_period, cpu_shares=step.cpu_shares,
        cpuset_cpus=step.cpuset_cpus, cpuset_mems=step.cpuset_mems,
    )  # fmt: skip
    config = Config(
        hostname=step.hostname or step.id[:12],
        env=list(step.env),
        cmd=list(step.argv),
        working_dir=step.cwd,
        user=step.user,
    )
    return Container(
        id=step.id, name=f"build-{step.id[:12]}", created_ns=now_ns, image_id="", image_manifest="", chain_id=None,
        config=config, host=host, networks={mode: EndpointSettings()}, mounts=(),
    )  # fmt: skip
