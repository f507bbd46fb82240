"""Attach, logs and exec: the routes whose answers are streams."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from urllib.parse import quote_plus

from naru.api import websocket
from naru.api.app import Request, Route
from naru.api.exchange import Duplex, Exchange, Headers
from naru.api.parameters import parse_timestamp, rfc3339_fixed
from naru.api.routes.containers import size_of
from naru.api.status import status_of
from naru.api.streams import DEFAULT_DETACH, MULTIPLEXED, RAW, STDOUT, Client, frame, join, parse_detach_keys, pump
from naru.containers.engine import Engine
from naru.containers.execs import Exec
from naru.containers.logkeeping import source_of
from naru.containers.owner import Owner
from naru.containers.records import Container
from naru.containers.streams import Stdio
from naru.containers.waiting import PendingAttach
from naru.errors import Conflict, Internal, InvalidArgument, NaruError
from naru.logs.attributes import extra, tag
from naru.logs.cri import Window
from naru.logs.reading import read
from naru.wire.container import ExecRequest, ExecStart


class StreamRoutes:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def routes(self) -> list[Route]:
        return [
            Route("POST", "/containers/{name}/attach", self.attach),
            Route("GET", "/containers/{name}/attach/ws", self.attach_websocket),
            Route("GET", "/containers/{name}/logs", self.logs),
            Route("POST", "/containers/{name}/exec", self.exec_create),
            Route("POST", "/exec/{id}/start", self.exec_start),
            Route("GET", "/exec/{id}/json", self.exec_inspect),
            Route("POST", "/exec/{id}/resize", self.exec_resize),
        ]

    # -- attach -----------------------------------------------------------------------------------------------------------

    async def attach(self, request: Request) -> None:
        query = request.query
        try:
            owner = self._engine.containers.find(request["name"])
            detach = _detach_keys(query.text("detachKeys"))
            outputs = frozenset(number for number, name in ((1, "stdout"), (2, "stderr")) if query.flag(name))
            stdio = await self._engine.containers.attach(owner, request["name"])
        except NaruError as error:
            await _fail_plainly(request, error)
            return
        tty = owner.record.config.tty
        try:
            duplex = await hijack(request, tty=tty)
            stdin = query.flag("stdin")
            await self._serve_attach(request, owner, stdio, duplex, outputs, detach, raw=tty, stdin=stdin)
        finally:
            if isinstance(stdio, PendingAttach):
                self._engine.containers.drop(owner, stdio)

    async def attach_websocket(self, request: Request) -> None:
        """The same for browsers and their like: binary messages, never framed."""
        query = request.query
        owner = self._engine.containers.find(request["name"])
        detach = _detach_keys(query.text("detachKeys"))
        names = ((1, "stdout"), (2, "stderr"))
        chosen = request.at_least(1, 42)  # older clients get everything
        outputs = frozenset(number for number, name in names if not chosen or query.flag(name))
        stdin = not chosen or query.flag("stdin")
        stdio = await self._engine.containers.attach(owner, request["name"])
        try:
            socket = await self._websocket(request)
            if socket is None:
                return
            await self._serve_attach(request, owner, stdio, socket, outputs, detach, raw=True, stdin=stdin)
            await socket.finish()
        finally:
            if isinstance(stdio, PendingAttach):
                self._engine.containers.drop(owner, stdio)
            else:
                stdio.close()

    @staticmethod
    async def _websocket(request: Request) -> websocket.WebSocket | None:
        """None if the client does not speak it, which it has been told: bare, as Go's library does it."""
        try:
            return await websocket.upgrade(request.exchange)
        except InvalidArgument as error:
            duplex = await request.exchange.hijack(400, [])
            await duplex.write(str(error).encode())
            return None

    async def _serve_attach(
        self,
        request: Request,
        owner: Owner,
        stdio: Stdio | PendingAttach,
        duplex: Client,
        outputs: frozenset[int],
        detach: bytes,
        *,
        raw: bool,
        stdin: bool,
    ) -> None:
        query = request.query
        if query.flag("logs"):
            window = Window(stdout=1 in outputs, stderr=2 in outputs)
            async for batch in read(self._engine.logs.files(owner.record), window):
                await duplex.write(join(batch, raw))
        if not query.flag("stream"):
            return
        owner.announce("attach")
        live = await _first(stdio, duplex) if isinstance(stdio, PendingAttach) else stdio
        if live is None:
            return
        try:
            detached = await pump(
                duplex,
                live,
                tty=raw,
                stdin=stdin and owner.record.config.open_stdin,
                outputs=outputs,
                detach=detach if owner.record.config.tty else b"",
            )
            if detached:
                owner.announce("detach")
        finally:
            live.close()

    # -- logs ----------------------------------------------------------------------------------------------------------------

    async def logs(self, request: Request) -> None:
        query = request.query
        window = Window(stdout=query.flag("stdout"), stderr=query.flag("stderr"))
        if not (window.stdout or window.stderr):
            raise InvalidArgument("must specify at least one of 'stdout' or 'stderr'")
        owner = self._engine.containers.find(request["name"])
        since = parse_timestamp(query.text("since"), '"since"')
        until = parse_timestamp(query.text("until"), '"until"')
        tail = query.text("tail")
        window = replace(
            window,
            since=rfc3339_fixed(since) if since else "",
            until=rfc3339_fixed(until) if until else "",
            tail=int(tail) if tail.isdigit() else None,
            times=query.flag("timestamps"),
        )
        record, exchange = owner.record, request.exchange
        files, tty = self._engine.logs.files(record), record.config.tty
        if query.flag("details"):
            window = replace(window, details=_details(record))
        kind = MULTIPLEXED if not tty and request.at_least(1, 42) else RAW
        await exchange.begin(200, [("Content-Type", kind)])
        live = self._engine.logs.live(record) if query.flag("follow") else None
        if live is None:
            await owner.wait_under_way()
        async for batch in read(files, window, live):
            await exchange.write(join(batch, tty))

    # -- exec ----------------------------------------------------------------------------------------------------------------

    async def exec_create(self, request: Request) -> None:
        body = await request.json(ExecRequest, "container.ExecCreateRequest", prefix="ExecCreateRequest")
        owner = self._engine.containers.find(request["name"])
        try:
            _detach_keys(body.detach_keys)
        except InvalidArgument as error:
            raise Internal(f"Invalid escape keys ({body.detach_keys}) provided") from error
        made = await self._engine.execs.create(owner, body, request["name"])
        await request.answer({"Id": made.id}, 201)

    async def exec_start(self, request: Request) -> None:
        body = await request.json(ExecStart, "container.ExecStartRequest", prefix="ExecStartRequest", optional=True)
        execs = self._engine.execs
        item = execs.find(request["id"])
        if item.state.running:
            raise Conflict(f"exec command {item.id} is already running")
        if body.detach:
            stdio = await execs.start(item, size=body.console_size)
            stdio.close()
            await request.done(200)
            return
        duplex = await hijack(request, tty=body.tty, headers=request.exchange.answer_headers)
        await self._serve_exec(request, item, body, duplex)

    async def _serve_exec(self, request: Request, item: Exec, body: ExecStart, duplex: Duplex) -> None:
        execs = self._engine.execs
        tty, asked = body.tty, item.request  # the frame is as this request says, the terminal as the exec was created
        try:
            stdio = await execs.start(item, size=body.console_size)
        except NaruError as error:
            await duplex.write(_message(str(error), tty))
            return
        outputs = frozenset(
            number for number, on in ((1, asked.attach_stdout), (2, asked.attach_stderr)) if on or asked.tty
        )
        if item.failure:
            stdio.close()
            await duplex.write(_message(item.failure, tty))
            return
        detached = False
        try:
            detach = _detach_keys(asked.detach_keys)
            detached = await pump(duplex, stdio, tty=tty, stdin=asked.attach_stdin, outputs=outputs, detach=detach)
        finally:
            stdio.close()
            if duplex.closed.is_set() and not detached:
                execs.abandon(item)
        if detached:
            item.owner.announce("exec_detach", execID=item.id)
            return
        if duplex.closed.is_set():
            return
        await item.ended.wait()  # the exit code is there before the stream ends: clients ask for it right after
        if item.failure:
            await duplex.write(_message(item.failure, tty))

    async def exec_inspect(self, request: Request) -> None:
        item = self._engine.execs.find(request["id"])
        asked, argv = item.request, item.request.cmd or []
        process = {"tty": asked.tty, "entrypoint": argv[0], "arguments": argv[1:], "privileged": asked.privileged}
        if asked.user:
            process["user"] = asked.user
        await request.answer(
            {
                "ID": item.id, "Running": item.state.running, "ExitCode": item.state.exit_code, "ProcessConfig": process,
                "OpenStdin": asked.attach_stdin, "OpenStderr": asked.attach_stderr, "OpenStdout": asked.attach_stdout,
                "CanRemove": False, "ContainerID": item.owner.record.id,
                "DetachKeys": base64.b64encode(_detach_keys(asked.detach_keys) if asked.detach_keys else b"").decode(),
                "Pid": self._engine.execs.pid(item),
            }
        )  # fmt: skip

    async def exec_resize(self, request: Request) -> None:
        height, width = size_of(request)
        self._engine.execs.resize(self._engine.execs.find(request["id"]), height, width)
        await request.done(200)


