"""The OCI runtime spec of a container (runtime-spec 1.0: config.md, config-linux.md), with Docker's default profile.

Pure: a record and what was found out at launch go in, the spec comes out as plain JSON values. The default profile
(capabilities, seccomp, masked and read-only paths, devices, mounts) is that of Docker 29.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from naru.containers import securityopt
from naru.containers.cdi import Edits
from naru.containers.records import Container, MountPoint
from naru.containers.resources import resources
from naru.containers.seccomp import FILTER_ANNOTATION, STAND_IN, default_profile
from naru.containers.users import User
from naru.linux.idmapped import Shift
from naru.linux.mounts import Mount
from naru.linux.userns import IdRange

Spec = dict[str, Any]

DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_CAPABILITIES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
    "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
)  # fmt: skip
ALL_CAPABILITIES = tuple(
    "CAP_" + name
    for name in """CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
    NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE
    SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL
    SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE""".split()
)
_DEVICES = (  # (kind, major, minor, access); None is any
    ("c", None, None, "m"), ("b", None, None, "m"),
    ("c", 1, 3, "rwm"), ("c", 1, 5, "rwm"), ("c", 1, 7, "rwm"), ("c", 1, 8, "rwm"), ("c", 1, 9, "rwm"),
    ("c", 5, 0, "rwm"), ("c", 5, 1, "rwm"), ("c", 5, 2, "rwm"), ("c", 136, None, "rwm"), ("c", 10, 200, "rwm"),
)  # fmt: skip
_NO_EXEC = ["nosuid", "noexec", "nodev"]
_RLIMIT = "RLIMIT_"


@dataclass(frozen=True, slots=True)
class Launch:
    """What a launch knows beyond the record. Paths are the host's."""

    rootfs: str
    user: User
    machine: str
    cgroup_path: str
    cgroup_version: int
    network: str | None  # path of the network namespace; None: the host's
    files: tuple[tuple[str, str], ...] = ()  # (host path, destination): resolv.conf, hostname, hosts
    join: tuple[tuple[str, str], ...] = ()  # (namespace type, path) of other containers
    init: str | None = None  # path of the init program, when asked for
    devices: tuple[Spec, ...] = ()  # linux.devices entries, looked up on the host
    seccomp: Spec | None = None  # a profile of the user's own
    seccomp_filter: str = ""  # the default profile as the runtime takes it, compiled; "" for one that does not
    capabilities: tuple[str, ...] = ALL_CAPABILITIES  # that the host can give
    images: Mapping[str, Sequence[Mount]] = field(default_factory=dict)  # of image mounts, by destination
    shm: str = ""  # the /dev/shm of the container whose IPC namespace is joined
    apparmor: str = ""  # profile of the user's own, on a host that has AppArmor
    edits: Edits = field(default_factory=Edits)  # of devices that vendors describe
    numbers: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # of block devices that limits name
    shift: Shift | None = None  # the user namespace; None: the host's


def host_capabilities(bounding_set: int) -> list[str]:
    """The names of a bounding set's bits: what this host can give at all."""
    return [name for number, name in enumerate(ALL_CAPABILITIES) if bounding_set >> number & 1]


def capabilities(container: Container, possible: Sequence[str] = ALL_CAPABILITIES) -> list[str]:
    """The bounding set, in a fixed order; `possible` are those that the host can give."""
    host = container.host
    if host.privileged:
        return list(possible)
    add = {_capability(name) for name in _list(host.cap_add)}
    drop = {_capability(name) for name in _list(host.cap_drop)}
    start = set(possible) if "CAP_ALL" in add else set(DEFAULT_CAPABILITIES)
    if "CAP_ALL" in drop:
        start = set()
    kept = (start | add) - drop if "CAP_ALL" not in drop else add
    return [name for name in possible if name in kept]


