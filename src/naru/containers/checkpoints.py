"""Checkpoints of containers: named directories of dumps, beside the container's log or where the client says.

    <data root>/containers/<id>/checkpoints/<name>/    removed with the container
    <directory of the client's>/<name>/                the client's own: they outlive it, and other containers may start from them

A directory that an interrupted dump has left is none of them, and gives way to the next of its name.
"""

from __future__ import annotations

import asyncio
import os
import re

from naru.containers import criu
from naru.containers.lifecycle import Event
from naru.containers.monitor import RuntimeFailure
from naru.containers.owner import Owner
from naru.containers.service import Containers
from naru.containers.surroundings import Surroundings
from naru.errors import Internal, InvalidArgument, NotFound, Unsupported
from naru.linux.erase import remove_tree

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*[a-zA-Z0-9_-]")
_DISABLED = "This experimental feature is disabled by default. Start the Docker daemon in experimental mode in order to enable it."


class Checkpoints:
    """With Docker they are experimental, and an engine that is not told to be knows none. So it is here: clients offer them, or
    not, by what the engine says of itself."""

    def __init__(self, around: Surroundings, containers: Containers, *, enabled: bool) -> None:
        self._around = around
        self._containers = containers
        self._enabled = enabled

    def check_enabled(self) -> None:
        """Raises Unsupported."""
        if not self._enabled:
            raise Unsupported(_DISABLED)

    async def create(self, container: str, name: str, directory: str = "", *, exit: bool = False) -> None:
        """Dump a running container; with `exit` it has ended when this returns.

        Raises Unsupported, InvalidArgument, Conflict, and Internal in Docker's words for a name that is taken, or with the
        reason why CRIU cannot: then the container runs on, and nothing is left of the dump.
        """
        self.check_enabled()
        check_name(name)
        owner = self._containers.find(container)
        criu.check(self._around.host, self._around.runtime.programs.of(owner.record.id))
        path = os.path.join(self._root(owner, directory), name)

        async def work() -> None:
            owner.step(Event.CHECKPOINT)
            try:
                await asyncio.to_thread(_make_empty, path)
            except FileExistsError as error:
                text = f"checkpoint with name {name} already exists for container {container}"
                raise Internal(f"cannot checkpoint container {container}: {text}") from error
            except OSError as error:
                raise Internal(f"cannot checkpoint container {container}: mkdir {path}: {error.strerror}") from error
            try:
                await owner.checkpoint(path, exit=exit)
            except BaseException as error:
                await asyncio.to_thread(remove_tree, path)
                if isinstance(error, RuntimeFailure):
                    raise Internal(f"Cannot checkpoint container {container}: {error}") from error
                raise

        await owner.ask(work)

    def list(self, container: str, directory: str = "") -> list[str]:
        """Names, sorted. Raises NotFound and InvalidArgument for a directory of the client's."""
        self.check_enabled()
        owner = self._containers.find(container)
        root = self._root(owner, directory)
        try:
            names = sorted(os.listdir(root))
        except FileNotFoundError as error:
            if not directory:
                return []
            raise NotFound(
                f'checkpoint directory "{root}" does not exist for container {container}: stat {root}: no such file or directory'
            ) from error
        except NotADirectoryError as error:
            raise InvalidArgument(f'checkpoint directory "{root}" exists but is not a directory') from error
        return [name for name in names if _is_whole(os.path.join(root, name))]

    async def remove(self, container: str, name: str, directory: str = "") -> None:
        """Raises InvalidArgument, Internal if there is none."""
        self.check_enabled()
        check_name(name)
        await asyncio.to_thread(remove_tree, self._find(container, name, directory))

    async def start(self, container: str, name: str, directory: str = "") -> None:
        """Start a container that does not run from a checkpoint of it, or of another one like it. Raises as a start does."""
        check_name(name)
        if not self._enabled:
            raise InvalidArgument("checkpoint is only supported in experimental mode")
        path = self._find(container, name, directory)
        owner = self._containers.find(container)
        criu.check(self._around.host, self._around.runtime.programs.of(owner.record.id))
        await owner.ask(lambda: owner.start(path))

    def _find(self, container: str, name: str, directory: str) -> str:
        path = os.path.join(self._root(self._containers.find(container), directory), name)
        if not _is_whole(path):
            raise Internal(f"checkpoint {name} does not exist for container {container}")
        return path

    def _root(self, owner: Owner, directory: str) -> str:
        if directory and not directory.startswith("/"):
            raise InvalidArgument(f'checkpoint directory "{directory}" is not an absolute path')
        return directory or os.path.join(self._around.directory(owner.record.id), "checkpoints")


def check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidArgument(f'invalid checkpoint ID "{name}", only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed')


def _make_empty(path: str) -> None:
    """Raises FileExistsError for a checkpoint that is there."""
    if os.path.isdir(path) and not _is_whole(path):
        remove_tree(path)
    os.makedirs(path, 0o700)


def _is_whole(path: str) -> bool:
    return os.path.isfile(os.path.join(path, criu.INVENTORY))
