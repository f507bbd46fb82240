"""Containers whose root is nobody on the host (`userns-remap`): seen from inside, from the host, and on disk."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker
import pytest
from clientbytes import owned_tar
from docker.errors import APIError
from docker.models.containers import Container
from docker.types import Ulimit
from realdaemon import Daemon, lent, serving

pytestmark = pytest.mark.root
USER, GROUP = 300000, 400000
MAPS = f"0 {USER} 65536\n0 {GROUP} 65536"
SHOW_MAPS = "cat /proc/self/uid_map /proc/self/gid_map | while read a b c; do echo $a $b $c; done"


def with_ranges(daemon: Daemon) -> Daemon:
    """Subordinate ids that only this daemon sees: those of the host are the host's business."""
    os.chmod(daemon.path, 0o711)
    binds = []
    for name, text in (("subuid", f"nobody:{USER}:65536\n"), ("subgid", f"nogroup:{GROUP}:65536\n")):
        Path(daemon.path, name).write_text(text)
        Path("/etc", name).touch()
        binds.append(f"mount --bind {daemon.path}/{name} /etc/{name}")
    daemon.command[:0] = ["unshare", "--mount", "sh", "-c", " && ".join([*binds, 'exec "$@"']), "sh"]
    daemon.flags += ["--userns-remap", "nobody:nogroup"]
    return daemon


@pytest.fixture(scope="module")
def remapped() -> Iterator[Daemon]:
    with serving(with_ranges(Daemon("-D"))) as daemon:
        yield daemon


@pytest.fixture
def client(remapped: Daemon) -> Iterator[docker.DockerClient]:
    null = os.stat("/dev/null")
    with lent(remapped) as daemon:
        yield daemon.client
    assert (os.stat("/dev/null").st_uid, os.stat("/dev/null").st_gid) == (null.st_uid, null.st_gid)


def run(client: docker.DockerClient, script: str, **more: Any) -> str:
    output = client.containers.run("busybox", ["sh", "-c", script], remove=True, **more)
    assert isinstance(output, bytes)
    return output.decode().strip()


def start(client: docker.DockerClient, script: str = "sleep 60", **more: Any) -> Container:
    return client.containers.run("busybox", ["sh", "-c", script], detach=True, init=True, **more)


def output(container: Container, *argv: str, **more: Any) -> str:
    code, text = container.exec_run(list(argv), **more)
    assert code == 0, text
    return str(text.decode().strip())


def pid_of(container: Container) -> int:
    container.reload()
    return int(container.attrs["State"]["Pid"])


def owner(path: str) -> tuple[int, int]:
    found = os.stat(path, follow_symlinks=False)
    return found.st_uid, found.st_gid


def test_root_inside_is_nobody_outside(client: docker.DockerClient) -> None:
    assert run(client, SHOW_MAPS) == MAPS
    container = start(client)
    pid = pid_of(container)
    with open(f"/proc/{pid}/status") as file:
        ids = [line.split()[1] for line in file if line.startswith(("Uid:", "Gid:"))]
    assert ids == [str(USER), str(GROUP)]
    assert os.stat(f"/proc/{pid}/ns/user").st_ino != os.stat("/proc/self/ns/user").st_ino
    assert output(container, "sh", "-c", SHOW_MAPS) == MAPS
    assert output(container, "id", "-u", user="alice") == "1000"
    assert output(container, "stat", "-c", "%u:%g", "/bin/busybox", "/etc/hosts", "/") == "0:0\n0:0\n0:0"
    assert output(container, "tty", tty=True).startswith("/dev/pts/")
    assert "name=userns" in client.info()["SecurityOptions"]
    kill = container.exec_run(["sh", "-c", "chown 1000 /proc/sys/kernel/hostname; mount -t tmpfs x /tmp"])
    assert kill.exit_code != 0


def test_who_opts_out_is_the_hosts_root(client: docker.DockerClient) -> None:
    assert run(client, "cat /proc/self/uid_map", userns_mode="host").split() == ["0", "0", "4294967295"]
    assert run(client, "id -u", userns_mode="host", privileged=True, network_mode="host", pid_mode="host") == "0"


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ({"privileged": True}, "privileged mode is incompatible with user namespaces"),
        ({"network_mode": "host"}, "cannot share the host's network namespace when user namespaces are enabled"),
        ({"pid_mode": "host"}, "cannot share the host PID namespace when user namespaces are enabled"),
    ],
)
def test_what_cannot_be_had(client: docker.DockerClient, host: dict[str, Any], words: str) -> None:
    with pytest.raises(APIError, match=words) as caught:
        client.containers.create("busybox", **host)
    assert caught.value.status_code == 400