def _list(value: list[str] | str | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def _capability(name: str) -> str:
    upper = name.upper()
    return upper if upper.startswith("CAP_") else f"CAP_{upper}"


def environment(container: Container) -> list[str]:
    """PATH, HOSTNAME and TERM as Docker gives them, then the container's own, the last of a name winning."""
    out = {"PATH": DEFAULT_PATH, "HOSTNAME": f"HOSTNAME={container.config.hostname}"}
    if container.config.tty:
        out["TERM"] = "TERM=xterm"
    for entry in container.config.env or []:
        out[entry.partition("=")[0]] = entry
    return [entry for entry in out.values() if "=" in entry]


def process(
    container: Container,
    user: User,
    *,
    argv: Sequence[str],
    env: list[str],
    cwd: str,
    tty: bool,
    privileged: bool,
    possible: Sequence[str] = ALL_CAPABILITIES,
) -> Spec:
    """The `process` object; also what an exec runs."""
    allowed = list(possible) if privileged else capabilities(container, possible)
    effective = allowed if user.uid == 0 else []
    spec: Spec = {
        "terminal": tty,
        "user": {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)},
        "args": list(argv),
        "env": env,
        "cwd": cwd or "/",
        "capabilities": {
            "bounding": allowed, "effective": effective, "permitted": effective, "inheritable": [], "ambient": [],
        },
        "rlimits": [
            {"type": _RLIMIT + limit.name.removeprefix(_RLIMIT).upper(), "hard": _rlimit(limit.hard), "soft": _rlimit(limit.soft)}
            for limit in container.host.ulimits or []
        ],
        "noNewPrivileges": securityopt.parse(container.host.security_opt or []).no_new_privileges,
        "oomScoreAdj": container.host.oom_score_adj,
    }  # fmt: skip
    return spec


def _rlimit(value: int) -> int:
    return value if value >= 0 else 2**64 - 1


def build(container: Container, launch: Launch) -> Spec:
    host, config = container.host, container.config
    argv = container.argv
    if launch.init is not None:
        argv = ("/sbin/docker-init", "--", *argv)
    linux: Spec = {
        "cgroupsPath": launch.cgroup_path,
        "namespaces": _namespaces(container, launch),
        "resources": {
            "devices": _device_rules(container, launch),
            **resources(container, launch.cgroup_version, numbers=launch.numbers),
        },
        "maskedPaths": host.masked_paths or [],
        "readonlyPaths": host.readonly_paths or [],
        "rootfsPropagation": _propagation(container.mounts),
    }
    nodes = [*launch.devices, *launch.edits.devices]
    if nodes:
        linux["devices"] = [
            {key: value for key, value in device.items() if key != "access"} for device in nodes if device["path"]
        ]
    domain = {"kernel.domainname": config.domainname} if config.domainname and launch.shift is None else {}
    sysctls = {**_default_sysctls(container, launch), **domain, **(host.sysctls or {})}
    if sysctls:
        linux["sysctl"] = sysctls
    if launch.shift is not None:
        linux["uidMappings"], linux["gidMappings"] = map(_mappings, (launch.shift.maps.uids, launch.shift.maps.gids))
    seccomp = _seccomp(container, launch)
    if seccomp is not None:
        linux["seccomp"] = seccomp
    spec: Spec = {
        "ociVersion": "1.0.2",
        "process": process(
            container, launch.user, argv=argv, env=environment(container), cwd=config.working_dir, tty=config.tty,
            privileged=host.privileged, possible=launch.capabilities,
        ),
        "root": {"path": launch.rootfs, "readonly": host.readonly_rootfs},
        "mounts": _mounts(container, launch),
        "linux": linux,
        "annotations": dict(host.annotations or {}),
    }  # fmt: skip
    if seccomp is STAND_IN:
        spec["annotations"][FILTER_ANNOTATION] = launch.seccomp_filter
    if host.uts_mode != "host":
        spec["hostname"] = config.hostname
    if launch.shift is not None:
        _leave_out(spec, config.domainname)
    height, width = host.console_size
    if config.tty and height and width:
        spec["process"]["consoleSize"] = {"height": height, "width": width}
    if launch.apparmor:
        spec["process"]["apparmorProfile"] = launch.apparmor
    _apply(launch.edits, spec)
    return spec


