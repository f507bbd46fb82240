"""What a container sees and may do: Docker's default profile, looked at from inside."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from typing import Any

import docker
import pytest
from docker.errors import APIError

pytestmark = pytest.mark.root


def run(client: docker.DockerClient, script: str, **more: Any) -> str:
    out: bytes = client.containers.run("busybox", ["sh", "-c", script], remove=True, stderr=True, **more)
    return out.decode()


@pytest.fixture
def box(client: docker.DockerClient) -> Any:
    return client.containers.run("busybox", ["sleep", "600"], detach=True, hostname="box")


def inside(box: Any, script: str, **more: Any) -> str:
    return str(box.exec_run(["sh", "-c", script], **more).output.decode())


STATUS = "grep -E '^(Cap|Seccomp:|NoNewPrivs|Groups)' /proc/self/status"
DEFAULT = {
    "CapInh": "0000000000000000", "CapPrm": "00000000a80425fb", "CapEff": "00000000a80425fb", "CapBnd": "00000000a80425fb",
    "CapAmb": "0000000000000000", "NoNewPrivs": "0", "Seccomp": "2",
}  # fmt: skip


def status(text: str) -> dict[str, str]:
    return {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}


def test_capabilities_and_seccomp_of_first_process_and_exec(client: docker.DockerClient, box: Any) -> None:
    for text in (run(client, STATUS), inside(box, STATUS)):
        found = status(text)
        assert {key: found[key] for key in DEFAULT} == DEFAULT
    other = status(run(client, STATUS, user="1000"))
    assert (other["CapEff"], other["CapPrm"], other["CapBnd"]) == ("0" * 16, "0" * 16, "00000000a80425fb")
    other = status(inside(box, STATUS, user="1000"))
    assert (other["CapEff"], other["CapAmb"], other["CapBnd"]) == ("0" * 16, "0" * 16, "00000000a80425fb")


def test_privileged_and_no_new_privileges(client: docker.DockerClient, box: Any) -> None:
    found = status(run(client, STATUS, privileged=True))
    assert found["Seccomp"] == "0" and int(found["CapEff"], 16) & 0xA80425FB == 0xA80425FB
    assert int(status(inside(box, STATUS, privileged=True))["CapEff"], 16) > 0xA80425FB
    assert status(run(client, STATUS, security_opt=["no-new-privileges"]))["NoNewPrivs"] == "1"
    assert status(run(client, STATUS, cap_drop=["ALL"]))["CapBnd"] == "0" * 16


def test_devices_of_the_host_are_for_the_privileged(client: docker.DockerClient) -> None:
    kmsg = os.stat("/dev/kmsg").st_rdev
    numbers = run(client, "stat -c '%t %T' /dev/kmsg", privileged=True).split()
    assert [int(number, 16) for number in numbers] == [os.major(kmsg), os.minor(kmsg)]
    assert "kmsg" not in run(client, "ls /dev").split()


def test_only_three_descriptors(client: docker.DockerClient, box: Any) -> None:
    # ls itself has the folder open
    assert run(client, "ls /proc/self/fd").split() == ["0", "1", "2", "3"]
    assert inside(box, "ls /proc/self/fd").split() == ["0", "1", "2", "3"]
    assert inside(box, "ls /proc/1/fd").split() == ["0", "1", "2"]


def test_masked_paths_tell_nothing(box: Any) -> None:
    script = """for f in /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list /proc/interrupts /proc/sched_debug; do
    [ ! -e $f ] || [ ! -s $f ] && head -c 1 $f 2>/dev/null; done
    for d in /proc/acpi /proc/scsi /proc/asound /sys/firmware /sys/devices/virtual/powercap; do [ ! -d $d ] || ls -A $d; done"""
    assert inside(box, script) == ""


def test_read_only_paths_cannot_be_written(box: Any) -> None:
    script = """echo 1 > /proc/sys/kernel/panic; echo b > /proc/sysrq-trigger; echo x > /sys/kernel/uevent_seqnum
    d=/sys/fs/cgroup; [ ! -d $d/memory ] || d=$d/memory; mkdir $d/x"""
    refusals = inside(box, script).splitlines()
    assert len(refusals) == 4 and all("can't create" in line for line in refusals)


def test_calls_that_are_refused(box: Any) -> None:
    for command in (
        "mount -t tmpfs none /tmp",
        "umount /proc",
        "unshare -m true",
        "unshare -U true",
        "date -s 12:00",
        "chroot / unshare -n true",
    ):
        assert "not permitted" in inside(box, f"busybox {command}") or "denied" in inside(box, f"busybox {command}"), (
            command
        )


def test_no_mount_of_the_host_is_seen(daemon: Any, box: Any) -> None:
    mounts = inside(box, "cat /proc/self/mountinfo").splitlines()
    points = [line.split()[4] for line in mounts]
    assert not [point for point in points if point.startswith((daemon.path, "/work", "/var/lib", "/boot"))]
    assert points[0] == "/" and "overlay" in mounts[0]
    allowed = r"/|/proc(/.*)?|/dev(/.*)?|/sys(/.*)?|/etc/(hosts|hostname|resolv.conf)"
    assert [point for point in points if not re.fullmatch(allowed, point)] == []


def test_devices(box: Any) -> None:
    names = set(inside(box, "ls /dev").split())
    assert {
        "null",
        "zero",
        "full",
        "random",
        "urandom",
        "tty",
        "pts",
        "shm",
        "mqueue",
        "fd",
        "stdin",
        "stdout",
        "stderr",
        "ptmx",
    } <= names
    assert names <= {
        "null",
        "zero",
        "full",
        "random",
        "urandom",
        "tty",
        "console",
        "core",
        "pts",
        "shm",
        "mqueue",
        "fd",
        "stdin",
        "stdout",
        "stderr",
        "ptmx",
    }
    assert "Operation not permitted" in inside(box, "mknod /tmp/d b 8 0 && head -c 1 /tmp/d 2>&1")


@pytest.mark.parametrize(
    ("user", "answer"),
    [
        ("", "0 0 0"), ("0", "0 0 0"), ("1000", "1000 1001 1001 100 2000"), ("alice", "1000 1001 1001 100 2000"), ("alice:extra", "1000 2000 2000"),
        ("1000:1000", "1000 1000 1000"), ("4242", "4242 0 0"), ("2147483647", "2147483647 0 0"),
    ],
)  # fmt: skip
def test_users(client: docker.DockerClient, box: Any, user: str, answer: str) -> None:
    script = 'echo "$(id -u) $(id -g) $(id -G)"'
    assert run(client, script, user=user).strip() == answer
    assert inside(box, script, user=user).strip() == answer


@pytest.mark.parametrize("user", ["2147483648", "4294967296", "-1", "1000abc", "nosuch", "alice:nosuch"])
def test_users_that_do_not_exist_never_become_root(client: docker.DockerClient, box: Any, user: str) -> None:
    for attempt in (lambda: run(client, "id -u", user=user), lambda: box.exec_run(["id", "-u"], user=user)):
        with pytest.raises(APIError, match=r"unable to find|uids and gids must be in range"):
            attempt()


def test_extra_groups(client: docker.DockerClient) -> None:
    assert run(client, "id -G", user="alice", group_add=["3000", "root"]).split() == [
        "1001",
        "0",
        "100",
        "2000",
        "3000",
    ]


def test_hostname_hosts_and_resolv_conf(box: Any) -> None:
    assert inside(box, "hostname; cat /etc/hostname") == "box\nbox\n"
    hosts = inside(box, "cat /etc/hosts")
    assert "127.0.0.1\tlocalhost" in hosts and re.search(r"^10\.\d+\.\d+\.\d+\tbox$", hosts, re.M)
    assert "nameserver" in inside(box, "cat /etc/resolv.conf")


@pytest.mark.parametrize("path", ["/proc/self/fd/3", "/proc/self/fd/7", "/proc/self/fd/8/../.."])
def test_a_working_directory_cannot_lead_out(client: docker.DockerClient, path: str) -> None:
    try:
        out = run(client, "pwd -P; ls /", working_dir=path)
    except (APIError, docker.errors.ContainerError):
        return
    assert "bin" in out and "boot" not in out


def test_the_runtime_cannot_be_reached_through_proc(client: docker.DockerClient, box: Any) -> None:
    programs = [path for name in ("crun", "conmon", "runc") if (path := shutil.which(name))]

    def prints() -> list[tuple[str, int, str]]:
        out = []
        for path in programs:
            with open(path, "rb") as file:
                out.append((path, os.fstat(file.fileno()).st_ino, hashlib.sha256(file.read()).hexdigest()))
        return out

    before = prints()
    assert inside(box, "readlink /proc/1/exe").strip() == "/bin/busybox"
    client.images.get("busybox")
    container = client.containers.create("busybox", ["/proc/self/exe"])
    try:
        container.start()
        container.wait()
    except APIError:
        pass
    inside(box, "echo x > /proc/1/exe; for p in /proc/[0-9]*/exe; do echo x > $p; done")
    assert prints() == before


def test_oom_score_limits_and_cgroup(client: docker.DockerClient) -> None:
    assert run(client, "cat /proc/self/oom_score_adj", oom_score_adj=100) == "100\n"
    limits = [docker.types.Ulimit(name="nofile", soft=100, hard=200)]
    assert run(client, "ulimit -n; ulimit -Hn", ulimits=limits) == "100\n200\n"
    container = client.containers.run(
        "busybox", ["sleep", "600"], detach=True, mem_limit="32m", pids_limit=50, cpu_quota=50_000
    )
    container.reload()
    with open(f"/proc/{container.attrs['State']['Pid']}/cgroup") as file:
        groups = dict(line.strip().split(":", 2)[1:] for line in file)
    found = {}
    for controller, name in (("memory", "memory.limit_in_bytes"), ("pids", "pids.max")):
        if controller in groups:
            with open(f"/sys/fs/cgroup/{controller}{groups[controller]}/{name}") as file:
                found[controller] = int(file.read())
    assert not found or found == {"memory": 32 << 20, "pids": 50}


def test_sysctls(client: docker.DockerClient) -> None:
    assert run(client, "cat /proc/sys/net/core/somaxconn", sysctls={"net.core.somaxconn": "77"}) == "77\n"
    assert run(
        client, "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range"
    ).split() == ["0", "0", "2147483647"]
    with pytest.raises(APIError, match="not in a separate kernel namespace"):
        run(client, "true", sysctls={"kernel.panic": "1"})


def test_the_host_is_as_before(daemon: Any, client: docker.DockerClient) -> None:
    """Every mount is in a private namespace; directories that are made are made inside."""
    container = client.containers.run(
        "busybox", ["sleep", "600"], detach=True, working_dir="/made-in-here", volumes=["/data"]
    )
    with open("/proc/self/mounts") as file:
        assert daemon.path not in file.read()
    assert container.exec_run(["pwd"]).output == b"/made-in-here\n"
    assert not os.path.exists("/made-in-here")