def test_files_keep_their_owners_on_disk(client: docker.DockerClient, remapped: Daemon) -> None:
    script = "echo x > /data/mine; touch /data/theirs; chown 5:6 /data/theirs; stat -c %u:%g /data/mine /data/theirs"
    assert run(client, script, volumes={"vol": {"bind": "/data"}}) == "0:0\n5:6"
    data = f"{remapped.data_root}/volumes/vol/_data"
    assert [owner(f"{data}/{name}") for name in ("mine", "theirs")] == [(0, 0), (5, 6)]
    look = "stat -c %u:%g /data/theirs"
    assert run(client, look, volumes={"vol": {"bind": "/data"}}) == "5:6"
    assert run(client, look, volumes={"vol": {"bind": "/data"}}, userns_mode="host") == "5:6"


def test_a_new_volume_is_filled_from_the_image(client: docker.DockerClient, remapped: Daemon) -> None:
    look = "stat -c %u:%g /etc/passwd; touch /etc/new"
    assert run(client, look, volumes={"etc": {"bind": "/etc"}}) == "0:0"
    data = f"{remapped.data_root}/volumes/etc/_data"
    assert owner(f"{data}/passwd") == owner(f"{data}/new") == (0, 0)


def test_a_bind_is_the_hosts(client: docker.DockerClient, tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o711)
    (tmp_path / "rootly").mkdir(mode=0o700)
    (tmp_path / "open").mkdir()
    os.chmod(tmp_path / "open", 0o777)
    script = "ls /m/rootly 2>/dev/null && echo seen; touch /m/open/x; stat -c %u /m/open"
    assert run(client, script, volumes={str(tmp_path): {"bind": "/m"}}) == "65534"
    assert owner(str(tmp_path / "open/x")) == (USER, GROUP)


def test_a_network_and_a_published_port(client: docker.DockerClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    serve = "mkdir /www; echo page > /www/index.html; httpd -f -p 80 -h /www"
    container = start(client, serve, ports={"80/tcp": ("127.0.0.1", port)}, name="web")
    assert output(container, "sh", "-c", "until wget -qO- 127.0.0.1; do :; done") == "page"
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        assert answer.read() == b"page\n"
    assert output(container, "cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start") == "0"
    joined = run(client, f"wget -qO- 127.0.0.1; {SHOW_MAPS}", network_mode=f"container:{container.id}")
    assert joined == f"page\n{MAPS}"
    assert "httpd" in run(client, "ps", pid_mode=f"container:{container.id}")
    host = start(client, userns_mode="host")
    with pytest.raises(APIError, match=r"cannot join namespaces of .*: they are not in one user namespace"):
        run(client, "true", network_mode=f"container:{host.id}")


def fetched(container: Container, path: str) -> tuple[int, int]:
    stream, _ = container.get_archive(path)
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
        (info,) = tar.getmembers()
        return info.uid, info.gid


def test_archives_have_the_containers_owners(client: docker.DockerClient, remapped: Daemon) -> None:
    container = start(client, volumes={"cp": {"bind": "/data"}})
    for where in ("/tmp", "/data"):
        container.put_archive(where, owned_tar("running", 7, 8))
        assert output(container, "stat", "-c", "%u:%g", f"{where}/running") == "7:8"
        assert fetched(container, f"{where}/running") == (7, 8)
    assert owner(f"{remapped.data_root}/volumes/cp/_data/running") == (7, 8)
    container.kill()
    container.wait()
    container.put_archive("/tmp", owned_tar("stopped", 9, 10))
    assert fetched(container, "/tmp/running") == (7, 8)
    container.start()
    assert output(container, "stat", "-c", "%u:%g", "/tmp/stopped", "/tmp/running", "/data/running") == "9:10\n7:8\n7:8"


def test_an_image_made_of_a_container_is_nobodys_in_particular(client: docker.DockerClient) -> None:
    container = start(client)
    output(container, "sh", "-c", "touch /made; chown 5:6 /made")
    assert {"Path": "/made", "Kind": 1} in client.api.diff(container.id)
    client.api.commit(container.id, "made")
    for mode in ("", "host"):
        assert client.containers.run("made", "stat -c %u:%g /made", remove=True, userns_mode=mode) == b"5:6\n"
    client.images.remove("made")


def test_a_build_step_is_remapped_too(client: docker.DockerClient, remapped: Daemon) -> None:
    dockerfile = f"FROM busybox\nRUN {SHOW_MAPS} > /maps && touch /made && chown 5:6 /made && hostname"
    client.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag="built", rm=True)
    script = "cat /maps; stat -c %u:%g /made"
    assert client.containers.run("built", ["sh", "-c", script], remove=True).decode() == f"{MAPS}\n5:6\n"
    client.images.remove("built")
    dockerfile = f"FROM busybox\nRUN {SHOW_MAPS} > /maps && ls /sys/class/net > /links"
    client.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag="built", rm=True, network_mode="host")
    shown = client.containers.run("built", "cat /maps /links", remove=True).decode()
    assert shown.startswith(MAPS) and remapped.bridge in shown.split()
    client.images.remove("built")


