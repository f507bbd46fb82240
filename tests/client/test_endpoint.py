from __future__ import annotations

import json
from pathlib import Path

import pytest

from naru.client import contexts, endpoint
from naru.client.endpoint import Endpoint, normal_host, resolve
from naru.errors import InvalidArgument, NotFound

HOSTS = [
    ("unix:///run/x.sock", "unix:///run/x.sock"),
    ("unix://", "unix:///var/run/docker.sock"),
    ("tcp://1.2.3.4:2375", "tcp://1.2.3.4:2375"),
    ("1.2.3.4", "tcp://1.2.3.4:2375"),
    ("1.2.3.4:99", "tcp://1.2.3.4:99"),
    ("tcp://:99", "tcp://localhost:99"),
    ("tcp://[::1]", "tcp://[::1]:2375"),
    ("tcp://[::1]:99/x", "tcp://[::1]:99"),
    ("https://h:1", "tcp://h:1"),
    ("ssh://me@host:22", "ssh://me@host:22"),
]


@pytest.mark.parametrize(("text", "wanted"), HOSTS)
def test_hosts(text: str, wanted: str) -> None:
    assert normal_host(text) == wanted


def test_tls_has_its_own_port() -> None:
    assert normal_host("tcp://h", secure=True) == "tcp://h:2376"


@pytest.mark.parametrize("text", ["npipe:////./pipe/x", "foo://x", "tcp://", "tcp://h:nope", "tcp://h:99999"])
def test_bad_hosts(text: str) -> None:
    with pytest.raises(InvalidArgument):
        normal_host(text)


def folder(tmp_path: Path, current: str = "") -> str:
    contexts.create(str(tmp_path), "far", "tcp://far:1")
    contexts.create(str(tmp_path), "near", "unix:///near.sock")
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": current} if current else {}))
    return str(tmp_path)


# flags, environment, currentContext, expected host, expected context
ORDER = [
    ({"host": "unix:///a"}, {"DOCKER_HOST": "unix:///b", "DOCKER_CONTEXT": "far"}, "near", "unix:///a", "default"),
    ({"context": "far"}, {"DOCKER_HOST": "unix:///b"}, "near", "tcp://far:1", "far"),
    ({}, {"DOCKER_HOST": "unix:///b", "DOCKER_CONTEXT": "far"}, "near", "unix:///b", "default"),
    ({}, {"DOCKER_CONTEXT": "far"}, "near", "tcp://far:1", "far"),
    ({}, {}, "near", "unix:///near.sock", "near"),
    ({"context": "default"}, {}, "near", "unix:///var/run/docker.sock", "default"),
    ({"context": "default"}, {"DOCKER_HOST": "unix:///b"}, "near", "unix:///b", "default"),
    ({}, {"DOCKER_CONTEXT": "default"}, "near", "unix:///var/run/docker.sock", "default"),
    ({}, {}, "", "unix:///var/run/docker.sock", "default"),
]


@pytest.mark.parametrize(("flags", "environment", "current", "host", "context"), ORDER)
def test_order(
    flags: dict[str, str], environment: dict[str, str], current: str, host: str, context: str,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(endpoint, "NARU_SOCKET", str(tmp_path / "not there"))
    found = resolve(config=folder(tmp_path, current), environment=environment, **flags)  # type: ignore[arg-type]
    assert (found.host, found.context) == (host, context)


def test_naru_socket_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "naru.sock").touch()
    monkeypatch.setattr(endpoint, "NARU_SOCKET", str(tmp_path / "naru.sock"))
    assert resolve(config=str(tmp_path), environment={}).host == f"unix://{tmp_path}/naru.sock"


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="cannot specify both"):
        resolve(host="unix:///a", context="b", config=str(tmp_path), environment={})
    with pytest.raises(NotFound, match='context "nope": context not found'):
        resolve(context="nope", config=str(tmp_path), environment={})


def test_tls_of_the_environment(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    environment = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path), "DOCKER_HOST": "tcp://h"}
    found = resolve(config="/nowhere", environment=environment)
    assert found.host == "tcp://h:2376"
    assert found.tls is not None
    assert (found.tls.ca, found.tls.cert, found.tls.verify) == (f"{tmp_path}/ca.pem", "", True)
    assert Endpoint("unix:///x", found.tls).tls is None
