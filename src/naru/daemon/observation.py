"""Where the daemon's metrics come from: what is read at each scrape, and which calls are timed.

Nothing is timed unless metrics are served: then routes and networks are wrapped once, when the daemon is composed.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar

import naru
from naru.api.app import Handle, Request, Route
from naru.api.exchange import Exchange
from naru.containers.checks import Checks
from naru.containers.engine import Engine
from naru.containers.records import Status
from naru.networks.service import Networks
from naru.wire.exposition import CONTENT_TYPE, Histogram, Sample, text

P = ParamSpec("P")
T = TypeVar("T")
_CONTAINER_ROUTES = {
    ("POST", "/containers/create"): "create",
    ("POST", "/containers/{name}/start"): "start",
    ("DELETE", "/containers/{name}"): "delete",
    ("GET", "/containers/{name}/changes"): "changes",
    ("POST", "/commit"): "commit",
}
_IMAGE_ROUTES = {("POST", "/images/create"): "pull", ("POST", "/images/{name:*}/push"): "push"}
_STATES = {
    "running": (Status.RUNNING, Status.RESTARTING),
    "paused": (Status.PAUSED,),
    "stopped": (Status.CREATED, Status.EXITED, Status.REMOVING, Status.DEAD),
}


class Observation:
    def __init__(self) -> None:
        self._containers = Histogram(
            "engine_daemon_container_actions_seconds", "The number of seconds it takes to process each container action",
            "action", _CONTAINER_ROUTES.values(),
        )  # fmt: skip
        self._images = Histogram(
            "engine_daemon_image_actions_seconds", "The number of seconds it takes to process each image action",
            "action", _IMAGE_ROUTES.values(),
        )  # fmt: skip
        self._networks = Histogram(
            "engine_daemon_network_actions_seconds", "The number of seconds it takes to process each network action",
            "action", ("allocate", "connect", "release"),
        )  # fmt: skip

    # -- timing ---------------------------------------------------------------------------------------------------------

    def routes(self, routes: list[Route]) -> list[Route]:
        """The same, those of containers and images timed when they succeed."""
        timed = {**{key: (self._containers, what) for key, what in _CONTAINER_ROUTES.items()},
                 **{key: (self._images, what) for key, what in _IMAGE_ROUTES.items()}}  # fmt: skip
        out = []
        for route in routes:
            if found := timed.pop((route.method, route.pattern), None):
                handle = _timed(route.handle, *found)
                route = replace(route, handle=_if_pull(handle, route.handle) if found[1] == "pull" else handle)
            out.append(route)
        assert not timed, f"there are no such routes: {timed}"
        return out

    def networks(self, networks: Networks) -> None:
        """Attaching, connecting and detaching are timed from now on."""
        networks.attach = _timed(networks.attach, self._networks, "allocate")
        networks.connect = _timed(networks.connect, self._networks, "connect")
        networks.detach = _timed(networks.detach, self._networks, "release")

    # -- answering ------------------------------------------------------------------------------------------------------

    def handler(self, engine: Engine, checks: Checks, daemon_id: str) -> Callable[[Exchange], Awaitable[None]]:
        """Answers `GET /metrics` and nothing else."""

        async def handle(exchange: Exchange) -> None:
            if exchange.target.partition(b"?")[0] != b"/metrics":
                plain = [("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff")]
                await exchange.send(404, plain, b"404 page not found\n")
                return
            families: list[Histogram | Sample] = [
                self._containers,
                self._images,
                self._networks,
                *samples(engine, checks, daemon_id),
                *process(),
            ]
            await exchange.send(200, [("Content-Type", CONTENT_TYPE)], text(families).encode())

        return handle


def _timed(call: Callable[P, Awaitable[T]], histogram: Histogram, value: str) -> Callable[P, Coroutine[Any, Any, T]]:
    async def timed(*args: P.args, **kwargs: P.kwargs) -> T:
        began = time.perf_counter()
        result = await call(*args, **kwargs)
        histogram.note(value, time.perf_counter() - began)
        return result

    return timed


def _if_pull(timed: Handle, plain: Handle) -> Handle:
    """`/images/create` imports too, which is another thing."""

    async def handle(request: Request) -> None:
        await (timed if request.query.text("fromImage") else plain)(request)

    return handle


def samples(engine: Engine, checks: Checks, daemon_id: str) -> list[Sample]:
    """What the daemon knows of itself and its containers now."""
    host, bus = engine.host, engine.bus
    states = [record.state.status for record in engine.containers.all()]
    info = {
        "architecture": host.machine, "commit": "", "daemon_id": daemon_id, "graphdriver": "overlayfs", "kernel": host.kernel,
        "os": host.os_name, "os_type": "linux", "os_version": host.os_version, "version": naru.__version__,
    }  # fmt: skip
    happened = bus.published
    return [
        Sample(
            "engine_daemon_container_states_containers", "The count of containers in various states", "gauge",
            [({"state": name}, sum(state in which for state in states)) for name, which in _STATES.items()],
        ),
        Sample("engine_daemon_engine_info", "The information related to the engine and the OS it is running on", "gauge", [(info, 1)]),
        Sample.of("engine_daemon_engine_cpus_cpus", "The number of cpus that the host system of the engine has", "gauge", host.cpus),
        Sample.of("engine_daemon_engine_memory_bytes", "The number of bytes of memory that the host system of the engine has", "gauge", host.memory_bytes),
        Sample.of("engine_daemon_events_total", "The number of events logged", "counter", happened.total()),
        Sample.of("engine_daemon_events_subscribers_total", "The number of current subscribers to events", "gauge", bus.listeners),
        Sample.of("engine_daemon_health_checks_total", "The total number of health checks", "counter", checks.probes),
        Sample.of("engine_daemon_health_checks_failed_total", "The total number of failed health checks", "counter", checks.failures),
        Sample.of("naru_container_starts_total", "Starts of containers, restarts included", "counter", happened["container", "start"]),
        Sample.of("naru_container_exits_total", "Ends of containers", "counter", happened["container", "die"]),
        Sample.of("naru_container_ooms_total", "Containers in which the kernel has killed for want of memory", "counter", happened["container", "oom"]),
        Sample.of("naru_execs_total", "Execs that were started, health checks included", "counter", happened["container", "exec_start"]),
    ]  # fmt: skip


def process() -> list[Sample]:
    """The process_* family of the Prometheus client libraries, from /proc/self (proc_pid_stat(5))."""
    with open("/proc/self/stat") as file:
        fields = file.read().rpartition(")")[2].split()  # the third field of the manual's is the first here
    with open("/proc/stat") as file:
        boot_s = next(int(line.split()[1]) for line in file if line.startswith("btime "))
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    most_fds, most_bytes = resource.getrlimit(resource.RLIMIT_NOFILE)[0], resource.getrlimit(resource.RLIMIT_AS)[0]
    numbers: list[tuple[str, str, str, int | float]] = [
        ("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", "counter", (int(fields[11]) + int(fields[12])) / ticks),
        ("process_max_fds", "Maximum number of open file descriptors.", "gauge", most_fds),
        ("process_open_fds", "Number of open file descriptors.", "gauge", len(os.listdir("/proc/self/fd"))),
        ("process_resident_memory_bytes", "Resident memory size in bytes.", "gauge", int(fields[21]) * page),
        ("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", "gauge", boot_s + int(fields[19]) / ticks),
        ("process_threads", "Number of threads.", "gauge", int(fields[17])),
        ("process_virtual_memory_bytes", "Virtual memory size in bytes.", "gauge", int(fields[20])),
        ("process_virtual_memory_max_bytes", "Maximum amount of virtual memory available in bytes.", "gauge", most_bytes if most_bytes >= 0 else 2**64 - 1),
    ]  # fmt: skip
    return [Sample.of(*each) for each in numbers]