async def hijack(request: Request, *, tty: bool, headers: Headers = ()) -> Duplex:
    """Take the connection: 101 if the client offered an upgrade, else the old 200 without length."""
    upgrade = request.header("upgrade")
    framed = not tty and request.at_least(1, 42) and upgrade
    kind = ("Content-Type", MULTIPLEXED if framed else RAW)
    exchange: Exchange = request.exchange
    if upgrade:
        return await exchange.hijack(101, [kind, ("Connection", "Upgrade"), ("Upgrade", upgrade), *headers], "UPGRADED")
    return await exchange.hijack(200, [kind, *headers])


async def _first(pending: PendingAttach, duplex: Client) -> Stdio | None:
    """The streams once the container starts; None if it never will, or the client leaves first."""
    closed = asyncio.ensure_future(duplex.closed.wait())
    try:
        await asyncio.wait((pending.connected, closed), return_when=asyncio.FIRST_COMPLETED)
    finally:
        closed.cancel()
    return pending.connected.result() if pending.connected.done() else None


async def _fail_plainly(request: Request, error: NaruError) -> None:
    """Attach refuses in plain text, on a connection that it then closes (Engine API, ContainerAttach)."""
    duplex = await request.exchange.hijack(status_of(error), [("Content-Type", RAW)])
    await duplex.write(f"{error}\r\n".encode())


def _message(text: str, tty: bool) -> bytes:
    data = f"{text}\r\n".encode()
    return data if tty else frame(STDOUT, data)


def _detach_keys(text: str) -> bytes:
    if not text:
        return DEFAULT_DETACH
    try:
        return parse_detach_keys(text)
    except ValueError as error:
        raise InvalidArgument(f"Invalid detach keys ({text}) provided") from error


def _details(record: Container) -> bytes:
    """The labels and variables that the log options name, and the tag, as `k=v,k=v `, escaped as in a query."""
    options, source = record.host.log_config.config or {}, source_of(record)
    chosen = extra(options, source)
    if "tag" in options:
        chosen["tag"] = tag(options["tag"], source)
    return f"{','.join(f'{quote_plus(name)}={quote_plus(chosen[name])}' for name in sorted(chosen))} ".encode()