def test_restart_and_limits(client: docker.DockerClient) -> None:
    container = start(client, mem_limit="32m", sysctls={"net.ipv4.ip_forward": "1"}, tmpfs={"/t": ""}, read_only=True)
    first = pid_of(container)
    container.restart(timeout=0)
    assert pid_of(container) != first
    assert output(container, "cat", "/proc/sys/net/ipv4/ip_forward") == "1"
    assert output(container, "stat", "-c", "%u", "/t") == "0"
    container.update(mem_limit="48m", memswap_limit="96m")


def test_limits_that_are_set_from_outside(client: docker.DockerClient) -> None:
    limits = [Ulimit(name="nofile", soft=100, hard=200), Ulimit(name="core", soft=0, hard=0)]
    container = start(client, ulimits=limits, oom_score_adj=300, domainname="example.org")
    script = "ulimit -n; ulimit -Hn; ulimit -c; cat /proc/self/oom_score_adj"
    assert output(container, "sh", "-c", script).split() == ["100", "200", "0", "300"]
    assert output(container, "cat", "/proc/sys/kernel/domainname") == "example.org"
    with open(f"/proc/{pid_of(container)}/limits") as file:
        lines = {line[:25].strip(): line[25:].split()[:2] for line in file}
    assert lines["Max open files"] == ["100", "200"] and lines["Max core file size"] == ["0", "0"]
    with open(f"/proc/{pid_of(container)}/oom_score_adj") as file:
        assert file.read() == "300\n"


def test_it_is_taken_up_after_a_crash(client: docker.DockerClient, remapped: Daemon) -> None:
    container = start(client, "trap 'exit 5' TERM; while :; do sleep 0.05; done", name="survivor", network="bridge")
    pid = pid_of(container)
    remapped.kill()
    remapped.start()
    assert pid_of(container) == pid
    assert output(container, "sh", "-c", SHOW_MAPS) == MAPS
    container.put_archive("/tmp", owned_tar("x", 7, 8))
    assert output(container, "stat", "-c", "%u:%g", "/tmp/x") == "7:8"
    container.stop()
    assert container.wait()["StatusCode"] == 5


def test_descriptors_are_given_back(client: docker.DockerClient, remapped: Daemon) -> None:
    def kept() -> list[str]:
        folder = f"/proc/{remapped.pid}/fd"
        found = []
        for fd in os.listdir(folder):
            with suppress(FileNotFoundError):  # closed since: it is not kept
                found.append(os.readlink(f"{folder}/{fd}"))
        return sorted(text for text in found if not text.startswith("socket:"))

    def settled(enough: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + 5
        while not enough() and time.monotonic() < deadline:
            time.sleep(0.02)
        return enough()

    run(client, "true")
    assert settled(lambda: "/" not in kept())  # its root file system, which is kept for a moment
    before = kept()
    for _ in range(3):
        run(client, "true")
        with pytest.raises(APIError):
            run(client, "true", working_dir="/bin/busybox")
    settled(lambda: kept() == before)  # a monitor ends some milliseconds after the answer
    assert kept() == before


def test_it_is_refused_where_it_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "ids").touch()
    Path("/etc/subuid").touch()
    script = f'mount --bind {tmp_path}/ids /etc/subuid && exec "$@"'
    roots = ["--data-root", f"{tmp_path}/d", "--exec-root", f"{tmp_path}/e", "--host", f"unix://{tmp_path}/s"]
    daemon = [sys.executable, "-m", "naru", "daemon", "--bridge", "nrnever", *roots]

    def refusal(value: str) -> str:
        command = ["unshare", "--mount", "sh", "-c", script, "sh", *daemon, "--userns-remap", value]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        assert done.returncode == 1
        return done.stderr

    assert "there is no user nosuchuser on this host" in refusal("nosuchuser")
    assert "no subuid ranges found for 'nobody' in /etc/subuid" in refusal("nobody:nogroup")
    assert "nrnever" not in os.listdir("/sys/class/net")


def test_the_default_user_is_made(make_daemon: Callable[..., Daemon]) -> None:
    """In an /etc of its own: the host's is not ours to change."""
    daemon = make_daemon("--userns-remap", "default")
    os.chmod(daemon.path, 0o711)
    layers = f"{daemon.path}/etc"
    for name in ("up", "work"):
        os.makedirs(f"{layers}/{name}")
    script = (
        f"mount -t overlay -o lowerdir=/etc,upperdir={layers}/up,workdir={layers}/work overlay /etc && "
        'echo someone:200000:65536 > /etc/subuid && : > /etc/subgid && exec "$@"'
    )
    daemon.command[:0] = ["unshare", "--mount", "sh", "-c", script, "sh"]
    daemon.start()
    daemon.import_busybox()
    assert run(daemon.client, SHOW_MAPS) == "0 265536 65536\n0 265536 65536"
    with open(f"{layers}/up/passwd") as file:
        assert any(line.startswith("dockremap:") for line in file)
