"""The runtime spec, item by item as Docker's default profile has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from naru.containers.cdi import Edits
from naru.containers.records import Container, MountPoint
from naru.containers.resources import resources
from naru.containers.runtimespec import ALL_CAPABILITIES, Launch, build, capabilities, environment, process
from naru.containers.users import User
from naru.oci.image import dump_json
from naru.wire.container import Device, ThrottleDevice, Ulimit, WeightDevice

Make = Callable[..., Container]
DOCKER_DEFAULT = {
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
    "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
}  # fmt: skip


def launch(**changes: Any) -> Launch:
    defaults = {
        "rootfs": "/b/rootfs",
        "user": User(),
        "machine": "x86_64",
        "cgroup_path": "/naru/c",
        "cgroup_version": 2,
    }
    return Launch(**{**defaults, "network": "/proc/1/fd/9", **changes})


def spec(record: Container, **changes: Any) -> dict[str, Any]:
    return build(record, launch(**changes))


def mounts(record: Container, **changes: Any) -> dict[str, dict[str, Any]]:
    return {mount["destination"]: mount for mount in spec(record, **changes)["mounts"]}


# -- the default profile --------------------------------------------------------------------------------------------------


def test_default_capabilities(record: Make) -> None:
    caps = spec(record())["process"]["capabilities"]
    assert set(caps["bounding"]) == set(caps["effective"]) == set(caps["permitted"]) == DOCKER_DEFAULT
    assert caps["inheritable"] == caps["ambient"] == []
    assert sum(1 << ALL_CAPABILITIES.index(cap) for cap in ()) == 0


def test_the_mask_of_the_default_capabilities_is_dockers(record: Make) -> None:
    order = """CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
    NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT
    SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP""".split()
    mask = sum(1 << order.index(cap.removeprefix("CAP_")) for cap in capabilities(record()))
    assert f"{mask:016x}" == "00000000a80425fb"


def test_a_user_who_is_not_root_keeps_only_the_bounding_set(record: Make) -> None:
    caps = spec(record(), user=User(1000, 1000, (1000, 4)))["process"]
    assert set(caps["capabilities"]["bounding"]) == DOCKER_DEFAULT
    assert caps["capabilities"]["effective"] == caps["capabilities"]["permitted"] == []
    assert caps["user"] == {"uid": 1000, "gid": 1000, "additionalGids": [1000, 4]}


@pytest.mark.parametrize(
    ("add", "drop", "changed"),
    [
        (["NET_ADMIN"], [], DOCKER_DEFAULT | {"CAP_NET_ADMIN"}),
        (["cap_net_admin"], ["net_raw"], (DOCKER_DEFAULT | {"CAP_NET_ADMIN"}) - {"CAP_NET_RAW"}),
        ([], ["ALL"], set()),
        (["KILL"], ["ALL"], {"CAP_KILL"}),
        (["ALL"], [], set(ALL_CAPABILITIES)),
        (["ALL"], ["SYS_ADMIN"], set(ALL_CAPABILITIES) - {"CAP_SYS_ADMIN"}),
    ],
)
def test_capabilities_added_and_dropped(record: Make, add: list[str], drop: list[str], changed: set[str]) -> None:
    assert set(capabilities(record(host={"cap_add": add, "cap_drop": drop}))) == changed


def test_masked_and_read_only_paths(record: Make) -> None:
    linux = spec(record())["linux"]
    assert linux["maskedPaths"] == [
        "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug",
        "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
    ]  # fmt: skip
    assert linux["readonlyPaths"] == ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]


def test_namespaces(record: Make) -> None:
    kinds = {item["type"]: item.get("path") for item in spec(record())["linux"]["namespaces"]}
    assert kinds == {"mount": None, "pid": None, "ipc": None, "uts": None, "cgroup": None, "network": "/proc/1/fd/9"}
    host = record(host={"pid_mode": "host", "ipc_mode": "host", "uts_mode": "host", "cgroupns_mode": "host"})
    kinds = {item["type"]: item.get("path") for item in spec(host, network=None)["linux"]["namespaces"]}
    assert kinds == {"mount": None}
    joined = spec(record(host={"pid_mode": "container:x"}), join=(("pid", "/proc/7/ns/pid"),))
    assert {"type": "pid", "path": "/proc/7/ns/pid"} in joined["linux"]["namespaces"]


def test_devices_are_denied_but_for_dockers_list(record: Make) -> None:
    rules = spec(record())["linux"]["resources"]["devices"]
    assert rules[0] == {"allow": False, "access": "rwm"}
    allowed = {(r["type"], r.get("major"), r.get("minor"), r["access"]) for r in rules[1:] if r["allow"]}
    assert allowed == {
        ("c", None, None, "m"), ("b", None, None, "m"), ("c", 1, 3, "rwm"), ("c", 1, 5, "rwm"), ("c", 1, 7, "rwm"),
        ("c", 1, 8, "rwm"), ("c", 1, 9, "rwm"), ("c", 5, 0, "rwm"), ("c", 5, 1, "rwm"), ("c", 5, 2, "rwm"),
        ("c", 136, None, "rwm"), ("c", 10, 200, "rwm"),
    }  # fmt: skip


def test_devices_asked_for(record: Make) -> None:
    device = {
        "path": "/dev/x",
        "type": "c",
        "major": 10,
        "minor": 229,
        "fileMode": 0o666,
        "uid": 0,
        "gid": 0,
        "access": "rw",
    }
    asked = record(host={"devices": [Device(path_on_host="/dev/fuse")], "device_cgroup_rules": ["c 42:* rm"]})
    linux = spec(asked, devices=(device,))["linux"]
    assert linux["devices"] == [{key: value for key, value in device.items() if key != "access"}]
    assert linux["resources"]["devices"][-2:] == [
        {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"},
        {"allow": True, "type": "c", "access": "rm", "major": 42},
    ]


def test_mounts_of_the_default_profile(record: Make) -> None:
    found = mounts(record())
    assert {where: (mount["type"], mount["options"]) for where, mount in found.items()} == {
        "/proc": ("proc", ["nosuid", "noexec", "nodev"]),
        "/dev": ("tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        "/dev/pts": ("devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        "/sys": ("sysfs", ["nosuid", "noexec", "nodev", "ro"]),
        "/sys/fs/cgroup": ("cgroup", ["nosuid", "noexec", "nodev", "ro"]),
        "/dev/mqueue": ("mqueue", ["nosuid", "noexec", "nodev"]),
        "/dev/shm": ("tmpfs", ["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"]),
    }


def test_own_sysctls_and_oom_score(record: Make) -> None:
    made = spec(record(host={"sysctls": {"net.core.somaxconn": "9"}, "oom_score_adj": 100}))
    assert made["linux"]["sysctl"] == {
        "net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647", "net.core.somaxconn": "9",
    }  # fmt: skip
    assert made["process"]["oomScoreAdj"] == 100
    assert spec(record())["process"]["oomScoreAdj"] == 0  # set, so that the daemon's own is not inherited
    assert "sysctl" not in spec(record(host={"network_mode": "host"}), network=None)["linux"]


def test_the_same_container_gives_the_same_bytes(record: Make) -> None:
    first, second = (dump_json(build(record(), launch())) for _ in range(2))
    assert first == second


# -- what a user asks for ---------------------------------------------------------------------------------------------------


def test_privileged_has_everything_and_no_profile(record: Make) -> None:
    made = spec(record(host={"privileged": True, "masked_paths": None, "readonly_paths": None}))
    assert set(made["process"]["capabilities"]["effective"]) == set(ALL_CAPABILITIES)
    assert "seccomp" not in made["linux"]
    assert made["linux"]["maskedPaths"] == made["linux"]["readonlyPaths"] == []
    assert made["linux"]["resources"]["devices"] == [{"allow": True, "access": "rwm"}]
    assert {m["destination"]: m["options"][-1] for m in made["mounts"]}["/sys"] == "rw"


def test_seccomp_of_ones_own_or_none(record: Make) -> None:
    assert spec(record(), seccomp={"defaultAction": "SCMP_ACT_ALLOW"})["linux"]["seccomp"] == {
        "defaultAction": "SCMP_ACT_ALLOW"
    }
    assert "seccomp" not in spec(record(), seccomp={})["linux"]


def test_environment(record: Make) -> None:
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert environment(record()) == [path, "HOSTNAME=box", "A=1"]
    own = record(config={"tty": True, "env": ["PATH=/x", "A=1", "HOSTNAME=y", "A=2", "GONE"]})
    assert environment(own) == ["PATH=/x", "HOSTNAME=y", "TERM=xterm", "A=2"]


@pytest.mark.parametrize(
    ("options", "on"),
    [
        (None, False),
        (["no-new-privileges"], True),
        (["no-new-privileges:true"], True),
        (["no-new-privileges=false"], False),
    ],
)
def test_no_new_privileges(record: Make, options: list[str] | None, on: bool) -> None:
    assert spec(record(host={"security_opt": options}))["process"]["noNewPrivileges"] is on


def test_init_is_put_before_the_command(record: Make) -> None:
    made = spec(record(), init="/usr/bin/tini")
    assert made["process"]["args"] == ["/sbin/docker-init", "--", "sh"]
    bind = next(m for m in made["mounts"] if m["destination"] == "/sbin/docker-init")
    assert (bind["source"], bind["options"]) == ("/usr/bin/tini", ["bind", "ro"])


def test_user_mounts_replace_default_ones_and_lie_on_top_of_each_other(record: Make) -> None:
    asked = (
        MountPoint("bind", "/h/deep", "/data/deep", writable=False, propagation="rslave"),
        MountPoint("volume", "/v", "/data", name="v"),
        MountPoint("tmpfs", "", "/dev/shm", options=("size=1m",)),
    )
    made = spec(record(mounts=asked))
    found = {m["destination"]: m for m in made["mounts"]}
    assert found["/dev/shm"]["options"] == ["size=1m"]
    assert found["/data/deep"]["options"] == ["rbind", "rslave", "rro"]
    assert found["/data"]["options"] == ["rbind", "rprivate", "rw"]
    order = [m["destination"] for m in made["mounts"]]
    assert order.index("/data") < order.index("/data/deep")
    assert made["linux"]["rootfsPropagation"] == "rslave"


def test_name_resolution_files_follow_the_root(record: Make) -> None:
    files = (("/d/hosts", "/etc/hosts"),)
    assert mounts(record(), files=files)["/etc/hosts"]["options"] == ["rbind", "rprivate"]
    assert mounts(record(host={"readonly_rootfs": True}), files=files)["/etc/hosts"]["options"] == [
        "rbind",
        "rprivate",
        "ro",
    ]
    assert spec(record(host={"readonly_rootfs": True}))["root"] == {"path": "/b/rootfs", "readonly": True}


def test_host_namespaces_show_the_hosts_trees(record: Make) -> None:
    found = mounts(record(host={"pid_mode": "host", "ipc_mode": "host"}), network=None)
    assert (found["/proc"]["type"], found["/sys"]["source"], found["/dev/shm"]["source"]) == (
        "bind",
        "/sys",
        "/dev/shm",
    )
    assert "/dev/shm" not in mounts(record(host={"ipc_mode": "none"}))


@pytest.mark.parametrize(
    ("host", "made"),
    [
        ({}, {}),
        ({"memory": 1 << 30, "memory_swap": -1}, {"memory": {"limit": 1 << 30, "swap": -1}}),
        ({"nano_cpus": 1_500_000_000}, {"cpu": {"period": 100_000, "quota": 150_000}}),
        ({"cpu_shares": 512, "cpuset_cpus": "0-1"}, {"cpu": {"shares": 512, "cpus": "0-1"}}),
        ({"pids_limit": 100}, {"pids": {"limit": 100}}),
        ({"pids_limit": -1}, {}),
        ({"pids_limit": 0}, {}),
        ({"blkio_weight": 300}, {"blockIO": {"weight": 300}}),
        ({"memory_swappiness": 10, "oom_kill_disable": True}, {}),
    ],
)
def test_resources(record: Make, host: dict[str, Any], made: dict[str, Any]) -> None:
    assert resources(record(host=host), 2) == made


def test_resources_that_only_cgroup_1_has(record: Make) -> None:
    asked = record(host={"memory_swappiness": 10, "oom_kill_disable": True})
    assert resources(asked, 1) == {"memory": {"swappiness": 10, "disableOOMKiller": True}}


def test_no_limit_of_processes_is_said_only_when_there_was_one(record: Make) -> None:
    for unlimited in (0, -1):
        asked = record(host={"pids_limit": unlimited})
        assert resources(asked, 2) == {} and resources(asked, 2, lift=True) == {"pids": {"limit": -1}}


def test_the_hosts_own_cgroup_tree_is_bound_not_mounted_anew(record: Make) -> None:
    made = mounts(record(host={"cgroupns_mode": "host"}), cgroup_version=2)["/sys/fs/cgroup"]
    assert made["type"] == "bind" and {"rbind", "ro"} <= set(made["options"])
    assert mounts(record(host={"cgroupns_mode": "private"}), cgroup_version=2)["/sys/fs/cgroup"]["type"] == "cgroup"


def test_rlimits(record: Make) -> None:
    limits = [Ulimit(name="nofile", soft=10, hard=20), Ulimit(name="core", soft=-1, hard=-1)]
    made = process(record(host={"ulimits": limits}), User(), argv=["x"], env=[], cwd="", tty=False, privileged=False)
    assert made["rlimits"] == [
        {"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20},
        {"type": "RLIMIT_CORE", "soft": 2**64 - 1, "hard": 2**64 - 1},
    ]
    assert made["cwd"] == "/"


@pytest.mark.parametrize(
    ("mount", "options"),
    [
        ({}, ["rbind", "rprivate", "rw"]),
        ({"writable": False}, ["rbind", "rprivate", "rro"]),
        ({"writable": False, "read_only_non_recursive": True}, ["rbind", "rprivate", "ro"]),
        ({"recursive": False, "propagation": "rslave"}, ["bind", "slave", "rw"]),
        ({"propagation": "rshared"}, ["rbind", "rshared", "rw"]),
    ],
)
def test_binds(record: Make, mount: dict[str, Any], options: list[str]) -> None:
    made = spec(record(mounts=(MountPoint("bind", "/h", "/t", **mount),)))
    assert next(m for m in made["mounts"] if m["destination"] == "/t")["options"] == options


def test_the_tree_passes_on_as_much_as_its_most_open_mount(record: Make) -> None:
    def of(*propagations: str) -> str:
        mounts = tuple(MountPoint("bind", "/h", f"/{p}", propagation=p) for p in propagations)
        return str(spec(record(mounts=mounts))["linux"]["rootfsPropagation"])

    assert [of("rprivate"), of("slave"), of("rslave", "shared")] == ["private", "rslave", "shared"]


def test_name_resolution_files_lie_on_a_volume_at_etc(record: Make) -> None:
    made = spec(record(mounts=(MountPoint("volume", "/v", "/etc", name="v"),)), files=(("/host/hosts", "/etc/hosts"),))
    order = [m["destination"] for m in made["mounts"] if m["destination"].startswith("/etc")]
    assert order == ["/etc", "/etc/hosts"]


def test_block_device_limits(record: Make) -> None:
    host = {
        "blkio_weight_device": [WeightDevice(path="/dev/a", weight=20)],
        "blkio_device_read_bps": [ThrottleDevice(path="/dev/a", rate=1)],
        "blkio_device_write_bps": [ThrottleDevice(path="/dev/b", rate=2)],
        "blkio_device_read_iops": [ThrottleDevice(path="/dev/a", rate=3)],
        "blkio_device_write_iops": [ThrottleDevice(path="/dev/b", rate=4)],
    }
    made = resources(record(host=host), 1, numbers={"/dev/a": (8, 0), "/dev/b": (8, 1)})
    assert made["blockIO"] == {
        "weightDevice": [{"major": 8, "minor": 0, "weight": 20}],
        "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}],
        "throttleWriteBpsDevice": [{"major": 8, "minor": 1, "rate": 2}],
        "throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 3}],
        "throttleWriteIOPSDevice": [{"major": 8, "minor": 1, "rate": 4}],
    }


def test_realtime_and_swap_without_limit(record: Make) -> None:
    made = resources(record(host={"cpu_realtime_period": 1000, "cpu_realtime_runtime": 5, "memory_swap": -5}), 1)
    assert made == {"cpu": {"realtimePeriod": 1000, "realtimeRuntime": 5}, "memory": {"swap": -1}}


def test_a_device_without_a_path_inside_or_permissions(record: Make) -> None:
    device = {"path": "", "type": "c", "major": 1, "minor": 3, "access": ""}
    made = spec(record(), devices=(device,))
    assert made["linux"]["devices"] == [] and made["linux"]["resources"] == spec(record())["linux"]["resources"]


def test_what_vendors_say_of_their_devices(record: Make) -> None:
    edits = Edits(
        env=("A=2", "GPU=1"),
        devices=({"path": "/dev/gpu", "type": "c", "major": 195, "minor": 0, "access": "rw"},),
        mounts=({"source": "/lib/gpu", "destination": "/gpu", "type": "bind", "options": ["ro"]},),
        hooks=(("createContainer", {"path": "/bin/hook"}),),
        groups=(44, 44),
    )
    made = spec(record(), edits=edits)
    assert [e for e in made["process"]["env"] if e[:2] in ("A=", "GP")] == ["A=2", "GPU=1"]
    assert made["linux"]["devices"] == [{"path": "/dev/gpu", "type": "c", "major": 195, "minor": 0}]
    rule = {"allow": True, "type": "c", "major": 195, "minor": 0, "access": "rw"}
    assert rule in made["linux"]["resources"]["devices"]
    assert made["mounts"][-1]["destination"] == "/gpu"
    assert made["hooks"] == {"createContainer": [{"path": "/bin/hook"}]}
    assert made["process"]["user"]["additionalGids"].count(44) == 1


@pytest.mark.parametrize(
    ("tty", "size", "made"),
    [(True, (24, 81), {"height": 24, "width": 81}), (True, (0, 81), None), (False, (24, 81), None)],
)
def test_console_size(record: Make, tty: bool, size: tuple[int, int], made: dict[str, int] | None) -> None:
    made_spec = spec(record({"tty": tty}, {"console_size": size}))
    assert made_spec["process"].get("consoleSize") == made


def test_a_profile_of_apparmor_and_a_joined_shm(record: Make) -> None:
    made = spec(
        record(host={"ipc_mode": "container:x"}), apparmor="mine", shm="/b/shm", join=(("ipc", "/proc/7/ns/ipc"),)
    )
    assert made["process"]["apparmorProfile"] == "mine"
    shm = next(m for m in made["mounts"] if m["destination"] == "/dev/shm")
    assert (shm["type"], shm["source"]) == ("bind", "/b/shm")


@pytest.mark.parametrize(
    ("host", "mode"),
    [
        ({}, "ro"),
        ({"privileged": True}, "rw"),
        ({"security_opt": ["writable-cgroups"]}, "rw"),
        ({"privileged": True, "security_opt": ["writable-cgroups=false"]}, "ro"),
    ],
)
def test_who_may_write_cgroups(record: Make, host: dict[str, Any], mode: str) -> None:
    assert mounts(record(host=host))["/sys/fs/cgroup"]["options"][-1] == mode


def test_a_domain_name_is_the_kernels(record: Make) -> None:
    assert spec(record({"domainname": "example.test"}))["linux"]["sysctl"]["kernel.domainname"] == "example.test"
