"""Commit: an image of what a container has become."""

from __future__ import annotations

import time
from collections.abc import Sequence

from naru.containers.owner import Owner
from naru.containers.records import Status
from naru.containers.surroundings import Surroundings
from naru.errors import Conflict, Internal, NotFound
from naru.images.changes import apply_changes
from naru.images.values import Image, rfc3339
from naru.oci.image import History, Json
from naru.oci.reference import Reference
from naru.wire.container import Config
from naru.wire.decode import builtins

_KEPT = (
    "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal", "Healthcheck", "OnBuild",
    "Shell", "ArgsEscaped",
)  # fmt: skip
_BY_NAME = ("ExposedPorts", "Labels", "Volumes")
_NOTHING: tuple[object, ...] = (None, "", [], {}, False)


class Commits:
    def __init__(self, around: Surroundings) -> None:
        self._around = around

    async def commit(
        self,
        owner: Owner,
        ref: Reference | None,
        *,
        config: Config | None,
        changes: Sequence[str],
        author: str,
        message: str,
        pause: bool,
    ) -> Image:
        """The image, named if asked. A running container is paused meanwhile, unless `pause` says not to."""
        around, record = self._around, owner.record
        run = _merged(apply_changes(_plain(config or record.config), changes), _plain(record.config))
        paused = pause and await self._pause(owner)
        try:
            created = rfc3339(time.time_ns())
            entry = History(created=created, created_by=" ".join(record.argv), author=author, comment=message)
            with around.images.lease() as lease:
                base = self._base(record.image_id)
                image = await around.images.commit(
                    record.id,
                    base,
                    lease,
                    run=run,
                    history=[entry],
                    created=created,
                    author=author,
                )
                around.images.record(image, ref, base.id if base is not None else None)
            owner.announce("commit", comment=message, imageID=str(image.id), imageRef=ref.familiar if ref else "")
        finally:
            if paused and owner.record.state.status is Status.PAUSED:
                await self._unpause(owner)
        return around.images.resolve(str(image.id))

    def _base(self, image_id: str) -> Image | None:
        return self._around.images.resolve(image_id) if image_id else None

    @staticmethod
    async def _pause(owner: Owner) -> bool:
        """False for one that does not run, or ends just now."""
        if owner.record.state.status is not Status.RUNNING:
            return False
        try:
            await owner.ask(owner.pause)
        except Conflict:
            return False
        return True

    @staticmethod
    async def _unpause(owner: Owner) -> None:
        try:
            await owner.ask(owner.unpause)
        except (Conflict, NotFound, Internal):
            return  # it ended, or went, while it was paused


def _plain(config: Config) -> Json:
    """What of a config goes into an image's."""
    return {name: value for name, value in builtins(config).items() if name in _KEPT and value not in _NOTHING}


def _merged(given: Json, old: Json) -> Json:
    """What was given, and what it does not speak of as the container had it: by field, or within it by name."""
    out = {**old, **given}
    for name in _BY_NAME:
        if name in out:
            out[name] = {**old.get(name, {}), **given.get(name, {})}
    if "Env" in given:
        named = {text.partition("=")[0] for text in given["Env"]}
        out["Env"] = [*given["Env"], *(text for text in old.get("Env", ()) if text.partition("=")[0] not in named)]
    if "Entrypoint" in given and "Cmd" not in given:  # it was for the old one
        out.pop("Cmd", None)
    return out
