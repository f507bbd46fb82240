"""How the runtime and CRIU dump a container's processes to files, and make them from those again.

The runtime does it (`crun checkpoint`, `crun restore`) and needs to be told little. Two things are ours. It takes the network
namespace for the one whose path its copy of config.json has, which was a descriptor of the daemon's and is long closed: the path
is set to that of the container's own process first. And it only says in which log the reason of a failure is; we look there.

A dump is whole if INVENTORY is there, which CRIU writes last.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from typing import Any

from naru.containers.cgroupimage import with_group
from naru.containers.monitor import Runtime, RuntimeFailure
from naru.containers.records import Container
from naru.containers.runtimes import Program
from naru.errors import Internal, Unsupported
from naru.linux.host import Host
from naru.linux.identity import Process
from naru.linux.mounts import Mount
from naru.linux.syscalls import syncfs

INVENTORY = "inventory.img"
_GROUPS = "cgroup.img"
DUMP_LOG, RESTORE_LOG = "dump.log", "restore.log"  # CRIU's, in the bundle
_ERROR = re.compile(r"^\([0-9.]+\)\s+(?:pie: )?(?:[0-9]+: )?Error \([^)]*\): (.*)$")
_SEE_LOG = re.compile(r"\.\s+Please check CRIU logfile.*", re.S)  # which is gone by the time anybody reads this
_LOG_BYTES = 1 << 20


def check(host: Host, program: Program) -> None:
    """Raises Unsupported where this cannot work."""
    if "criu" not in host.programs:
        raise Unsupported("checkpoints need CRIU, which is not installed on this host: apt-get install criu")
    if not program.is_crun:
        raise Unsupported(f"checkpoints need the runtime crun, and this container has {program.path}")


def _options(host: Host) -> list[str]:
    """Both at dump and at restore.

    On a hybrid host the container is in the root group of the cgroup2 tree, so that CRIU would take all groups of the host for
    the container's, and make them again below its group. There it is told to leave groups alone.
    """
    return ["--file-locks", f"--manage-cgroups-mode={'ignore' if host.hybrid else 'soft'}"]


def restore_words(host: Host, directory: str) -> list[str]:
    """What conmon is told more than for a new container."""
    return ["--restore", directory, *(word for option in _options(host) for word in ("--runtime-opt", option))]


def place(host: Host, directory: str, bundle: str, group: str) -> None:
    """Before a restore, in the run's mount namespace: have the dump say that its processes were in the new run's group.

    Raises Internal for a damaged dump, OSError.
    """
    if not host.hybrid:
        return
    with open(f"{directory}/{_GROUPS}", "rb") as file:
        image = file.read()
    try:
        placed = with_group(image, group)
    except ValueError as error:
        raise Internal(f"{directory}: {error}") from error
    with open(f"{bundle}/{_GROUPS}", "wb") as file:
        file.write(placed)
    Mount("bind", f"{bundle}/{_GROUPS}").apply(f"{directory}/{_GROUPS}")


async def dump(runtime: Runtime, record: Container, directory: str, *, leave_running: bool) -> None:
    """Write the state of a running container's processes to an empty directory; unless they are left running they are gone.

    It is on the disk when this returns. Raises RuntimeFailure with CRIU's reason; then they run on.
    """
    state, bundle = record.state, runtime.bundle(record.id)
    _point_at(f"{runtime.root}/runtime/{record.id}/config.json", state.pid)
    words = ["--image-path", directory, "--work-path", bundle, *_options(runtime.host)]
    words += ["--leave-running"] * leave_running
    try:
        await runtime.checkpoint(record.id, Process(state.monitor_pid, state.monitor_start), words)
    except RuntimeFailure as error:
        raise RuntimeFailure(reason(f"{bundle}/{DUMP_LOG}", str(error))) from error
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        await asyncio.to_thread(syncfs, fd)
    finally:
        os.close(fd)


def _point_at(path: str, pid: int) -> None:
    with open(path) as file:
        config = json.load(file)
    with open(f"{path}.new", "w") as file:
        json.dump(with_namespaces_of(config, pid), file)
    os.rename(f"{path}.new", path)


def with_namespaces_of(config: dict[str, Any], pid: int) -> dict[str, Any]:
    """The runtime spec with the namespaces that have a path, by whichever path, named by a process that lives in them."""
    files = {"network": "net", "mount": "mnt"}
    namespaces = [
        {**each, "path": f"/proc/{pid}/ns/{files.get(each['type'], each['type'])}"} if each.get("path") else each
        for each in config["linux"]["namespaces"]
    ]
    return {**config, "linux": {**config["linux"], "namespaces": namespaces}}


def reason(log_path: str, message: str) -> str:
    """The runtime's message, with CRIU's first complaint if there is one."""
    try:
        with open(log_path, "rb") as file:
            text = file.read(_LOG_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        return message
    complaint = first_error(text)
    return f"{_SEE_LOG.sub('', message)}: {complaint}" if complaint else message


def first_error(log: str) -> str:
    """Of CRIU's log: later errors follow from the first. "" for none. That it may not raise its own limit of open files is none."""
    for line in log.splitlines():
        found = _ERROR.match(line)
        if found and not found[1].startswith("rlimit:"):
            return found[1]
    return ""
