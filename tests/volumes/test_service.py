from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from naru.errors import Conflict, InvalidArgument, NotFound, Unsupported
from naru.events import Bus
from naru.linux.mounts import Mount
from naru.store.db import Database
from naru.volumes.service import Volumes


class Shelf:
    """A volume root, and who uses what."""

    def __init__(self, path: Path) -> None:
        self.root = str(path / "volumes")
        self.users: dict[str, list[str]] = {}
        self.bus = Bus()
        self.db = Database(str(path / "naru.db"))

    def open(self) -> Volumes:
        return Volumes(self.root, self.db, self.bus, lambda name: self.users.get(name, []))

    def events(self) -> list[tuple[str, str, dict[str, str]]]:
        return [(event.action, event.id, dict(event.attributes)) for event in self.bus.past()]


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    made = Shelf(tmp_path)
    yield made
    made.db.close()


def test_create_resolve_remove(shelf: Shelf) -> None:
    volumes = shelf.open()
    made = volumes.create("data", labels={"a": "1"})
    assert volumes.resolve("data") == made and made.driver == "local" and made.options is None
    assert volumes.mountpoint("data") == f"{shelf.root}/data/_data"
    assert stat.S_IMODE(os.stat(f"{shelf.root}/data").st_mode) == 0o701
    assert volumes.mount("data") == Mount("bind", f"{shelf.root}/data/_data")
    assert volumes.is_empty("data")
    Path(volumes.mountpoint("data"), "x").write_text("x")
    assert not volumes.is_empty("data") and asyncio.run(volumes.size_bytes("data")) == 1
    assert shelf.open().resolve("data") == made
    asyncio.run(volumes.remove("data"))
    assert os.listdir(shelf.root) == [".removed"] and os.listdir(f"{shelf.root}/.removed") == []
    with pytest.raises(NotFound, match=r"^get data: no such volume$"):
        asyncio.run(volumes.remove("data"))
    asyncio.run(volumes.remove("data", force=True))
    assert shelf.open().list({}) == []
    assert shelf.events() == [("create", "data", {"driver": "local"}), ("destroy", "data", {"driver": "local"})]


def test_create_again(shelf: Shelf) -> None:
    volumes = shelf.open()
    made = volumes.create("data", options={"type": "tmpfs", "device": "tmpfs"})
    assert volumes.create("data") is made
    assert volumes.create("data", options={"type": "tmpfs", "device": "tmpfs"}) is made
    with pytest.raises(Conflict, match="create data: a volume of this name exists with other options"):
        volumes.create("data", options={"type": "tmpfs", "device": "tmpfs", "o": "size=1m"})
    with pytest.raises(NotFound):
        volumes.create("data", driver="nonsense")
    assert len(shelf.events()) == 1


@pytest.mark.parametrize("name", ["../x", "a", "/etc"])
def test_create_refuses_and_leaves_nothing(shelf: Shelf, name: str) -> None:
    volumes = shelf.open()
    with pytest.raises(InvalidArgument):
        volumes.create(name)
    assert volumes.list({}) == [] and os.listdir(shelf.root) == [".removed"]


def test_anonymous(shelf: Shelf) -> None:
    made = shelf.open().create(labels={"x": "y"})
    assert len(made.name) == 64 and made.anonymous
    assert made.labels == {"x": "y", "com.docker.volume.anonymous": ""}


def test_remove_of_a_used_one(shelf: Shelf) -> None:
    volumes = shelf.open()
    volumes.create("data")
    shelf.users["data"] = ["c1", "c2"]
    for force in (False, True):
        with pytest.raises(Conflict) as caught:
            asyncio.run(volumes.remove("data", force=force))
        assert str(caught.value) == "remove data: volume is in use - [c1, c2]"


