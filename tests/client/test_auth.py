from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from naru.client import auth
from naru.client.config import load
from naru.errors import Internal, InvalidArgument, Unavailable

HELPER = """#!/bin/sh
case "$1" in
get) read server; case "$server" in
  good) echo '{"ServerURL":"good","Username":"u","Secret":"s"}';;
  token) echo '{"Username":"<token>","Secret":"t"}';;
  broken) echo 'boom' >&2; exit 1;;
  garbage) echo 'not json';;
  *) echo 'credentials not found in native keychain'; exit 1;;
esac;;
store) cat > "$FOLDER/stored";;
erase) cat > "$FOLDER/erased";;
esac
"""


def write(folder: Path, config: dict[str, Any]) -> str:
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "docker-credential-test"
    program.write_text(HELPER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("FOLDER", str(tmp_path))
    return tmp_path


SERVERS = [
    ("alpine", auth.HUB), ("me/app", auth.HUB), ("docker.io/me/app", auth.HUB), ("localhost/app", "localhost"),
    ("h:5000/app", "h:5000"), ("ghcr.io/a/b", "ghcr.io"),
]  # fmt: skip


@pytest.mark.parametrize(("image", "server"), SERVERS)
def test_server_of(image: str, server: str) -> None:
    assert auth.server_of(image) == server


@pytest.mark.parametrize(
    ("text", "server"),
    [("", auth.HUB), ("docker.io", auth.HUB), (auth.HUB, auth.HUB), ("https://h:1/v2/", "h:1"), ("h:1", "h:1")],
)
def test_normal_server(text: str, server: str) -> None:
    assert auth.normal_server(text) == server


def test_header() -> None:
    assert auth.header({}) == ""
    value = {"username": "ü?>", "password": "p"}
    assert json.loads(base64.urlsafe_b64decode(auth.header(value))) == value


def test_plain_entries(tmp_path: Path) -> None:
    encoded = base64.b64encode(b"u:p:q").decode()
    folder = write(
        tmp_path,
        {
            "auths": {
                "h:1": {"auth": encoded},
                "https://t/v2/": {"auth": encoded, "identitytoken": "i"},
                "r": {"registrytoken": "x"},
                "e": {},
            }
        },
    )
    assert auth.find(folder, "h:1") == {"username": "u", "password": "p:q", "serveraddress": "h:1"}
    assert auth.find(folder, "t") == {"username": "u", "identitytoken": "i", "serveraddress": "t"}
    assert auth.find(folder, "r") == {"registrytoken": "x", "serveraddress": "r"}
    assert auth.find(folder, "e") == auth.find(folder, "nowhere") == {}
    assert sorted(auth.find_all(folder)) == ["h:1", "r", "t"]


def test_damage(tmp_path: Path) -> None:
    folder = write(tmp_path, {"auths": {"h": {"auth": "%%%"}}})
    with pytest.raises(InvalidArgument):
        auth.find(folder, "h")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InvalidArgument, match="error loading config file"):
        auth.find(folder, "h")


def test_helper(helper: Path) -> None:
    folder = write(helper, {"credsStore": "test"})
    assert auth.find(folder, "good") == {"username": "u", "password": "s", "serveraddress": "good"}
    assert auth.find(folder, "token") == {"identitytoken": "t", "serveraddress": "token"}
    assert auth.find(folder, "unknown") == {}
    with pytest.raises(Internal, match="boom"):
        auth.find(folder, "broken")
    with pytest.raises(Internal, match="did not answer with JSON"):
        auth.find(folder, "garbage")


def test_helper_of_one_registry(helper: Path) -> None:
    folder = write(helper, {"credHelpers": {"good": "test"}, "auths": {"other": {"username": "a", "password": "b"}}})
    assert auth.find(folder, "good")["username"] == "u"
    assert auth.find(folder, "other")["username"] == "a"
    assert sorted(auth.find_all(folder)) == ["good", "other"]


def test_missing_helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="docker-credential-test"):
        auth.find(write(tmp_path, {"credsStore": "test"}), "x")


def test_store_and_erase_in_the_file(tmp_path: Path) -> None:
    folder = write(tmp_path, {"psFormat": "x"})
    assert auth.store(folder, {"username": "u", "password": "p", "serveraddress": "h"}) == f"{folder}/config.json"
    assert (tmp_path / "config.json").stat().st_mode & 0o777 == 0o600
    assert auth.find(folder, "h")["password"] == "p"
    assert load(folder)["psFormat"] == "x"
    auth.store(folder, {"username": "u", "identitytoken": "i", "serveraddress": "h"})
    assert auth.find(folder, "h") == {"username": "u", "identitytoken": "i", "serveraddress": "h"}
    assert auth.erase(folder, "h")
    assert not auth.erase(folder, "h")
    assert load(folder) == {"psFormat": "x", "auths": {}}


def test_store_and_erase_with_a_helper(helper: Path) -> None:
    folder = write(helper, {"credsStore": "test"})
    assert auth.store(folder, {"username": "u", "password": "p", "serveraddress": "h"}) == ""
    assert json.loads((helper / "stored").read_text()) == {"ServerURL": "h", "Username": "u", "Secret": "p"}
    assert load(folder)["auths"] == {"h": {}}
    assert auth.erase(folder, "h")
    assert (helper / "erased").read_text() == "h"
