from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from naru.client import contexts
from naru.errors import Conflict, InvalidArgument, NotFound


def test_what_is_on_disk_is_dockers(tmp_path: Path) -> None:
    (tmp_path / "ca").write_text("CA")
    made = contexts.create(
        str(tmp_path), "far", "tcp://far:2376", description="a far one", tls_paths={"ca": str(tmp_path / "ca")}
    )
    key = hashlib.sha256(b"far").hexdigest()
    meta = json.loads((tmp_path / "contexts/meta" / key / "meta.json").read_text())
    assert meta == {
        "Name": "far",
        "Metadata": {"Description": "a far one"},
        "Endpoints": {"docker": {"Host": "tcp://far:2376", "SkipTLSVerify": False}},
    }
    pem = tmp_path / "contexts/tls" / key / "docker/ca.pem"
    assert (pem.read_text(), pem.stat().st_mode & 0o777) == ("CA", 0o600)
    endpoint = made.endpoint()
    assert endpoint.tls is not None
    assert (endpoint.tls.ca, endpoint.context) == (str(pem), "far")


def test_list_load_remove(tmp_path: Path) -> None:
    folder = str(tmp_path)
    assert contexts.load_all(folder) == []
    for name in ("b2", "a1"):
        contexts.create(folder, name, "unix:///x")
    assert [context.name for context in contexts.load_all(folder)] == ["a1", "b2"]
    contexts.remove(contexts.load(folder, "a1"))
    with pytest.raises(NotFound):
        contexts.load(folder, "a1")
    assert [context.name for context in contexts.load_all(folder)] == ["b2"]


def test_nothing_half_made(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument):
        contexts.create(str(tmp_path), "far", "tcp://far", tls_paths={"ca": str(tmp_path / "missing")})
    with pytest.raises(InvalidArgument):
        contexts.create(str(tmp_path), "far", "nonsense://x")
    assert not (tmp_path / "contexts").exists()
    contexts.create(str(tmp_path), "far", "tcp://far")
    with pytest.raises(Conflict):
        contexts.create(str(tmp_path), "far", "tcp://other")


@pytest.mark.parametrize("name", ["default", "", "x", "a b", "../up", "-a"])
def test_bad_names(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument):
        contexts.create(str(tmp_path), name, "unix:///x")


def test_damaged_meta(tmp_path: Path) -> None:
    made = contexts.create(str(tmp_path), "far", "tcp://far")
    Path(made.meta_dir, "meta.json").write_text("[1")
    with pytest.raises(InvalidArgument):
        contexts.load(str(tmp_path), "far")
