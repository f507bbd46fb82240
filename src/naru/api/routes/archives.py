"""Files of a container: cp (archive), export, diff; and commit, which makes an image of them."""

from __future__ import annotations

import asyncio
import base64
import stat
from typing import Any

from naru.api.app import Request, Route
from naru.api.parameters import rfc3339
from naru.containers.engine import Engine
from naru.containers.files import PathStat
from naru.errors import InvalidArgument
from naru.oci import reference
from naru.snapshots.sinks import compressed
from naru.wire.container import Config
from naru.wire.decode import decode_object, encode

_TAR = ("Content-Type", "application/x-tar")
# Go's os.FileMode, which is not the unix mode (package os, type FileMode).
_GO_BITS = (
    (stat.S_ISDIR, 1 << 31),
    (stat.S_ISLNK, 1 << 27),
    (stat.S_ISBLK, 1 << 26),
    (stat.S_ISFIFO, 1 << 25),
    (stat.S_ISSOCK, 1 << 24),
)
_GO_FLAGS = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))


class ArchiveRoutes:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def routes(self) -> list[Route]:
        one = "/containers/{name}"
        return [
            Route("HEAD", f"{one}/archive", self.head),
            Route("GET", f"{one}/archive", self.get),
            Route("PUT", f"{one}/archive", self.put),
            Route("GET", f"{one}/export", self.export),
            Route("GET", f"{one}/changes", self.changes),
            Route("POST", "/commit", self.commit),
        ]

    async def head(self, request: Request) -> None:
        owner = self._engine.containers.find(request["name"])
        found = await self._engine.files.stat(owner, _path(request))
        await request.exchange.send(200, [("X-Docker-Container-Path-Stat", _stat_header(found))])

    async def get(self, request: Request) -> None:
        owner = self._engine.containers.find(request["name"])
        async with self._engine.files.read_archive(owner, _path(request)) as (found, write):
            headers = [_TAR, ("X-Docker-Container-Path-Stat", _stat_header(found))]
            if "gzip" in request.header("accept-encoding"):
                headers.append(("Content-Encoding", "gzip"))
                await request.produce(headers, lambda out: compressed(write, out))
            else:
                await request.produce(headers, write)
        owner.announce("archive-path")

    async def put(self, request: Request) -> None:
        query = request.query
        owner = self._engine.containers.find(request["name"])
        await self._engine.files.write_archive(
            owner, _path(request), request.exchange.body.pour, keep_kind=query.flag("noOverwriteDirNonDir"),
            copy_owner=query.flag("copyUIDGID"),
        )  # fmt: skip
        await request.done(200)

    async def export(self, request: Request) -> None:
        owner = self._engine.containers.find(request["name"])
        async with self._engine.files.export(owner) as write:
            await request.produce([("Content-Type", "application/octet-stream")], write)

    async def changes(self, request: Request) -> None:
        owner = self._engine.containers.find(request["name"])
        found = await asyncio.to_thread(self._engine.files.changes, owner)
        await request.answer([{"Kind": change.kind, "Path": change.path} for change in found] or None)

    async def commit(self, request: Request) -> None:
        query = request.query
        raw = await request.json_bytes()
        config = decode_object(raw, Config, "container.Config") if raw else None
        owner = self._engine.containers.find(query.text("container"))
        repository, tag = query.text("repo"), query.text("tag")
        ref = reference.parse(f"{repository}:{tag}" if tag else repository).with_default_tag() if repository else None
        image = await self._engine.commits.commit(
            owner, ref, config=config, changes=query.all("changes"), author=query.text("author"), message=query.text("comment"),
            pause=query.flag("pause", True),
        )  # fmt: skip
        await request.answer({"Id": str(image.id)}, 201)


def _path(request: Request) -> str:
    path = request.query.text("path")
    if not path:
        raise InvalidArgument("bad parameter: path cannot be empty")
    return path


def _stat_header(found: PathStat) -> str:
    mode = found.mode & 0o777
    for test, bit in _GO_BITS:
        mode |= bit if test(found.mode) else 0
    if stat.S_ISCHR(found.mode):
        mode |= 1 << 26 | 1 << 21
    for flag, bit in _GO_FLAGS:
        mode |= bit if found.mode & flag else 0
    value: dict[str, Any] = {
        "name": found.name, "size": found.size, "mode": mode, "mtime": rfc3339(found.mtime_ns) if found.mtime_ns else "1970-01-01T00:00:00Z", "linkTarget": found.link_target,
    }  # fmt: skip
    return base64.b64encode(encode(value)).decode()
