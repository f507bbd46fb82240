"""What the builder asks of others, as Protocols: a runner of RUN steps, a fetcher of URLs. Nothing is done here.

The composition root passes what fits. `containers` fulfils StepRunner by its shape alone: it lies below this folder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from naru.linux.mounts import Mount


@dataclass(frozen=True, slots=True)
class StepMount:
    """One RUN --mount. `bind` and `cache`: mount `mounts` aside, then bind what is at `subpath` beneath it (a path with
    no link in it, "" the whole) to `target`, which exists in the root file system: a file if `is_file`. `tmpfs`: a new one, `size_bytes` 0 for no limit."""

    kind: str  # bind, cache, tmpfs
    target: str
    mounts: tuple[Mount, ...] = ()
    subpath: str = ""
    is_file: bool = False
    read_only: bool = False
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class RunStep:
    """A RUN: a process in a root file system that is kept afterwards."""

    id: str  # 64 hex digits
    mounts: tuple[Mount, ...]  # the root file system, writable
    argv: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    user: str  # "" is root; `user[:group]`, resolved in the root file system
    network: str  # default, none, host
    extra_mounts: tuple[StepMount, ...] = ()
    hostname: str = ""
    shm_size_bytes: int = 0  # 0 is the default
    extra_hosts: tuple[str, ...] = ()  # name:address
    memory_bytes: int = 0  # 0 is unlimited; so below
    cpu_quota: int = 0
    cpu_period: int = 0
    cpu_shares: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""


class StepRunner(Protocol):
    async def run(self, step: RunStep, output: Callable[[int, bytes], None]) -> int:
        """The exit code. `output(1 or 2, bytes)` is called on the event loop's thread. Cancelling kills the process; it
        and all its mounts are gone when this returns or raises."""


class Fetched(Protocol):
    """What a URL gave: `last_modified_ns` 0 if the server did not say."""

    @property
    def last_modified_ns(self) -> int: ...


class Fetch(Protocol):
    async def __call__(self, url: str, fd: int) -> Fetched:
        """Write what the URL holds to fd. Raises NotFound, Unavailable, …"""
