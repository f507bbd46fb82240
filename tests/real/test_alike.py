"""What programs and clients find alike with Docker though no other test looks at it: marks, owners, events, names."""

from __future__ import annotations

import time
from typing import Any

import docker
import pytest
from clientbytes import owned_tar

pytestmark = pytest.mark.root

SLEEP = ["sleep", "600"]


def events(client: docker.DockerClient, since: float, **filters: Any) -> list[dict[str, Any]]:
    """Those until now."""
    return list(client.events(since=since, until=time.time(), decode=True, filters=filters))


def test_a_program_can_tell_that_it_is_in_a_container(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", SLEEP, detach=True)
    assert container.exec_run(["stat", "-c", "%a %s", "/.dockerenv"]).output == b"755 0\n"
    assert not container.diff()
    container.restart(timeout=0)
    assert container.exec_run(["test", "-f", "/.dockerenv"]).exit_code == 0


@pytest.mark.parametrize(("user", "owner"), [("", b"7:8\n"), ("alice", b"1000:1001\n")])
def test_files_copied_in_belong_to_the_containers_user_if_it_has_one(
    client: docker.DockerClient, user: str, owner: bytes
) -> None:
    container = client.containers.run("busybox", SLEEP, detach=True, user=user)
    url = client.api._url("/containers/{0}/archive", container.id)
    answer = client.api._put(url, params={"path": "/tmp", "copyUIDGID": 1}, data=owned_tar("x", 7, 8))
    assert answer.status_code == 200
    assert container.exec_run(["stat", "-c", "%u:%g", "/tmp/x"]).output == owner


def test_volumes_are_mounted_for_a_copy_and_a_terminal_may_be_none(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", SLEEP, detach=True, volumes=["cargo:/d"])
    since = time.time()
    container.put_archive("/tmp", owned_tar("x", 0, 0))
    container.resize(3, 4)
    told = events(client, since)
    assert [(e["Type"], e["Action"]) for e in told] == [
        ("volume", "mount"), ("container", "extract-to-dir"), ("volume", "unmount"), ("container", "resize"),
    ]  # fmt: skip
    assert told[-1]["Actor"]["Attributes"]["height"] == "3"
    assert [e["Action"] for e in events(client, since, container=[container.id])] == ["extract-to-dir", "resize"]
    container.remove(force=True)
    client.volumes.get("cargo").remove()


def test_a_new_image_is_told_with_its_labels(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["true"], detach=True)
    container.wait()
    since = time.time()
    image = container.commit("made", "1", changes="LABEL a=b")
    told = events(client, since, type="image")
    assert [(e["Action"], e["Actor"]["Attributes"]) for e in told] == [
        ("create", {"a": "b", "name": image.id}), ("tag", {"a": "b", "name": "made:1"}),
    ]  # fmt: skip
    image.remove()


def test_the_last_end_is_remembered_while_it_runs_again(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", SLEEP, detach=True)
    assert container.attrs["State"]["FinishedAt"].startswith("0001")
    container.restart(timeout=0)
    container.reload()
    state = container.attrs["State"]
    assert "0001" < state["FinishedAt"] < state["StartedAt"]
