"""Containers as their users see them: found by name, created, started, stopped, waited for, removed.

Resolves names, asks owners, and does the waiting that owners must not do (grace periods, `wait`). It changes no record.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from naru.containers import limits, validate
from naru.containers.creation import Creation, empty_bindings
from naru.containers.owner import Owner
from naru.containers.records import Container, Status
from naru.containers.streams import ConmonStdio
from naru.containers.surroundings import Surroundings
from naru.containers.waiting import PendingAttach
from naru.errors import Conflict, Forbidden, Internal, InvalidArgument, NaruError, NotFound
from naru.linux.process import ended_within
from naru.networks.records import Network
from naru.oci.image import Platform
from naru.wire.container import CreateRequest, EndpointSettings, UpdateRequest
from naru.wire.decode import replace_struct

_AFTER_KILL_S = 12.0  # what Docker gives processes in the kernel before it says that they do not end
_KILL_S = 10.0


@dataclass(frozen=True, slots=True)
class Created:
    id: str
    warnings: tuple[str, ...]


class Containers:
    def __init__(self, around: Surroundings, spawn: Callable[[Owner], None]) -> None:
        self._around = around
        self._creation = Creation(around)
        self._spawn = spawn  # gives an owner its task

    # -- finding ----------------------------------------------------------------------------------------------------

    def find(self, text: str) -> Owner:
        """By full id, name (with or without slash) or unique id prefix. Raises NotFound, InvalidArgument."""
        return self._around.owners[self._creation.find(text)]

    def all(self) -> list[Container]:
        """Every record, newest first."""
        records = [owner.record for owner in self._around.owners.values()]
        return sorted(records, key=lambda record: record.created_ns, reverse=True)

    # -- create -----------------------------------------------------------------------------------------------------

    async def create(
        self,
        name: str,
        request: CreateRequest,
        platform: Platform | None = None,
        *,
        flat_read_only: bool = False,
        tell_empty_bindings: bool = True,
    ) -> Created:
        """A container that is ready to start. Nothing is left of one that could not be made.

        With `flat_read_only` a read-only bind leaves what is mounted below it writable, as clients before API 1.44 expect.
        """
        around, creation = self._around, self._creation
        image = None
        if request.image:
            image = around.images.resolve(request.image, platform)
        reserved = creation.reserve(name)
        try:
            plan = creation.plan(reserved, request, image, flat_read_only=flat_read_only)
            if image is not None:
                await around.images.unpack(image)
            await around.wait_sources([item.point for item in plan.mounts])
            async with AsyncExitStack() as undo:
                record = creation.realise(plan, undo)
                await around.db.wait_durable()
                undo.pop_all()
        except BaseException:
            around.names.pop(reserved, None)
            raise
        owner = Owner(around, record)
        around.owners[record.id] = owner
        around.names[reserved] = record.id
        self._spawn(owner)
        owner.announce("create")
        warnings = plan.warnings
        if tell_empty_bindings:
            warnings += empty_bindings(request)
        return Created(record.id, warnings)

    # -- verbs --------------------------------------------------------------------------------------------------------

    async def start(self, text: str) -> None:
        owner = self.find(text)
        await owner.ask(owner.start)

    async def stop(self, text: str, *, timeout_s: int | None = None, signal_name: str = "") -> None:
        """Ask it to end, and after the grace period (-1: for ever) make it. Raises NotModified if it does not run."""
        owner = self.find(text)
        try:
            number = self._stop_signal(owner.record, signal_name)
        except InvalidArgument as error:
            raise Internal(f"cannot stop container: {text}: {error}") from error
        waiter = owner.waiter("next-exit") if owner.record.state.status.is_live else None
        try:
            if not await owner.ask(owner.begin_stop) or waiter is None:
                return
            grace_s = self._grace(owner.record) if timeout_s is None else timeout_s
            if owner.record.state.status is Status.PAUSED:
                grace_s = min(grace_s, 0) if timeout_s is None else grace_s
            await self._end(owner, waiter, number, grace_s, text)
        finally:
            if waiter is not None:
                owner.forget(waiter)
        owner.announce("stop")

    async def stop_for_health(self, owner: Owner) -> None:
        """End it as `stop` does, and have it started again as its restart policy would. Raises Conflict if it does not run."""
        waiter = owner.waiter("next-exit")
        try:
            await owner.ask(owner.want_restart)
            record = owner.record
            await self._end(owner, waiter, self._stop_signal(record, ""), self._grace(record), record.id, by_user=False)
        finally:
            owner.forget(waiter)

    async def _end(
        self, owner: Owner, waiter: asyncio.Future[int], number: int, grace_s: int, text: str, *, by_user: bool = True
    ) -> None:
        await self._signal(owner, number, by_user=by_user)
        if not await ended_within(asyncio.shield(waiter), None if grace_s < 0 else grace_s):
            await self._signal(owner, signal.SIGKILL, by_user=by_user)
            if not await ended_within(asyncio.shield(waiter), _AFTER_KILL_S):
                raise Internal(
                    f"cannot stop container: {text}: tried to kill container, but did not receive an exit event"
                )

    async def _signal(self, owner: Owner, number: int, *, by_user: bool) -> None:
        if not owner.record.state.status.is_live:
            return  # it ended on its own meanwhile
        try:
            await owner.ask(lambda: owner.signal(number, by_user=by_user))
        except Conflict:
            return

    def _grace(self, record: Container) -> int:
        own = record.config.stop_timeout
        return own if own is not None else self._around.defaults.stop_timeout_s

    @staticmethod
    def _stop_signal(record: Container, name: str) -> int:
        return validate.signal_number(name or record.config.stop_signal or "TERM")

    async def restart(self, text: str, *, timeout_s: int | None = None, signal_name: str = "") -> None:
        owner = self.find(text)
        try:
            self._stop_signal(owner.record, signal_name)
        except InvalidArgument as error:
            raise Internal(f"Cannot restart container {text}: {error}") from error
        if owner.record.state.status.is_live or owner.record.state.status is Status.RESTARTING:
            await self.stop(owner.record.id, timeout_s=timeout_s, signal_name=signal_name)
        await owner.ask(owner.start)
        owner.announce("restart")

    async def kill(self, text: str, signal_name: str = "") -> None:
        try:
            owner = self.find(text)
            number = validate.signal_number(signal_name or "KILL")
            waiter = owner.waiter("next-exit")
            try:
                await owner.ask(lambda: owner.signal(number))
                if number == signal.SIGKILL and not await ended_within(asyncio.shield(waiter), _KILL_S):
                    raise Internal("tried to kill container, but did not receive an exit event")
            finally:
                owner.forget(waiter)
        except NaruError as error:
            raise type(error)(f"cannot kill container: {text}: {error}") from error

    async def pause(self, text: str) -> None:
        owner = self.find(text)
        await owner.ask(owner.pause)

    async def unpause(self, text: str) -> None:
        owner = self.find(text)
        await owner.ask(owner.unpause)

    async def remove(self, text: str, *, force: bool = False, volumes: bool = False) -> None:
        owner = self.find(text)
        await owner.ask(lambda: owner.remove(force=force, volumes=volumes))

    async def rename(self, text: str, name: str) -> None:
        if not name or not text:
            raise InvalidArgument("Neither old nor new names may be empty")
        owner = self.find(text)
        around = self._around
        if name.removeprefix("/") == owner.record.name:
            raise InvalidArgument("Renaming a container with the same name as its current name")
        try:
            reserved = self._creation.reserve("/" + name.removeprefix("/"))
        except NaruError as error:
            raise type(error)(f"Error when allocating new name: {error}") from error
        old = owner.record.name
        try:
            await owner.ask(lambda: owner.rename(reserved))
        except BaseException:
            around.names.pop(reserved, None)
            raise
        around.names[reserved] = owner.record.id
        around.names.pop(old, None)

    async def update(self, text: str, request: UpdateRequest) -> tuple[str, ...]:
        """New limits, at once if it runs, and a new restart policy; warnings about what this host cannot limit.

        Raises InvalidArgument, and Conflict with what the container already has.
        """
        owner = self.find(text)
        request, warnings = limits.adapt(request, self._around.host, update=True)
        validate.restart_policy(request.restart_policy)

        def change(record: Container) -> Container:
            try:
                return replace(record, host=limits.updated(record.host, request))
            except Conflict as error:
                raise Conflict(f"Cannot update container {record.id}: {error}") from error

        await owner.ask(lambda: owner.update(change))
        return warnings

    async def connect(self, text: str, network: Network, settings: EndpointSettings) -> None:
        """Put a container on one more network: now if it runs, else at its next start."""
        owner = self.find(text)
        await owner.ask(lambda: self._connect(owner, network, settings))

    async def _connect(self, owner: Owner, network: Network, settings: EndpointSettings) -> None:
        networking, record = self._around.networking, owner.record
        networking.check(network.name, settings)
        if record.state.status.is_live:
            await networking.connect(self._around.effective(record), network.name, settings)
        elif network.name in record.networks:
            raise Forbidden(f"endpoint with name {record.name} already exists in network {network.name}")
        elif record.host.network_mode == "host":
            raise InvalidArgument(
                "container sharing network namespace with another container or host cannot be connected to any other network"
            )
        networks = {**record.networks, network.name: settings}
        await owner.change(lambda current: replace(current, networks=networks))

    async def disconnect(self, text: str, network: Network) -> None:
        owner = self.find(text)
        await owner.ask(lambda: self._disconnect(owner, network))

    async def _disconnect(self, owner: Owner, network: Network) -> None:
        record = owner.record
        if network.name not in record.networks or network.name == "host":
            raise Internal(f"container {record.id} is not connected to network {network.name}")
        if record.state.status.is_live:
            await self._around.networking.disconnect(self._around.effective(record), network.name)
        networks = {name: settings for name, settings in record.networks.items() if name != network.name}
        await owner.change(lambda current: replace(current, networks=networks))

    async def remove_link(self, text: str, alias: str) -> None:
        """The container does not know another one by this alias any more. Raises NotFound."""
        owner = self.find(text)
        left = [link for link in owner.record.host.links or [] if link.partition(":")[2].rpartition("/")[2] != alias]
        if len(left) == len(owner.record.host.links or []):
            raise NotFound(f"No such container: {owner.record.name}/{alias}")
        await owner.ask(lambda: self._relink(owner, left))

    async def _relink(self, owner: Owner, links: list[str]) -> None:
        await owner.change(lambda current: replace(current, host=replace_struct(current.host, links=links or None)))
        if owner.record.state.status.is_live:
            self._around.networking.rewrite_hosts(owner.record)

    # -- waiting --------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def waiting(self, text: str, condition: str) -> AsyncIterator[asyncio.Future[int]]:
        """The future exit code for one of Docker's conditions; registered when the block is entered."""
        condition = condition or "not-running"
        if condition not in ("not-running", "next-exit", "removed"):
            raise InvalidArgument(f'invalid condition: "{condition}"')
        owner = self.find(text)
        waiter = owner.waiter(condition)
        try:
            yield waiter
        finally:
            owner.forget(waiter)

    # -- streams --------------------------------------------------------------------------------------------------------

    async def attach(self, owner: Owner, text: str) -> ConmonStdio | PendingAttach:
        """The live streams of a running container, or a promise of those of its next start; `text` is how it was called."""
        status = owner.record.state.status
        if status is Status.PAUSED:
            raise Conflict(f"container {text} is paused, unpause the container before attach")
        if status is Status.RESTARTING:
            raise Conflict(f"container {text} is restarting, wait until the container is running")
        if status is Status.RUNNING:
            try:
                return await owner.attaches.now(self._around.runtime.bundle(owner.record.id))
            except (FileNotFoundError, ConnectionError):  # it has ended, and its owner has not got round to saying so
                pending = PendingAttach()
                pending.settle(None)
                return pending
        return owner.attaches.add()

    def drop(self, owner: Owner, pending: PendingAttach) -> None:
        owner.attaches.drop(pending)

    async def resize(self, text: str, height: int, width: int) -> None:
        owner = self.find(text)
        if not owner.record.state.status.is_live:
            raise Conflict(f"container {owner.record.id} is not running")
        if owner.record.config.tty:
            self._around.runtime.resize(owner.record.id, height, width)
        owner.announce("resize", height=str(height), width=str(width))
