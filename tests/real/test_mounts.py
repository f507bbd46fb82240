"""Mounts of every type, as the kernel shows them inside: propagation, read-only trees, parts of volumes, images."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from typing import Any

import docker
import pytest
from docker.errors import APIError

pytestmark = pytest.mark.root


def run(client: docker.DockerClient, script: str, *mounts: dict[str, Any], **host: Any) -> str:
    """Output of both streams; what the container was is gone afterwards."""
    api = client.api
    body = {"Image": "busybox", "Cmd": ["sh", "-c", script], "HostConfig": {"Mounts": list(mounts), **host}}
    id = api.create_container_from_config(body)["Id"]
    try:
        api.start(id)
        api.wait(id)
        return str(api.logs(id).decode())
    finally:
        api.remove_container(id, force=True, v=True)


def bind(source: str, **more: Any) -> dict[str, Any]:
    return {"Type": "bind", "Source": source, "Target": "/m", **more}


@pytest.fixture
def tree() -> Iterator[str]:
    """A shared tmpfs with another one in it, on the host."""
    folder = tempfile.mkdtemp(prefix="naru-mounts-")
    try:
        subprocess.run(["mount", "-t", "tmpfs", "outer", folder], check=True)
        subprocess.run(["mount", "--make-shared", folder], check=True)
        os.mkdir(f"{folder}/inner")
        os.mkdir(f"{folder}/late")
        subprocess.run(["mount", "-t", "tmpfs", "inner", f"{folder}/inner"], check=True)
        yield folder
    finally:
        subprocess.run(["umount", "-R", folder], check=True)
        os.rmdir(folder)


WRITE = "touch /m/inner/x 2>/dev/null && echo writable || echo read-only"


def test_read_only_means_what_is_below_too(client: docker.DockerClient, tree: str) -> None:
    assert run(client, WRITE, bind(tree)) == "writable\n"
    assert run(client, WRITE, bind(tree, ReadOnly=True)) == "read-only\n"
    assert run(client, WRITE, Binds=[f"{tree}:/m:ro"]) == "read-only\n"
    options = {"ReadOnlyNonRecursive": True}
    assert run(client, WRITE, bind(tree, ReadOnly=True, BindOptions=options)) == "writable\n"


def test_a_bind_that_is_not_recursive(client: docker.DockerClient, tree: str) -> None:
    count = "grep -c ' /m' /proc/self/mountinfo"
    assert run(client, count, bind(tree)) == "2\n"
    assert run(client, count, bind(tree, BindOptions={"NonRecursive": True})) == "1\n"


def test_propagation(client: docker.DockerClient, tree: str) -> None:
    script = "mount -t tmpfs late /m/late && touch /m/late/x"
    run(client, script, bind(tree, BindOptions={"Propagation": "rslave"}), Privileged=True)
    assert os.listdir(f"{tree}/late") == []
    run(client, script, bind(tree, BindOptions={"Propagation": "rshared"}), Privileged=True)
    assert os.listdir(f"{tree}/late") == ["x"]  # a mount made inside shows on the host
    masters = "grep ' /m' /proc/self/mountinfo | grep -c master"
    assert int(run(client, masters, bind(tree, BindOptions={"Propagation": "rslave"}))) >= 2
    assert run(client, masters, bind(tree)) == "0\n"
    with pytest.raises(APIError, match=r"path /proc is mounted on /proc but it is not a shared"):
        run(client, "true", bind("/proc", BindOptions={"Propagation": "rshared"}))


def test_parts_of_a_volume(client: docker.DockerClient) -> None:
    volume = client.volumes.create()
    try:
        fill = "mkdir -p /m/sub/deep; echo hi > /m/sub/file; ln -s sub /m/link; ln -s / /m/root"
        whole = {"Type": "volume", "Source": volume.name, "Target": "/m"}
        run(client, fill, whole)
        for subpath, script, answer in (
            ("sub", "ls /m", "deep\nfile\n"), ("link", "ls /m", "deep\nfile\n"), ("sub/file", "cat /m", "hi\n"),
        ):  # fmt: skip
            assert run(client, script, {**whole, "VolumeOptions": {"Subpath": subpath}}) == answer
        with pytest.raises(APIError, match="escapes the base directory"):
            run(client, "ls /m", {**whole, "VolumeOptions": {"Subpath": "root"}})
        with pytest.raises(docker.errors.NotFound, match="cannot access path"):
            run(client, "ls /m", {**whole, "VolumeOptions": {"Subpath": "none"}})
    finally:
        volume.remove(force=True)


def test_copy_from_a_part_of_a_volume_of_a_container_that_does_not_run(client: docker.DockerClient) -> None:
    volume = client.volumes.create()
    box = None
    try:
        whole = {"Type": "volume", "Source": volume.name, "Target": "/m"}
        run(client, "mkdir /m/sub; touch /m/sub/inside /m/outside", whole)
        part = {**whole, "VolumeOptions": {"Subpath": "sub"}}
        body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"Mounts": [part]}}
        box = client.api.create_container_from_config(body)["Id"]
        client.api.get_archive(box, "/m/inside")
        with pytest.raises(docker.errors.NotFound):
            client.api.get_archive(box, "/m/outside")
    finally:
        if box:
            client.api.remove_container(box)
        volume.remove(force=True)


def test_images(client: docker.DockerClient) -> None:
    image = {"Type": "image", "Source": "busybox", "Target": "/m"}
    assert run(client, "ls -d /m/bin /m/bin/busybox; touch /m/x 2>&1", image).startswith("/m/bin\n/m/bin/busybox\n")
    assert "Read-only file system" in run(client, "touch /m/x", image)
    assert "busybox\n" in run(client, "ls /m", {**image, "ImageOptions": {"Subpath": "bin"}})


def test_an_image_that_is_mounted_is_in_use(client: docker.DockerClient) -> None:
    box = client.containers.run("busybox", ["touch", "/second"], detach=True)
    box.wait()
    made = box.commit("naru-mounted")
    body = {
        "Image": "busybox",
        "Cmd": ["true"],
        "HostConfig": {"Mounts": [{"Type": "image", "Source": made.id, "Target": "/m"}]},
    }
    user = client.api.create_container_from_config(body)["Id"]
    try:
        with pytest.raises(APIError) as caught:
            client.images.remove(made.id)
        assert caught.value.status_code == 409
        client.api.start(user)
    finally:
        client.api.remove_container(user, force=True)
        box.remove()
        client.images.remove(made.id, force=True)


def test_an_image_of_more_than_one_layer(client: docker.DockerClient) -> None:
    box = client.containers.run("busybox", ["touch", "/second"], detach=True)
    box.wait()
    made = box.commit("naru-layers")
    try:
        image = {"Type": "image", "Source": "naru-layers", "Target": "/m"}
        assert run(client, "ls -d /m/second /m/bin", image) == "/m/bin\n/m/second\n"
    finally:
        box.remove()
        client.images.remove(made.id, force=True)


def test_tmpfs(client: docker.DockerClient) -> None:
    show = "grep ' /m ' /proc/self/mountinfo | sed 's/.* \\(rw[^ ]*\\) - tmpfs tmpfs/\\1/'; stat -c %a /m"
    assert (
        run(client, show, Tmpfs={"/m": "exec,size=1m,mode=700"})
        == "rw,nosuid,nodev,relatime rw,size=1024k,mode=700\n700\n"
    )
    options = {"SizeBytes": 65536, "Options": [["exec"]]}
    made = run(client, show, {"Type": "tmpfs", "Target": "/m", "TmpfsOptions": options})
    assert made == "rw,nosuid,nodev,relatime rw,size=64k\n1777\n"
    with pytest.raises(APIError, match='invalid tmpfs option "foo"'):
        run(client, "true", Tmpfs={"/m": "foo"})
