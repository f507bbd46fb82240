"""A data root without a byte free: what runs goes on, what is asked for is refused in plain words, and what frees room works."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError, BuildError, DockerException, ImageNotFound, NotFound

pytestmark = pytest.mark.root
DISK_BYTES = 96 << 20
SAID = "no space left on device"


@pytest.fixture
def small(make_daemon: Callable[..., Any], tmp_path: Path) -> Iterator[Any]:
    """A daemon whose data root is a file system of its own."""
    daemon, image = make_daemon(), tmp_path / "disk"
    with open(image, "wb") as file:
        file.truncate(DISK_BYTES)
    os.mkdir(daemon.data_root)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), daemon.data_root], check=True)
    try:
        daemon.start()
        daemon.import_busybox()
        yield daemon
        free(daemon)
        daemon.clear()
    finally:
        daemon.stop()
        shutil.copy(f"{daemon.data_root}/naru.db", f"{daemon.path}/naru.db")
        subprocess.run(["umount", daemon.data_root], check=True)
        shutil.move(
            f"{daemon.path}/naru.db", f"{daemon.data_root}/naru.db"
        )  # names the networks that are to be removed


def fill(daemon: Any) -> None:
    """To the last byte, with what the daemon does not know."""
    for size in (1 << 20, 4096, 1):
        with suppress(OSError), open(f"{daemon.data_root}/filler-{size}", "ab", buffering=0) as file:
            while True:
                file.write(b"x" * size)
    os.sync()


def free(daemon: Any) -> None:
    for size in (1 << 20, 4096, 1):
        with suppress(FileNotFoundError):
            os.unlink(f"{daemon.data_root}/filler-{size}")


def tree(daemon: Any) -> set[str]:
    """What there is, but for what is being deleted."""
    return {
        os.path.relpath(os.path.join(folder, name), daemon.data_root)
        for folder, names, files in os.walk(daemon.data_root)
        for name in (*names, *files)
        if "/trash" not in folder
        and not name.startswith(("trash", "filler", "naru.db", "hosts", "hostname", "resolv.conf"))
    }


def layer(size_bytes: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("big")
        info.size = size_bytes
        tar.addfile(info, io.BytesIO(os.urandom(size_bytes)))
    return out.getvalue()


def test_what_needs_room_is_refused_and_what_frees_it_works(small: Any, registry: Any) -> None:
    client: docker.DockerClient = small.client
    api = client.api
    talking = client.containers.run("busybox", ["sh", "-c", "while :; do echo x; sleep 0.05; done"], detach=True)
    ending = client.containers.run("busybox", ["sleep", "600"], detach=True, auto_remove=True)
    made = client.containers.create("busybox", ["true"], volumes=["v1:/v"])
    client.volumes.create("v2")
    api.import_image_from_data(layer(1 << 20), repository="big")
    client.images.get("busybox").tag(f"{registry.address}/pulled")
    api.import_image_from_data(layer(4 << 20), repository=f"{registry.address}/pulled")
    for line in api.push(f"{registry.address}/pulled", stream=True, decode=True):
        assert "error" not in line, line
    archive = b"".join(client.images.get(f"{registry.address}/pulled").save(named=True))
    client.images.remove(f"{registry.address}/pulled")
    fill(small)
    before = tree(small)

    refused: dict[str, Callable[[], object]] = {
        "create": lambda: client.containers.create("busybox", ["true"], volumes=["/x"]),
        "start": made.start,
        "import": lambda: api.import_image_from_data(layer(4 << 20), repository="more"),
        "load": lambda: client.images.load(archive),
        "pull": lambda: pull(client, f"{registry.address}/pulled"),
        "build": lambda: client.images.build(fileobj=dockerfile(), custom_context=True),
        "commit": lambda: talking.commit("copy"),
        "volume": lambda: client.volumes.create("v3"),
    }
    for what, ask in refused.items():
        with pytest.raises((DockerException, APIError, BuildError)) as error:
            ask()
        assert SAID in str(error.value).lower(), (what, str(error.value))
        assert tree(small) - before == set(), what

    talking.reload()
    assert talking.status == "running"
    assert talking.exec_run(["echo", "alive"]).output == b"alive\n"
    began = time.monotonic()
    ending.stop(timeout=0)
    with pytest.raises(NotFound):
        for _ in range(100):
            ending.reload()
            time.sleep(0.02)
    talking.stop(timeout=0)
    talking.reload()
    assert talking.status == "exited"
    fill(small)
    talking.remove()
    fill(small)
    made.remove()
    fill(small)
    client.volumes.get("v2").remove()
    assert client.volumes.prune({"all": ["true"]})["VolumesDeleted"] == ["v1"]
    fill(small)
    client.images.remove("big")
    with pytest.raises(ImageNotFound):
        client.images.get("big")
    assert time.monotonic() - began < 20
    free(small)
    assert client.containers.run("busybox", ["echo", "again"], remove=True) == b"again\n"


def pull(client: docker.DockerClient, name: str) -> None:
    for line in client.api.pull(name, "latest", stream=True, decode=True):
        if "error" in line:
            raise DockerException(line["error"])


def dockerfile() -> io.BytesIO:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in (("Dockerfile", b"FROM busybox\nCOPY big /\nRUN true\n"), ("big", os.urandom(4 << 20))):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    out.seek(0)
    return out


def test_a_daemon_starts_on_a_full_disk(small: Any) -> None:
    client = small.client
    running = client.containers.run("busybox", ["sleep", "600"], detach=True)
    ended = client.containers.run("busybox", ["sh", "-c", "sleep 1; exit 3"], detach=True)
    for end in (small.kill, small.stop):
        fill(small)
        end()
        fill(small)
        assert small.start() < 5
        running.reload()
        assert running.status == "running"
    assert ended.wait(timeout=10)["StatusCode"] == 3
    fill(small)
    running.remove(force=True)
    ended.remove()
    assert client.containers.list(all=True) == []
