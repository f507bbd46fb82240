"""Ping, version, info, events, df, auth, and the polite refusals: swarm and plugins."""

from __future__ import annotations

import asyncio
import os
import platform as python_platform
import time
from collections.abc import Sequence
from typing import Any

import naru
from naru.api import olderversions
from naru.api.app import MAX_VERSION, SERVER_VERSION, Request, Route
from naru.api.credentials import from_json
from naru.api.diskusage import disk_usage
from naru.api.events import Selection, event_json
from naru.api.parameters import parse_timestamp, rfc3339
from naru.api.shown import Shown, registry_json
from naru.build.cache import Cache
from naru.containers import cdi
from naru.containers.engine import Engine
from naru.containers.records import Status
from naru.errors import InvalidArgument, Unavailable
from naru.logs.drivers import NAMES as LOG_DRIVERS
from naru.oci.image import load_json
from naru.wire.decode import encode, parse_json

Json = dict[str, Any]
_NO_SWARM = 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.'
_PING = [
    ("Builder-Version", "1"),
    ("Cache-Control", "no-cache, no-store, must-revalidate"),
    ("Pragma", "no-cache"),
    ("Swarm", "inactive"),
]
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


class SystemRoutes:
    def __init__(self, engine: Engine, cache: Cache, shown: Shown) -> None:
        self._engine = engine
        self._cache = cache
        self.shown = shown

    def show(self, shown: Shown) -> None:
        """The configuration has been reloaded."""
        self.shown = shown

    def routes(self) -> list[Route]:
        swarm = [
            Route(method, f"/{kind}{rest}", self.no_swarm)
            for kind in ("nodes", "services", "tasks", "secrets", "configs")
            for method, rest in (
                ("GET", ""),
                ("GET", "/{id}"),
                ("POST", "/create"),
                ("DELETE", "/{id}"),
                ("POST", "/{id}/update"),
            )
        ]
        return [
            Route("GET", "/_ping", self.ping),
            Route("HEAD", "/_ping", self.ping),
            Route("GET", "/version", self.version),
            Route("GET", "/info", self.info),
            Route("GET", "/events", self.events),
            Route("GET", "/system/df", self.df),
            Route("POST", "/auth", self.auth),
            Route("GET", "/plugins", self.plugins),
            Route("GET", "/swarm", self.no_swarm),
            Route("POST", "/swarm/{verb}", self.no_swarm),
            *swarm,
        ]

    async def ping(self, request: Request) -> None:
        await request.exchange.send(200, [*_PING, ("Content-Type", "text/plain; charset=utf-8")], b"OK")

    async def no_swarm(self, request: Request) -> None:
        raise Unavailable(_NO_SWARM)

    async def plugins(self, request: Request) -> None:
        await request.answer([])

    async def version(self, request: Request) -> None:
        host = self._engine.host
        shown = self.shown
        newest, oldest = (f"{major}.{minor}" for major, minor in (MAX_VERSION, shown.min_version))
        built = "1970-01-01T00:00:00.000000000+00:00"
        arch = _MACHINES.get(host.machine, host.machine)
        details = {
            "ApiVersion": newest, "Arch": arch, "BuildTime": built,
            "Experimental": str(shown.experimental).lower(), "GitCommit": "",
            "GoVersion": f"python{python_platform.python_version()}", "KernelVersion": host.kernel, "MinAPIVersion": oldest,
            "Os": "linux", "Naru": naru.__version__,
        }  # fmt: skip
        components: list[Json] = [{"Name": "Engine", "Version": SERVER_VERSION, "Details": details}]
        components += [
            {"Name": name, "Version": "", "Details": {"GitCommit": ""}} for name in ("conmon", shown.runtime_program)
        ]
        await request.answer(
            {
                "Platform": {"Name": f"Naru {naru.__version__}"}, "Components": components,
                "Version": SERVER_VERSION, "ApiVersion": newest, "MinAPIVersion": oldest, "GitCommit": "",
                "GoVersion": details["GoVersion"], "Os": "linux", "Arch": arch, "KernelVersion": host.kernel, "BuildTime": built,
                **({"Experimental": True} if shown.experimental else {}),
            }
        )  # fmt: skip

    async def info(self, request: Request) -> None:
        engine, host = self._engine, self._engine.host
        records = engine.containers.all()
        count = {status: sum(record.state.status is status for record in records) for status in Status}
        shown = self.shown
        folders = shown.cdi_spec_dirs or cdi.FOLDERS
        has = host.controllers.__contains__
        v2 = host.cgroup_version == 2
        out: Json = {
            "ID": shown.id, "Containers": len(records), "ContainersRunning": count[Status.RUNNING],
            "ContainersPaused": count[Status.PAUSED],
            "ContainersStopped": len(records) - count[Status.RUNNING] - count[Status.PAUSED],
            "Images": len(engine.images.list()), "Driver": "overlayfs",
            "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
            "Plugins": {
                "Volume": ["local"], "Network": ["bridge", "host", "ipvlan", "macvlan", "null"], "Authorization": None,
                "Log": list(LOG_DRIVERS),
            },
            "MemoryLimit": has("memory"), "SwapLimit": host.swap_limit, "CpuCfsPeriod": has("cpu"), "CpuCfsQuota": has("cpu"),
            "CPUShares": has("cpu"), "CPUSet": has("cpuset"), "PidsLimit": has("pids"), "IPv4Forwarding": True, "Debug": shown.debug,
            "NFd": len(os.listdir("/proc/self/fd")), "OomKillDisable": has("memory") and not v2,
            "NGoroutines": len(asyncio.all_tasks()), "SystemTime": rfc3339(time.time_ns()), "LoggingDriver": engine.around.log_default.type,
            "CgroupDriver": "cgroupfs", "CgroupVersion": str(host.cgroup_version), "NEventsListener": engine.bus.listeners,
            "KernelVersion": host.kernel, "OperatingSystem": host.os_name, "OSVersion": host.os_version, "OSType": "linux",
            "Architecture": host.machine, "IndexServerAddress": "https://index.docker.io/v1/",
            "RegistryConfig": registry_json(engine.registry.config),
            "NCPU": host.cpus, "MemTotal": host.memory_bytes, "GenericResources": None,
            "DockerRootDir": engine.around.data_root, "HttpProxy": "", "HttpsProxy": "", "NoProxy": "", "Name": host.name,
            "Labels": list(shown.labels), "ExperimentalBuild": shown.experimental, "ServerVersion": SERVER_VERSION,
            "Runtimes": shown.runtimes_json(), "DefaultRuntime": shown.default_runtime,
            "Swarm": {
                "NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": False, "Error": "",
                "RemoteManagers": None,
            },
            "LiveRestoreEnabled": True, "Isolation": "", "InitBinary": shown.init_path or "docker-init", "ContainerdCommit": {"ID": ""},
            "RuncCommit": {"ID": ""}, "InitCommit": {"ID": ""},
            "SecurityOptions": shown.security_options(), "CDISpecDirs": list(folders), **_vendor_devices(request, folders),
            "FirewallBackend": {"Driver": "nftables"}, "Warnings": shown.warnings(),
            **({"DefaultAddressPools": [{"Base": b, "Size": n} for b, n in shown.pools]} if shown.pools else {}),
        }  # fmt: skip
        await request.answer(olderversions.info(out, request.version))

    # -- events ---------------------------------------------------------------------------------------------------------

    async def events(self, request: Request) -> None:
        query = request.query
        since, until = parse_timestamp(query.text("since"), "'since'"), parse_timestamp(query.text("until"), "'until'")
        if since and until and since > until:
            raise InvalidArgument(
                f"`since` time ({query.text('since')}) cannot be after `until` time ({query.text('until')})"
            )
        selection = Selection(query.filters(None), request.version)
        kind = "application/jsonl" if request.at_least(1, 52) else "application/json"
        accept = request.header("accept")
        if any(word in accept for word in ("application/x-ndjson", "application/json-seq", "application/jsonl")):
            kind = next(w for w in ("application/json-seq", "application/x-ndjson", "application/jsonl") if w in accept)
        prefix = b"\x1e" if kind == "application/json-seq" else b""
        exchange = request.exchange
        with self._engine.bus.subscribe(since or (0 if until else None)) as events:
            await exchange.begin(200, [("Content-Type", kind)])
            timeout_s = None if not until else max(0.0, (until - time.time_ns()) / 1e9)
            try:
                async with asyncio.timeout(timeout_s):
                    while True:
                        event = await events.wait_next()
                        if until and event.time_ns > until:
                            return
                        if selection.takes(event):
                            await exchange.write(prefix + encode(event_json(event, request.version)) + b"\n")
            except TimeoutError:
                return

    # -- df, auth ---------------------------------------------------------------------------------------------------------

    async def df(self, request: Request) -> None:
        query = request.query
        await request.answer(
            await disk_usage(
                self._engine, self._cache, query.all("type"), request.version, verbose=query.flag("verbose")
            )
        )  # fmt: skip

    async def auth(self, request: Request) -> None:
        raw = await request.exchange.body.read()
        try:
            parse_json(raw)
            value = load_json(raw, "auth")
        except InvalidArgument as error:
            raise InvalidArgument(f"invalid X-Registry-Auth header: {error}") from error
        credentials = from_json(value)
        server = str(value.get("serveraddress") or "docker.io")
        token = await self._engine.registry.check_login(server, credentials) if credentials else ""
        await request.answer({"Status": "Login Succeeded", **({"IdentityToken": token} if token else {})})


def _vendor_devices(request: Request, folders: Sequence[str]) -> Json:
    """`DiscoveredDevices` (API 1.50): what CDI files describe now; absent when they describe nothing."""
    names = sorted(cdi.read(folders).devices) if request.at_least(1, 50) else []
    return {"DiscoveredDevices": [{"Source": "cdi", "ID": name} for name in names]} if names else {}
