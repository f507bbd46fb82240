"""A real daemon, as users run it: a subprocess with roots, a bridge and cgroups of its own.

Whatever a test does to it, nothing of it is left on the host at the end, and that is asserted.
"""

from __future__ import annotations

import asyncio
import gc
import io
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Network
from pathlib import Path

import docker
from docker.errors import APIError, NotFound

from naru.daemon.teardown import remove_networks
from naru.linux import netlink
from naru.linux.cgroup import Cgroup
from naru.linux.host import CGROUP_ROOT, probe
from naru.linux.netlink import Netlink
from naru.linux.nft import Nft, has_table

READY_S = float(os.environ.get("NARU_READY_S", "15"))  # emulated machines take longer
SETTLE_S = 2.0
PROJECT = Path(__file__).parents[2]
APPLETS = (
    "sh echo cat sleep ls id true false touch mkdir rm env hostname pwd ps stat grep cut head tail tr wc nc wget httpd "
    "readlink test kill od dd sort seq stty tty mount printf date chmod chown ln find ip timeout yes trap"
).split()
PASSWD = (
    "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\nalice:x:1000:1001:Alice:/home:/bin/sh\n"
)
GROUP = "root:x:0:\nusers:x:100:alice\nstaff:x:1001:\nextra:x:2000:alice\n"


def free_subnet() -> str:
    """The address with prefix of a 10.x.0.0/16 that this host routes nowhere."""
    with Netlink() as host:
        taken = netlink.overlapping(host.routes())
    free = [n for n in range(100, 200) if not any(net.overlaps(IPv4Network(f"10.{n}.0.0/16")) for net in taken)]
    return f"10.{secrets.choice(free)}.0.1/16"


def processes_with(word: str) -> dict[int, str]:
    """pid → command line of every process that has this word in its own; never ourselves."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            with suppress(OSError), open(f"/proc/{entry}/cmdline", "rb") as file:
                line = file.read().replace(b"\0", b" ").decode("utf-8", "replace")
                if word in line:
                    found[int(entry)] = line
    return found


class Daemon:
    """`naru daemon` with everything private; it can be killed and started again."""

    def __init__(self, *flags: str) -> None:
        self.path = tempfile.mkdtemp(prefix="nr", dir="/tmp")
        tag = secrets.token_hex(3)
        self.bridge, self.cgroup = f"nr{tag}", f"nr{tag}"
        self.bip = free_subnet()
        self.socket = f"{self.path}/s"
        self.url = f"unix://{self.socket}"
        self.data_root, self.exec_root = f"{self.path}/data", f"{self.path}/exec"
        self.log_path = f"{self.path}/log"
        self.flags = [
            "--host", self.url, "--data-root", self.data_root, "--exec-root", self.exec_root, "--bridge", self.bridge,
            "--bip", self.bip, "--cgroup-parent", self.cgroup, *flags,
        ]  # fmt: skip
        self.command = [sys.executable, "-m", "naru"]
        self.pass_fds: tuple[int, ...] = ()
        self._process: subprocess.Popen[bytes] | None = None
        self._client: docker.DockerClient | None = None

    # -- life -------------------------------------------------------------------------------------------------------

    def start(self) -> float:
        """Seconds until it answers, which it does when this returns: systemd's READY=1 says so."""
        began = time.monotonic()
        notify = f"{self.path}/notify"
        with suppress(FileNotFoundError):
            os.unlink(notify)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, open(self.log_path, "ab") as log:
            ready.bind(notify)
            ready.settimeout(READY_S)
            self._process = subprocess.Popen(
                [*self.command, "daemon", *self.flags], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "NOTIFY_SOCKET": notify}, start_new_session=True, pass_fds=self.pass_fds,
            )  # fmt: skip
            try:
                ready.recv(64)
            except TimeoutError as error:
                raise AssertionError(f"the daemon is not ready after {READY_S} s:\n{self.log()}") from error
        return time.monotonic() - began

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, as systemd does it."""
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise

    def log(self) -> str:
        with open(self.log_path, errors="replace") as file:
            return file.read()

    # -- use --------------------------------------------------------------------------------------------------------

    @property
    def client(self) -> docker.DockerClient:
        """docker-py's, kept."""
        if self._client is None:
            self._client = self.connect()
        return self._client

    def connect(self) -> docker.DockerClient:
        return docker.DockerClient(base_url=self.url, version="auto", timeout=60)

    def environment(self, **more: str) -> dict[str, str]:
        """What a command-line client needs to reach this daemon and nothing of ours."""
        home = f"{self.path}/home"
        os.makedirs(home, exist_ok=True)
        return {
            "PATH": os.environ["PATH"], "HOME": home, "DOCKER_CONFIG": home, "DOCKER_HOST": self.url, "DOCKER_BUILDKIT": "0",
            "PYTHONPATH": str(PROJECT / "src"), "TERM": "xterm", **more,
        }  # fmt: skip

    def import_busybox(self) -> None:
        changes = ['CMD ["/bin/sh"]', "ENV FROM_IMAGE=yes"]
        self.client.api.import_image_from_data(busybox_tar(), repository="busybox", tag="latest", changes=changes)

    def clear(self) -> None:
        """No container, no network and no volume is left but the predefined ones."""
        for container in self.client.containers.list(all=True, ignore_removed=True):
            with suppress(NotFound):
                container.remove(force=True, v=True)
        for network in self.client.networks.list():
            if network.name not in ("bridge", "host", "none"):
                with suppress(NotFound):
                    network.remove()
        for volume in self.client.volumes.list():
            with suppress(NotFound):
                volume.remove(force=True)

    # -- end --------------------------------------------------------------------------------------------------------

    def destroy(self) -> None:
        """Everything is gone, the daemon too, when this returns. Raises AssertionError for what should not have been left."""
        complaints: list[str] = []
        try:
            if self._process is not None and self._process.poll() is None:
                with _noting(complaints, "clear"):
                    self.clear()
            if self._client is not None:
                self._client.close()
            with _noting(complaints, "stop"):
                self.stop()
            complaints += [f"left over: {line}" for line in self.settled()]
        finally:
            self._take_down()
        text = self.log()
        complaints += [
            f"in the log: {line}" for line in text.splitlines() if "Traceback" in line or "never retrieved" in line
        ]
        with _noting(complaints, "files"):
            shutil.rmtree(self.path)
        assert not complaints, "\n".join([*complaints, text[-6000:]])

    def processes(self) -> dict[int, str]:
        """pid → command line of the daemon's and its monitors'."""
        return processes_with(self.path)

    def leftovers(self) -> list[str]:
        """What a daemon without containers should not have on the host: processes, mounts, ports of its bridge, cgroups."""
        found = [f"process {pid}: {line}" for pid, line in self.processes().items()]
        if self._process is not None:
            found = [line for line in found if f"process {self._process.pid}:" not in line]
        with open("/proc/self/mounts") as file:
            found += [f"mount {line.strip()}" for line in file if self.path in line]
        with Netlink() as host:
            links = host.links()
        bridge = next((link.index for link in links if link.name == self.bridge), -1)
        found += [f"port {link.name} of {self.bridge}" for link in links if bridge > 0 and link.master == bridge]
        found += [f"cgroup {path}" for path in self.cgroups()]
        for folder in ("containers", "exits", "runtime"):
            with suppress(FileNotFoundError):
                found += [f"{folder}/{name}" for name in os.listdir(f"{self.exec_root}/{folder}") if name != ".cache"]
        with suppress(FileNotFoundError):
            found += [f"data containers/{name}" for name in os.listdir(f"{self.data_root}/containers")]
        return found

    def settled(self) -> list[str]:
        """`leftovers` once the kernel has buried what has ended: it takes interfaces away some 20 ms after their namespace,
        and a monitor ends some milliseconds after the answer that its container has."""
        deadline = time.monotonic() + SETTLE_S
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as told:
            told.bind((0, 1))  # RTMGRP_LINK
            told.settimeout(0.02)
            while (found := self.leftovers()) and time.monotonic() < deadline:
                with suppress(TimeoutError):
                    told.recv(65536)
        return found

    def cgroups(self) -> list[str]:
        """Cgroups of containers, in every hierarchy."""
        out = []
        for root in [CGROUP_ROOT, *(entry.path for entry in os.scandir(CGROUP_ROOT) if entry.is_dir())]:
            with suppress(FileNotFoundError, NotADirectoryError):
                out += [entry.path for entry in os.scandir(f"{root}/{self.cgroup}") if entry.is_dir()]
        return out

    def _take_down(self) -> None:
        """By force and without the daemon: its processes, cgroups, bridges and firewall table."""
        host = probe()
        group = Cgroup(host, f"/{self.cgroup}")
        group.kill()
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 5
        while not group.remove() and time.monotonic() < deadline:
            time.sleep(0.02)  # until the kernel has buried what was killed
        if os.path.exists(f"{self.data_root}/naru.db"):
            asyncio.run(remove_networks(self.data_root, self.bridge, self.bip))
        with Netlink() as kernel:
            assert kernel.link(self.bridge) is None
        with Nft() as nft:
            assert not has_table(nft, f"naru-{self.bridge}")
        assert not group.exists()


