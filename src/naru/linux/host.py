"""What this host can do, probed once, in one place; everybody else takes the frozen value."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass

from naru.linux.syscalls import libc

CGROUP_ROOT = "/sys/fs/cgroup"
UNIFIED = f"{CGROUP_ROOT}/unified"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/libexec/podman:/usr/lib/podman"
_CGROUP2_MAGIC_TYPE = "cgroup2"
_SYS_FSOPEN = 430  # <linux/mount.h>; the same number on every architecture
_FSOPEN_CLOEXEC = 1


@dataclass(frozen=True, slots=True)
class Host:
    machine: str  # uname -m
    kernel: str  # 6.12.0-…
    kernel_version: tuple[int, int]
    name: str
    os_name: str  # PRETTY_NAME of os-release
    os_version: str
    cpus: int
    memory_bytes: int
    cgroup_version: int  # 2 only for a pure v2 host
    controllers: frozenset[str]
    blkio_weight: bool  # the kernel can weigh block I/O between groups
    hybrid: bool  # v1 with a cgroup2 tree under …/unified: hidden from the runtime, which refuses such hosts
    overlay: bool  # overlayfs, which may be a module: it is loaded by now
    apparmor: bool
    capabilities: int  # bounding set of this process: bit n is capability n (capabilities(7))
    programs: dict[str, str]  # name → absolute path, of those that were found
    swap_limit: bool  # memory and swap can be limited together
    cpu_realtime: bool  # the CPU time of realtime tasks can be limited (v1, CONFIG_RT_GROUP_SCHED)
    memory_nodes: tuple[int, ...]

    def program(self, name: str) -> str:
        """Raises FileNotFoundError."""
        try:
            return self.programs[name]
        except KeyError as error:
            raise FileNotFoundError(2, f"program not found: {name}", name) from error


def _bounding_set() -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1], 16) for line in file if line.startswith("CapBnd:"))


def _mounts() -> dict[str, tuple[str, str]]:
    """mount point → (type, options)."""
    table = {}
    with open("/proc/self/mounts") as file:
        for line in file:
            _, point, kind, options, *_ = line.split(" ")
            table[point] = (kind, options)
    return table


def _has_overlay() -> bool:
    """Ask the kernel for it as mount(2) would, which loads the module, and see."""
    fd = libc.syscall(_SYS_FSOPEN, b"overlay", _FSOPEN_CLOEXEC)
    if fd >= 0:
        os.close(fd)
    with open("/proc/filesystems") as file:
        return "overlay" in file.read().split()


def _memory_nodes() -> tuple[int, ...]:
    nodes = "/sys/devices/system/node"
    names = os.listdir(nodes) if os.path.isdir(nodes) else []  # absent on hosts without NUMA
    return tuple(sorted(int(name[4:]) for name in names if name[:4] == "node" and name[4:].isdigit())) or (0,)


def _swap_limit(v2: bool) -> bool:
    """On v2 the root group has no limits, so a group that every host has is asked; without any the kernel is believed."""
    if not v2:
        return os.path.exists(f"{CGROUP_ROOT}/memory/memory.memsw.limit_in_bytes")
    groups = [entry.path for entry in os.scandir(CGROUP_ROOT) if os.path.exists(f"{entry.path}/memory.max")]
    return not groups or any(os.path.exists(f"{group}/memory.swap.max") for group in groups)


def _os_release() -> dict[str, str]:
    out = {}
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        if os.path.exists(path):
            with open(path) as file:
                for line in file:
                    key, equals, value = line.rstrip("\n").partition("=")
                    if equals:
                        out[key] = value.strip("\"'")
            break
    return out


_PROGRAMS = (
    "crun", "runc", "conmon", "docker-init", "tini-static", "catatonit", "tini", "criu", "unshare", "nsenter", "cat",
)  # fmt: skip


def probe(programs: tuple[str, ...] = _PROGRAMS) -> Host:
    mounts = _mounts()
    uname = os.uname()
    release = _os_release()
    kind, _ = mounts.get(CGROUP_ROOT, ("", ""))
    v2 = kind == _CGROUP2_MAGIC_TYPE
    if v2:
        with open(f"{CGROUP_ROOT}/cgroup.controllers") as file:
            controllers = frozenset(file.read().split())
    else:
        controllers = frozenset(
            option for _, (k, options) in mounts.items() if k == "cgroup" for option in options.split(",")
        ) & {"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "hugetlb", "net_cls"}
    found = {name: path for name in programs if (path := shutil.which(name, path=_PATH))}
    numbers = platform.release().split(".")
    return Host(
        machine=uname.machine,
        kernel=uname.release,
        kernel_version=(int(numbers[0]), int("".join(c for c in numbers[1] if c.isdigit()) or 0)),
        name=uname.nodename,
        os_name=release.get("PRETTY_NAME", "Linux"),
        os_version=release.get("VERSION_ID", ""),
        cpus=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        cgroup_version=2 if v2 else 1,
        controllers=controllers,
        blkio_weight=os.path.exists(f"{CGROUP_ROOT}/blkio/blkio.weight") or (v2 and "io" in controllers),
        hybrid=not v2 and mounts.get(UNIFIED, ("",))[0] == _CGROUP2_MAGIC_TYPE,
        capabilities=_bounding_set(),
        overlay=_has_overlay(),
        apparmor=os.path.exists("/sys/module/apparmor/parameters/enabled")
        and os.path.isdir("/sys/kernel/security/apparmor"),
        programs=found,
        swap_limit=_swap_limit(v2),
        cpu_realtime=not v2 and os.path.exists(f"{CGROUP_ROOT}/cpu/cpu.rt_period_us"),
        memory_nodes=_memory_nodes(),
    )