def test_mounts(shelf: Shelf, tmp_path: Path) -> None:
    volumes = shelf.open()
    volumes.create("tmp", options={"type": "tmpfs", "device": "tmpfs", "o": "size=1m,mode=700"})
    assert volumes.mount("tmp") == Mount("tmpfs", "tmpfs", ("size=1m", "mode=700"))
    device = tmp_path / "elsewhere"
    volumes.create("bound", options={"type": "none", "device": str(device), "o": "bind,ro"})
    with pytest.raises(
        InvalidArgument, match=f"failed to mount local volume: mount {device}:.*: no such file or directory"
    ):
        volumes.mount("bound")
    device.mkdir()
    (device / "keep").touch()
    assert volumes.mount("bound") == Mount("bind", str(device), read_only=True)
    assert not volumes.is_empty("bound") and asyncio.run(volumes.size_bytes("bound")) == 0
    asyncio.run(volumes.remove("bound"))
    assert (device / "keep").exists()
    volumes.create("far", options={"type": "nfs", "device": ":/x", "o": "addr=h"})
    with pytest.raises(Unsupported):
        volumes.mount("far")


def test_filters(shelf: Shelf) -> None:
    volumes = shelf.open()
    volumes.create("wire-v", labels={"wire": "1", "k": "a"})
    volumes.create("wire-vo")
    shelf.users["wire-v"] = ["c1"]

    def names(**filters: list[str]) -> list[str]:
        return [volume.name for volume in volumes.list(filters)]

    assert names() == names(driver=["local"]) == names(name=["wire-v"]) == ["wire-v", "wire-vo"]
    assert names(name=["vo"]) == names(name=["^wire-vo$"]) == names(dangling=["true"]) == ["wire-vo"]
    assert names(label=["wire", "k=a"]) == names(dangling=["0"]) == ["wire-v"]
    assert names(label=["k=b"]) == names(driver=["x"]) == names(name=["["]) == []
    for filters, message in (
        ({"nonsense": ["1"]}, "invalid filter 'nonsense'"),
        ({"dangling": ["x"]}, "invalid filter 'dangling=[x]'"),
        ({"dangling": ["true", "false"]}, "invalid filter 'dangling=[true false]'"),
    ):
        with pytest.raises(InvalidArgument) as caught:
            volumes.list(filters)
        assert str(caught.value) == message


def test_prune(shelf: Shelf) -> None:
    volumes = shelf.open()
    anonymous = [volumes.create(labels={"n": str(number)}).name for number in range(3)]
    volumes.create("named", labels={"n": "4"})
    volumes.create("used")
    shelf.users["used"] = shelf.users[anonymous[2]] = ["c1"]
    Path(volumes.mountpoint(anonymous[0]), "x").write_bytes(b"x" * 100_000)

    async def prune(**arguments: Any) -> tuple[list[str], int]:
        filters = {key.replace("_", "!"): value for key, value in arguments.pop("filters", {}).items()}
        return await volumes.prune(filters, **arguments)

    with pytest.raises(InvalidArgument, match="invalid filter 'nonsense'"):
        asyncio.run(prune(filters={"nonsense": ["1"]}))
    with pytest.raises(InvalidArgument, match="invalid filter 'all': strconv"):
        asyncio.run(prune(filters={"all": ["x"]}))
    assert asyncio.run(prune(filters={"label": ["n=1"]}))[0] == [anonymous[1]]
    assert asyncio.run(prune(filters={"label_": ["n"]}))[0] == []
    names, freed = asyncio.run(prune())
    assert names == [anonymous[0]] and freed >= 100_000
    assert asyncio.run(prune(filters={"all": ["1"]}))[0] == ["named"]
    assert shelf.events()[-1][0] == "prune"
    volumes.create("old")
    assert asyncio.run(prune(only_anonymous=False))[0] == ["old"]


def test_directories_survive_a_lost_database_and_half_removed_ones_do_not(shelf: Shelf) -> None:
    volumes = shelf.open()
    volumes.create("data")
    Path(volumes.mountpoint("data"), "x").write_text("precious")
    shelf.db.write("DELETE FROM volume")
    os.makedirs(f"{shelf.root}/.removed/1/_data")
    again = shelf.open()
    assert [volume.name for volume in again.list({})] == ["data"]
    assert Path(again.mountpoint("data"), "x").read_text() == "precious"
    assert os.listdir(f"{shelf.root}/.removed") == []
