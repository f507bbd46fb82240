"""docker-py, unchanged, against a real daemon: files, images, networks, volumes, the system."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import docker
import pytest
from clientbytes import read_all, tar_of, untar
from docker.errors import APIError, ContainerError, ImageNotFound, NotFound
from docker.models.containers import Container

pytestmark = pytest.mark.root

SLEEP = ["sleep", "600"]


# -- files ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("running", [True, False])
def test_put_and_get_archive(client: docker.DockerClient, running: bool) -> None:
    container = client.containers.create("busybox", SLEEP)
    if running:
        container.start()
    assert container.put_archive("/tmp", tar_of(a="one", sub__b="two"))
    stream, found = container.get_archive("/tmp")
    files = untar(stream)
    assert files["tmp/a"] == b"one" and files["tmp/sub/b"] == b"two"
    assert found["name"] == "tmp" and found["linkTarget"] == ""
    stream, found = container.get_archive("/tmp/a")
    assert untar(stream) == {"a": b"one"} and found["size"] == 3
    with pytest.raises(NotFound, match="Could not find the file /nosuch in container"):
        container.get_archive("/nosuch")
    with pytest.raises(NotFound):
        container.put_archive("/nosuch", tar_of(a="x"))


def test_export_and_import(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["sh", "-c", "echo kept > /kept"], detach=True)
    container.wait()
    tar = b"".join(container.export())
    client.api.import_image_from_data(tar, repository="exported", tag="1")
    try:
        assert client.containers.run("exported:1", ["cat", "/kept"], remove=True) == b"kept\n"
    finally:
        client.images.remove("exported:1")


# -- images ---------------------------------------------------------------------------------------------------------------


def test_build_tag_history_remove(client: docker.DockerClient) -> None:
    dockerfile = 'FROM busybox\nENV A=1\nRUN echo built > /built\nCOPY f /f\nLABEL x=y\nCMD ["cat", "/built", "/f"]\n'
    context = io.BytesIO(tar_of(Dockerfile=dockerfile, f="copied\n"))
    image, log = client.images.build(fileobj=context, custom_context=True, tag="built:1")
    try:
        text = "".join(str(line.get("stream", "")) for line in log)
        assert "Successfully tagged built:1" in text
        assert client.containers.run("built:1", remove=True) == b"built\ncopied\n"
        assert image.labels == {"x": "y"}
        assert len(image.history()) == 6 and image.history()[0]["CreatedBy"].endswith('CMD ["cat" "/built" "/f"]')
        assert image.tag("again", "2")
        image.reload()
        assert image.tags == ["again:2", "built:1"]
    finally:
        client.images.remove("built:1")
    with pytest.raises(ImageNotFound):
        client.images.get("built:1")
    client.images.remove("again:2")


def test_a_failing_build_says_why(client: docker.DockerClient) -> None:
    context = io.BytesIO(tar_of(Dockerfile="FROM busybox\nRUN exit 3\n"))
    with pytest.raises(docker.errors.BuildError, match="returned a non-zero code: 3"):
        client.images.build(fileobj=context, custom_context=True)


def test_push_and_pull(client: docker.DockerClient, registry: Any) -> None:
    name = f"{registry.address}/team/box"
    image = client.images.get("busybox")
    assert image.tag(name, "1")
    pushed = list(client.images.push(name, tag="1", stream=True, decode=True))
    assert not [line for line in pushed if "error" in line]
    assert ": digest: sha256:" in pushed[-1]["status"]
    client.images.remove(f"{name}:1")
    pulled = client.images.pull(name, tag="1")
    try:
        assert pulled.tags and f"{name}:1" in pulled.tags
        assert pulled.attrs["RepoDigests"]
        assert client.containers.run(f"{name}:1", ["echo", "pulled"], remove=True) == b"pulled\n"
        with pytest.raises(APIError):
            client.images.pull(name, tag="nosuch")
    finally:
        client.images.remove(f"{name}:1")


def test_save_and_load(client: docker.DockerClient) -> None:
    client.images.get("busybox").tag("saved", "1")
    saved = b"".join(client.images.get("saved:1").save(named="saved:1"))
    client.images.remove("saved:1")
    loaded = client.images.load(saved)
    try:
        assert [image.tags for image in loaded] == [["busybox:latest", "saved:1"]]
    finally:
        client.images.remove("saved:1")


def test_commit_keeps_files_and_changes(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["sh", "-c", "echo one > /one"], detach=True)
    container.wait()
    image = container.commit("committed", "1", message="why", author="me", changes='CMD ["cat", "/one"]')
    try:
        assert client.containers.run("committed:1", remove=True) == b"one\n"
        assert image.attrs["Author"] == "me" and image.history()[0]["Comment"] == "why"
    finally:
        client.images.remove("committed:1")


def test_an_image_in_use_is_not_removed(client: docker.DockerClient) -> None:
    client.images.get("busybox").tag("used", "1")
    container = client.containers.run("used:1", SLEEP, detach=True)
    client.images.remove("used:1")  # a name among others may always go
    with pytest.raises(APIError) as caught:
        client.images.remove(container.attrs["Image"])
    assert caught.value.status_code == 409


# -- networks and volumes -------------------------------------------------------------------------------------------------


def test_names_resolve_on_a_network_of_ones_own(client: docker.DockerClient) -> None:
    network = client.networks.create("harbour")
    client.containers.run(
        "busybox", ["sh", "-c", "mkdir /w; echo welcome > /w/index.html; exec busybox httpd -f -h /w"], detach=True, name="pier",
        network="harbour",
    )  # fmt: skip
    script = "for i in 1 2 3 4 5 6 7 8 9; do wget -qO- http://pier/ && exit; sleep 0.05; done"
    assert client.containers.run("busybox", ["sh", "-c", script], network="harbour", remove=True) == b"welcome\n"
    network.reload()
    assert [end["Name"] for end in network.attrs["Containers"].values()] == ["pier"]


def test_connect_and_disconnect_while_running(client: docker.DockerClient) -> None:
    network = client.networks.create("harbour")
    container = client.containers.run("busybox", SLEEP, detach=True)
    network.connect(container, aliases=["berth"])
    container.reload()
    assert set(container.attrs["NetworkSettings"]["Networks"]) == {"bridge", "harbour"}
    assert b"eth1" in container.exec_run(["ls", "/sys/class/net"]).output
    with pytest.raises(APIError, match="has active endpoints"):
        network.remove()
    network.disconnect(container)
    assert b"eth1" not in container.exec_run(["ls", "/sys/class/net"]).output
    container.reload()
    assert set(container.attrs["NetworkSettings"]["Networks"]) == {"bridge"}


def test_a_network_with_ipv6(client: docker.DockerClient) -> None:
    pools = [docker.types.IPAMPool(subnet="fd00:6e61:7275::/64")]
    network = client.networks.create("harbour", enable_ipv6=True, ipam=docker.types.IPAMConfig(pool_configs=pools))
    config = client.api.create_networking_config(
        {"harbour": client.api.create_endpoint_config(ipv6_address="fd00:6e61:7275::77")}
    )
    host = client.api.create_host_config(port_bindings={"8000/tcp": None}, network_mode="harbour")
    made = client.api.create_container(
        "busybox", SLEEP, name="pier", ports=[8000], networking_config=config, host_config=host
    )
    pier = client.containers.get(made["Id"])
    pier.start()
    pier.reload()
    end = pier.attrs["NetworkSettings"]["Networks"]["harbour"]
    assert (end["GlobalIPv6Address"], end["GlobalIPv6PrefixLen"]) == ("fd00:6e61:7275::77", 64)
    assert end["IPv6Gateway"] == "fd00:6e61:7275::1" and end["IPAddress"] and end["IPAMConfig"]["IPv6Address"]
    first, second = pier.attrs["NetworkSettings"]["Ports"]["8000/tcp"]
    assert (first["HostIp"], second["HostIp"]) == ("0.0.0.0", "::") and first["HostPort"] == second["HostPort"]
    script = "grep fd00:6e61:7275::77 /etc/hosts && ip -6 addr show eth0"
    assert b"fd00:6e61:7275::77/64" in pier.exec_run(["sh", "-c", script]).output
    network.reload()
    assert network.attrs["EnableIPv6"] and len(network.attrs["IPAM"]["Config"]) == 2
    [shown] = network.attrs["Containers"].values()
    assert shown["IPv6Address"] == "fd00:6e61:7275::77/64"
    pier.restart(timeout=0)
    pier.reload()
    assert pier.attrs["NetworkSettings"]["Networks"]["harbour"]["GlobalIPv6Address"] == "fd00:6e61:7275::77"
    with pytest.raises(APIError, match="no configured subnet contains IP address fd00:1::1"):
        client.api.connect_container_to_network(
            client.containers.create("busybox").id, "harbour", ipv6_address="fd00:1::1"
        )


def test_links_on_the_default_bridge(client: docker.DockerClient) -> None:
    pier = client.containers.run("busybox", SLEEP, detach=True, name="pier", hostname="wharf")
    ship = client.containers.run("busybox", SLEEP, detach=True, name="ship", links={"pier": "shore"})
    assert ship.attrs["HostConfig"]["Links"] == ["/pier:/ship/shore"]
    pier.reload()
    line = f"{pier.attrs['NetworkSettings']['Networks']['bridge']['IPAddress']}\tshore wharf pier\n".encode()
    assert line in ship.exec_run(["cat", "/etc/hosts"]).output
    pier.stop(timeout=0)
    other = client.containers.run("busybox", SLEEP, detach=True)  # takes its address
    pier.start()
    moved = ship.exec_run(["cat", "/etc/hosts"]).output
    assert line not in moved and b"shore wharf pier" in moved  # told the new one
    pier.stop(timeout=0)
    with pytest.raises(APIError, match="Cannot link to a non running container: /pier AS /ship/shore"):
        ship.restart(timeout=0)
    other.remove(force=True)
    pier.start()
    assert {"/pier", "/ship/shore"} in [set(each["Names"]) for each in client.api.containers(all=True)]
    ship.start()
    client.api.remove_container("ship/shore", link=True)
    assert b"shore" not in ship.exec_run(["cat", "/etc/hosts"]).output
    with pytest.raises(APIError, match="No such container: ship/shore"):
        client.api.remove_container("ship/shore", link=True)


@pytest.mark.parametrize("mode", ["none", "host"])
def test_network_modes_without_a_bridge(client: docker.DockerClient, mode: str) -> None:
    names = client.containers.run("busybox", ["ls", "/sys/class/net"], network_mode=mode, remove=True).split()
    assert (names == [b"lo"]) is (mode == "none")


def test_share_the_network_of_another(client: docker.DockerClient) -> None:
    other = client.containers.run("busybox", SLEEP, detach=True, hostname="both")
    script = "hostname; ls -l /proc/self/ns/net"
    ours = client.containers.run("busybox", ["sh", "-c", script], network_mode=f"container:{other.id}", remove=True)
    theirs = other.exec_run(["sh", "-c", script]).output
    assert ours.split(b"net:")[1] == theirs.split(b"net:")[1]


def test_published_ports_reach_the_container(client: docker.DockerClient) -> None:
    container = client.containers.run(
        "busybox", ["sh", "-c", "mkdir /w; echo page > /w/index.html; exec busybox httpd -f -p 8000 -h /w"], detach=True,
        ports={"8000/tcp": ("127.0.0.1", None)},
    )  # fmt: skip
    container.reload()
    (binding,) = container.attrs["NetworkSettings"]["Ports"]["8000/tcp"]
    assert binding["HostIp"] == "127.0.0.1"
    container.exec_run(["sh", "-c", "until wget -qO- http://127.0.0.1:8000/; do true; done"])
    with socket.create_connection(("127.0.0.1", int(binding["HostPort"])), 5) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert read_all(sock).endswith(b"page\n")
    with pytest.raises(APIError, match="port is already allocated"):
        client.containers.run("busybox", SLEEP, detach=True, ports={"1/tcp": ("127.0.0.1", int(binding["HostPort"]))})


def test_volumes_are_shared_and_filled_from_the_image(client: docker.DockerClient) -> None:
    volume = client.volumes.create("cargo", labels={"a": "b"})
    mounts = {"cargo": {"bind": "/etc", "mode": "rw"}}
    client.containers.run("busybox", ["sh", "-c", "echo more > /etc/more"], volumes=mounts, remove=True)
    readonly = {"cargo": {"bind": "/c", "mode": "ro"}}
    out = client.containers.run(
        "busybox", ["sh", "-c", "cat /c/more; head -1 /c/passwd"], volumes=readonly, remove=True
    )
    assert out == b"more\nroot:x:0:0:root:/root:/bin/sh\n"
    with pytest.raises(ContainerError, match="Read-only file system"):
        client.containers.run("busybox", ["touch", "/c/x"], volumes=readonly, remove=True)
    assert volume.attrs["Labels"] == {"a": "b"}
    container = client.containers.create("busybox", SLEEP, volumes=readonly)
    with pytest.raises(APIError, match="volume is in use"):
        volume.remove()
    container.remove()
    volume.remove()


def test_anonymous_volumes_go_with_their_container(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["true"], volumes=["/data"], detach=True)
    container.wait()
    assert len(client.volumes.list()) == 1
    container.remove(v=True)
    container = client.containers.create("busybox", ["true"], volumes=["/data"], auto_remove=True)
    container.start()
    container.wait(condition="removed")
    assert client.volumes.list() == []


def test_binds_and_tmpfs(client: docker.DockerClient, tmp_path: Any) -> None:
    (tmp_path / "in").write_text("from the host\n")
    out = client.containers.run(
        "busybox", ["sh", "-c", "cat /b/in; echo back > /b/out; echo x > /t/x; mount | grep ' /t '"],
        volumes=[f"{tmp_path}:/b"], tmpfs={"/t": "size=1m"}, remove=True,
    )  # fmt: skip
    assert out.startswith(b"from the host\n") and b"noexec" in out and b"size=1024k" in out
    assert (tmp_path / "out").read_text() == "back\n"


def test_read_only_root(client: docker.DockerClient) -> None:
    with pytest.raises(ContainerError, match="Read-only file system"):
        client.containers.run("busybox", ["touch", "/x"], read_only=True, remove=True)


# -- system ---------------------------------------------------------------------------------------------------------------


def test_events_tell_a_life_in_order(client: docker.DockerClient) -> None:
    client.containers.run("busybox", ["true"], name="told", remove=True)
    seen = []
    for event in client.events(since=1, decode=True, filters={"container": "told"}):
        seen.append((event["Type"], event["Action"]))
        if event["Action"] == "destroy":
            break
    actions = [action for kind, action in seen if kind == "container"]
    assert actions == ["create", "attach", "start", "die", "destroy"] or actions == [
        "create",
        "start",
        "die",
        "destroy",
    ]


def test_version_info_df(client: docker.DockerClient) -> None:
    assert client.ping()
    assert client.version()["ApiVersion"] == "1.56"
    client.containers.run("busybox", SLEEP, detach=True)
    info = client.info()
    assert info["ContainersRunning"] == 1 and info["Driver"] == "overlayfs"
    usage = client.df()
    for part in ("ContainerUsage", "ImageUsage", "VolumeUsage"):
        told = usage[part]
        assert told.get("TotalCount", 0) == len(told.get("Items", ())) and 0 not in told.values()
        assert told.get("Reclaimable", 0) <= told.get("TotalSize", 0)
    assert usage["ContainerUsage"].get("Reclaimable", 0) == sum(
        row["SizeRw"] for row in usage["ContainerUsage"]["Items"] if row["State"] == "exited"
    )
    assert [row["State"] for row in usage["Containers"]] == ["running"]
    assert usage["LayersSize"] > 0


def test_one_that_removes_itself_can_be_waited_for_after_its_start(client: docker.DockerClient) -> None:
    def ended() -> Container:
        container = client.containers.create("busybox", ["true"], auto_remove=True)
        container.start()
        container.wait()
        return container

    def in_its_moment(work: Callable[[Container], object]) -> Container:
        """A busy machine may need more than one try."""
        for _ in range(20):
            container = ended()
            with suppress(NotFound):
                work(container)
                return container
        raise AssertionError("it never lasts long enough")

    for work in (lambda c: c.wait(condition="removed"), lambda c: c.remove()):
        container = in_its_moment(work)
        with pytest.raises(NotFound):
            container.reload()
    container = in_its_moment(lambda c: c.restart())
    deadline = time.monotonic() + 5
    with pytest.raises(NotFound):
        while time.monotonic() < deadline:
            container.reload()