class _noting:
    """Notes an exception as a complaint, so that what comes after is done all the same."""

    def __init__(self, complaints: list[str], what: str) -> None:
        self._complaints, self._what = complaints, what

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, (APIError, OSError, AssertionError, subprocess.TimeoutExpired)):
            self._complaints.append(f"{self._what}: {error!r}")
            return True
        return False


# -- images -------------------------------------------------------------------------------------------------------------


@contextmanager
def serving(daemon: Daemon) -> Iterator[Daemon]:
    """The daemon runs, with an image, for as long as the block lasts, and nothing is left of it then."""
    try:
        daemon.start()
        daemon.import_busybox()
        yield daemon
    finally:
        daemon.destroy()


@contextmanager
def lent(daemon: Daemon) -> Iterator[Daemon]:
    """A running daemon for one test: containers, networks and volumes of the test go with it, and leave nothing on the host."""
    yield daemon
    gc.collect()  # docker-py leaves sockets to the collector: here nobody minds (see the hook in conftest)
    daemon.clear()
    assert daemon.settled() == []


def busybox_tar() -> bytes:
    """A root file system of one static program."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, mode in (
            ("bin", 0o755),
            ("etc", 0o755),
            ("tmp", 0o1777),
            ("root", 0o700),
            ("home", 0o755),
            ("proc", 0o555),
            ("sys", 0o555),
            ("dev", 0o755),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, mode
            tar.addfile(info)
        tar.add(shutil.which("busybox") or "/bin/busybox", "bin/busybox", filter=_as_root)
        for name in APPLETS:
            info = tarfile.TarInfo(f"bin/{name}")
            info.type, info.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(info)
        for name, text in (("etc/passwd", PASSWD), ("etc/group", GROUP)):
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def _as_root(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mode = 0o755
    return info
