"""Checkpoints: create, list, remove. (To start from one is a parameter of a container's start.)"""

from __future__ import annotations

from naru.api.app import Request, Route
from naru.containers.engine import Engine
from naru.wire.container import CheckpointCreate


class CheckpointRoutes:
    def __init__(self, engine: Engine) -> None:
        self._checkpoints = engine.checkpoints

    def routes(self) -> list[Route]:
        of = "/containers/{name}/checkpoints"
        return [
            Route("POST", of, self.create),
            Route("GET", of, self.list),
            Route("DELETE", f"{of}/{{checkpoint}}", self.remove),
        ]

    async def create(self, request: Request) -> None:
        self._checkpoints.check_enabled()
        body = await request.json(CheckpointCreate, "checkpoint.CreateRequest", prefix="CreateRequest")
        await self._checkpoints.create(request["name"], body.checkpoint_id, body.checkpoint_dir, exit=body.exit)
        await request.done(201)

    async def list(self, request: Request) -> None:
        names = self._checkpoints.list(request["name"], request.query.text("dir"))
        await request.answer([{"Name": name} for name in names] or None)

    async def remove(self, request: Request) -> None:
        await self._checkpoints.remove(request["name"], request["checkpoint"], request.query.text("dir"))
        await request.done()
