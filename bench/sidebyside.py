#!/usr/bin/env python3
"""Engines of the Docker API side by side: the same requests to each in turn, so that a machine that slows down slows all.

bench/sidebyside.py --engine docker=unix:///run/docker.sock --engine naru=unix:///run/naru.sock [--image busybox] [--rounds 15]
                    [--pid docker=PID,PID --pid naru=PID] [CASE…]

Prints the median of each case in milliseconds, and how many times as long the first engine took as each of the others.
The first round only warms up. The image must have sh, true and sleep. Standard library only; `*_cli` and `ps_docker` need a docker
client, `ps_naru` and `run_own` need naru. logs, storm and cp are measured a third as often. With --pid, the memory (PSS) of these processes is told before the cases and after.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import os
import socket
import statistics
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("engine", timeout=120)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass(frozen=True)
class Engine:
    name: str
    url: str
    image: str

    def request(self, method: str, path: str, body: object = None) -> Any:
        """One request on a connection of its own; the answer's JSON, or its bytes. Raises RuntimeError for an error."""
        connection = _Connection(self.url.removeprefix("unix://"))
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, f"/v1.41{path}", text, {"Content-Type": "application/json"} if text else {})
            response = connection.getresponse()
            data = response.read()
        finally:
            connection.close()
        if response.status >= 400:
            raise RuntimeError(f"{self.name}: {method} {path}: {response.status} {data.decode()[:200]}")
        return json.loads(data) if response.headers.get_content_type() == "application/json" and data else data

    def create(self, *command: str, network: str = "default") -> str:
        body = {"Image": self.image, "Cmd": command, "HostConfig": {"NetworkMode": network}}
        return str(self.request("POST", "/containers/create", body)["Id"])

    def run(self, *command: str, network: str = "default") -> str:
        """Create, start, wait for the end; the container stays."""
        id = self.create(*command, network=network)
        self.request("POST", f"/containers/{id}/start")
        code = self.request("POST", f"/containers/{id}/wait")["StatusCode"]
        if code != 0:
            raise RuntimeError(f"{self.name}: {command} ended with {code}")
        return id

    def remove(self, id: str) -> None:
        self.request("DELETE", f"/containers/{id}?force=1&v=1")

    def client(self, program: str, *words: str) -> None:
        done = subprocess.run([program, "-H", self.url, *words], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{self.name}: {program} {' '.join(words)}: {done.stderr[-200:]}")

    @contextmanager
    def sleeper(self) -> Iterator[str]:
        id = self.create("sleep", "600")
        try:
            self.request("POST", f"/containers/{id}/start")
            yield id
        finally:
            self.remove(id)


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def run_cli(engine: Engine) -> float:
    """`docker run --rm IMAGE true`."""
    return timed(lambda: engine.client("docker", "run", "--rm", engine.image, "true"))


def run_api(network: str) -> Callable[[Engine], float]:
    def case(engine: Engine) -> float:
        ids: list[str] = []
        took = timed(lambda: ids.append(engine.run("true", network=network)))
        engine.remove(ids[0])
        return took

    return case


def cycle_api(engine: Engine) -> float:
    """Create, start, wait, remove."""
    return timed(lambda: engine.remove(engine.run("true")))


def exec_api(engine: Engine) -> float:
    """Create and start an exec of `true`, attached, to its end."""

    def work(id: str) -> None:
        exec_id = engine.request("POST", f"/containers/{id}/exec", {"Cmd": ["true"], "AttachStdout": True})["Id"]
        engine.request("POST", f"/exec/{exec_id}/start", {"Detach": False})

    with engine.sleeper() as id:
        return timed(lambda: work(id))


def exec_cli(engine: Engine) -> float:
    with engine.sleeper() as id:
        return timed(lambda: engine.client("docker", "exec", id, "true"))


def run_own(engine: Engine) -> float:
    """`run --rm IMAGE true` by each engine's own client."""
    program = "naru" if engine.name == "naru" else "docker"
    return timed(lambda: engine.client(program, "run", "--rm", engine.image, "true"))


def kill_rm(engine: Engine) -> float:
    """Remove a running container by force."""
    id = engine.create("sleep", "600")
    engine.request("POST", f"/containers/{id}/start")
    return timed(lambda: engine.remove(id))


def storm(engine: Engine) -> float:
    """For each of 40 short containers that 8 clients run between them."""
    with ThreadPoolExecutor(8) as clients:
        return timed(lambda: list(clients.map(lambda _: engine.remove(engine.run("true")), range(40)))) / 40


def _log(engine: Engine, id: str, query: str) -> int:
    """Bytes of the answer."""
    connection = _Connection(engine.url.removeprefix("unix://"))
    connection.request("GET", f"/v1.41/containers/{id}/logs?stdout=1{query}")
    response, size = connection.getresponse(), 0
    while piece := response.read(1 << 20):
        size += len(piece)
    connection.close()
    return size


def logs_200MB(engine: Engine) -> float:
    """From start until 200 MB of lines of 70 bytes have been followed to their end."""
    id = engine.create("sh", "-c", f"yes {'0123456789' * 7} | head -c 200000000")

    def work() -> None:
        engine.request("POST", f"/containers/{id}/start")
        if _log(engine, id, "&follow=1") < 200_000_000:
            raise RuntimeError(f"{engine.name}: a part of the log is missing")

    try:
        return timed(work)
    finally:
        engine.remove(id)


def read_logs(engine: Engine) -> float:
    """A finished log of 1,000,000 lines."""
    id = engine.run("seq", "1000000")
    try:
        return timed(lambda: _log(engine, id, ""))
    finally:
        engine.remove(id)


def _archive(engine: Engine, id: str, method: str, path: str, body: bytes | None = None) -> int:
    connection = _Connection(engine.url.removeprefix("unix://"))
    connection.request(
        method, f"/v1.41/containers/{id}/archive?path={path}", body, {"Content-Type": "application/x-tar"}
    )
    response = connection.getresponse()
    size = len(response.read())
    connection.close()
    if response.status != 200:
        raise RuntimeError(f"{engine.name}: archive: {response.status}")
    return size


def _file_of_128MiB() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        member = tarfile.TarInfo("blob")
        member.size = 128 << 20
        tar.addfile(member, io.BytesIO(os.urandom(1 << 20) * 128))
    return out.getvalue()


def cp_in(engine: Engine) -> float:
    data = _file_of_128MiB()
    with engine.sleeper() as id:
        return timed(lambda: _archive(engine, id, "PUT", "/", data))


def cp_out(engine: Engine) -> float:
    with engine.sleeper() as id:
        _archive(engine, id, "PUT", "/", _file_of_128MiB())
        return timed(lambda: _archive(engine, id, "GET", "/blob"))


def exit_to_wait(engine: Engine) -> float:
    """From the death of a container's first process (of a signal) until `wait` has answered."""
    with engine.sleeper() as id:
        pid = int(engine.request("GET", f"/containers/{id}/json")["State"]["Pid"])
        with ThreadPoolExecutor(1) as waiter:
            answer = waiter.submit(engine.request, "POST", f"/containers/{id}/wait")
            time.sleep(0.05)  # it waits
            took = timed(lambda: (os.kill(pid, 9), answer.result()))
        return took


def ps(program: str) -> Callable[[Engine], float]:
    return lambda engine: timed(lambda: engine.client(program, "ps"))


CASES: dict[str, Callable[[Engine], float]] = {
    "run_cli": run_cli,
    "run_api_bridge": run_api("default"),
    "run_api_none": run_api("none"),
    "run_api_host": run_api("host"),
    "cycle_api": cycle_api,
    "exec_api": exec_api,
    "exec_cli": exec_cli,
    "run_own": run_own,
    "kill_rm": kill_rm,
    "exit_to_wait": exit_to_wait,
    "storm": storm,
    "logs_200MB": logs_200MB,
    "read_logs": read_logs,
    "cp_in": cp_in,
    "cp_out": cp_out,
    "ps_docker": ps("docker"),
    "ps_naru": ps("naru"),
}

SLOW = {"storm", "logs_200MB", "read_logs", "cp_in", "cp_out"}


def measure(case: Callable[[Engine], float], engines: list[Engine], rounds: int) -> tuple[dict[str, float], list[str]]:
    """Medians in milliseconds by engine, and why an engine has none."""
    took: dict[str, list[float]] = {engine.name: [] for engine in engines}
    failures: dict[str, str] = {}
    for number in range(rounds + 1):
        for engine in engines:
            if engine.name in failures:
                continue
            try:
                seconds = case(engine)
            except (OSError, RuntimeError, http.client.HTTPException) as error:
                failures[engine.name] = f"{engine.name} failed: {error}"
                continue
            if number:
                took[engine.name].append(seconds * 1000)
    return {name: statistics.median(values) for name, values in took.items() if values and name not in failures}, list(
        failures.values()
    )


def pss_mib(pids: str) -> float:
    """Proportional set size of processes (proc_pid_smaps_rollup)."""
    total_kib = 0
    for pid in pids.split(","):
        with open(f"/proc/{pid}/smaps_rollup") as file:
            total_kib += next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    return total_kib / 1024


def tell_memory(pids: list[list[str]], when: str) -> None:
    for name, numbers in pids:
        print(f"memory {when}: {name} {pss_mib(numbers):.1f} MiB PSS")


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--engine", action="append", required=True, metavar="NAME=unix:///SOCKET")
    arguments.add_argument("--pid", action="append", default=[], metavar="NAME=PID[,PID…]")
    arguments.add_argument("--image", default="busybox")
    arguments.add_argument("--rounds", type=int, default=15)
    arguments.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    given = arguments.parse_args()
    engines = [Engine(*each.split("=", 1), given.image) for each in given.engine]
    pids = [each.split("=", 1) for each in given.pid]
    uname = os.uname()
    print(
        f"{uname.sysname} {uname.release} {uname.machine}, {os.cpu_count()} cores, {given.rounds} rounds, medians in ms"
    )
    for engine in engines:
        print(f"{engine.name}: {engine.request('GET', '/version')['Version']}")
    tell_memory(pids, "idle")
    first, *others = engines
    print(
        "".join(
            [f"{'case':16}", *(f"{e.name:>12}" for e in engines), *(f"{first.name + '/' + e.name:>16}" for e in others)]
        )
    )
    failed = False
    for name in given.cases or CASES:
        medians, failures = measure(CASES[name], engines, max(3, given.rounds // 3) if name in SLOW else given.rounds)
        cells = [f"{medians[e.name]:12.1f}" if e.name in medians else f"{'failed':>12}" for e in engines]
        for e in others:
            known = first.name in medians and e.name in medians
            cells.append(f"{medians[first.name] / medians[e.name]:16.2f}" if known else f"{'':16}")
        print("".join([f"{name:16}", *cells]), flush=True)
        for failure in failures:
            print(f"  {failure}")
        failed = failed or bool(failures)
    tell_memory(pids, "after")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