def _leave_out(spec: Spec, domainname: str) -> None:
    """What the root of a user namespace may not do: raise its limits, which is done from outside (`launching`), and write that
    one setting, for which there is another word since 1.1 (config.md "Domainname")."""
    for name in ("rlimits", "oomScoreAdj"):
        del spec["process"][name]
    if domainname:
        spec["domainname"] = domainname


def _apply(edits: Edits, spec: Spec) -> None:
    """Put in what vendors say of their devices, as the CDI specification has it ("OCI Edits"); nodes are in already."""
    process = spec["process"]
    given = {entry.partition("=")[0] for entry in edits.env}
    process["env"] = [*(e for e in process["env"] if e.partition("=")[0] not in given), *edits.env]
    groups = process["user"]["additionalGids"]
    groups += [group for group in dict.fromkeys(edits.groups) if group not in groups]
    over = {mount["destination"] for mount in edits.mounts}
    spec["mounts"] = [m for m in spec["mounts"] if m["destination"] not in over] + list(edits.mounts)
    for name, hook in edits.hooks:
        spec.setdefault("hooks", {}).setdefault(name, []).append(hook)


def _propagation(mounts: Sequence[MountPoint]) -> str:
    """What the container's tree must be for the most far-reaching of its mounts to be what it is asked to be."""
    asked = {mount.propagation for mount in mounts}
    return "shared" if asked & {"shared", "rshared"} else "rslave" if asked & {"slave", "rslave"} else "private"


def _default_sysctls(container: Container, launch: Launch) -> dict[str, str]:
    if launch.network is None or container.host.network_mode.startswith("container:"):
        return {}
    ports = {"net.ipv4.ip_unprivileged_port_start": "0"}
    if launch.shift is not None:  # which does not have all those groups
        return ports
    return {**ports, "net.ipv4.ping_group_range": "0 2147483647"}


def _mappings(ranges: Sequence[IdRange]) -> list[Spec]:
    return [{"containerID": r.inside, "hostID": r.outside, "size": r.size} for r in ranges]


def _seccomp(container: Container, launch: Launch) -> Spec | None:
    if container.host.privileged:
        return None
    if launch.seccomp is not None:
        return launch.seccomp or None
    if launch.seccomp_filter:
        return STAND_IN
    return default_profile(frozenset(capabilities(container, launch.capabilities)), launch.machine)


def _namespaces(container: Container, launch: Launch) -> list[Spec]:
    joined = dict(launch.join)
    host = container.host
    own = {
        "mount": True,
        "pid": host.pid_mode != "host",
        "ipc": host.ipc_mode != "host",
        "uts": host.uts_mode != "host",
    }
    own["cgroup"] = host.cgroupns_mode == "private"
    out: list[Spec] = []
    for kind, wanted in own.items():
        if kind in joined:
            out.append({"type": kind, "path": joined[kind]})
        elif wanted:
            out.append({"type": kind})
    if launch.network is not None:
        out.append({"type": "network", "path": launch.network})
    if launch.shift is not None:
        out.append({"type": "user", "path": launch.shift.path})
    return out


def _device_rules(container: Container, launch: Launch) -> list[Spec]:
    host = container.host
    if host.privileged:
        return [{"allow": True, "access": "rwm"}]
    rules: list[Spec] = [{"allow": False, "access": "rwm"}, *(_device_rule(*rule) for rule in _DEVICES)]
    rules += [
        {"allow": True, "type": d["type"], "major": d["major"], "minor": d["minor"], "access": access}
        for d in (*launch.devices, *launch.edits.devices)
        if (access := "".join(letter for letter in "rwm" if letter in d["access"])) and "major" in d
    ]
    for text in host.device_cgroup_rules or []:
        kind, numbers, access = text.split()
        major, _, minor = numbers.partition(":")
        rules.append(
            _device_rule(kind, None if major == "*" else int(major), None if minor == "*" else int(minor), access)
        )
    return rules


def _device_rule(kind: str, major: int | None, minor: int | None, access: str) -> Spec:
    rule: Spec = {"allow": True, "type": kind, "access": access}
    if major is not None:
        rule["major"] = major
    if minor is not None:
        rule["minor"] = minor
    return rule


def _mounts(container: Container, launch: Launch) -> list[Spec]:
    host = container.host
    sys_mode = "rw" if host.privileged else "ro"
    writable = securityopt.parse(host.security_opt or []).writable_cgroups
    cgroup_mode = "rw" if writable or (writable is None and host.privileged) else "ro"
    out: list[Spec] = [
        _mount("/proc", "proc", "proc", _NO_EXEC),
        _mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _mount(
            "/dev/pts", "devpts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]
        ),
        _mount("/sys", "sysfs", "sysfs", [*_NO_EXEC, sys_mode]),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", [*_NO_EXEC, cgroup_mode]),
        _mount("/dev/mqueue", "mqueue", "mqueue", _NO_EXEC),
    ]
    if launch.cgroup_version == 2 and host.cgroupns_mode != "private":
        # A fresh cgroup2 mount outside a namespace would take the host's own options (nsdelegate) away.
        out[4] = _mount("/sys/fs/cgroup", "bind", "/sys/fs/cgroup", ["rbind", *_NO_EXEC, cgroup_mode])
    if host.pid_mode == "host" and "pid" not in dict(launch.join):
        out[0] = _mount("/proc", "bind", "/proc", ["rbind", "nosuid", "noexec", "nodev"])
    if launch.network is None:  # sysfs shows the network namespace that mounts it: with the host's own, bind the host's
        out[3] = _mount("/sys", "bind", "/sys", ["rbind", "nosuid", "noexec", "nodev", sys_mode])
    if host.ipc_mode == "host":
        if launch.shift is not None:
            del out[5]  # mqueue of the host's IPC namespace is not for a user namespace to mount
        out.append(_mount("/dev/shm", "bind", "/dev/shm", ["rbind"]))
    elif launch.shm:
        out.append(_mount("/dev/shm", "bind", launch.shm, ["rbind", "rprivate"]))
    elif host.ipc_mode != "none":
        out.append(_mount("/dev/shm", "tmpfs", "shm", [*_NO_EXEC, "mode=1777", f"size={host.shm_size}"]))
    mode = ["ro"] if host.readonly_rootfs else []
    files = [_mount(destination, "bind", source, ["rbind", "rprivate", *mode]) for source, destination in launch.files]
    if launch.init is not None:
        out.append(_mount("/sbin/docker-init", "bind", launch.init, ["bind", "ro"]))
    taken = {mount.destination for mount in container.mounts}
    asked = [*(file for file in files if file["destination"] not in taken), *map(_asked, container.mounts)]
    asked.sort(
        key=lambda mount: mount["destination"].count("/")
    )  # what lies deeper lies on top: /etc/hosts on a volume /etc
    return [mount for mount in out if mount["destination"] not in taken] + asked


def _mount(destination: str, kind: str, source: str, options: list[str]) -> Spec:
    return {"destination": destination, "type": kind, "source": source, "options": options}


def _asked(mount: MountPoint) -> Spec:
    if mount.kind == "tmpfs":
        return _mount(mount.destination, "tmpfs", "tmpfs", list(mount.options))
    access = "rw" if mount.writable else "ro" if mount.read_only_non_recursive or not mount.recursive else "rro"
    propagation = mount.propagation or "rprivate"
    if mount.recursive:
        options = ["rbind", propagation, access]
    else:  # crun takes the r of rprivate for that of rbind; of a single mount both words say the same
        options = ["bind", propagation.removeprefix("r"), access]
    return _mount(mount.destination, "bind", mount.source, options)
