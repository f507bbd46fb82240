#!/usr/bin/env python
"""Does a daemon keep anything of what has come and gone? bench/leaks.py [--runs N] [--execs M] [--clients C]

A daemon with roots, bridge and cgroups of its own gets N `run --rm` and M execs (plain, failing, with a terminal, and with clients
that are killed) from C clients; then everything that it has on the host is counted and compared with before: mounts, network
namespaces, interfaces, cgroups, processes, firewall elements, addresses and ports in use, descriptors, threads, asyncio tasks,
and its memory per exec. Exit code 1 if anything is left. Needs root; about 25 runs and 60 execs a second on two cores.
"""

from __future__ import annotations

import argparse
import gc
import os
import re
import signal
import socket
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from itertools import combinations
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "real"))

import docker
from docker.errors import APIError
from realdaemon import Daemon

from naru.linux.netlink import Netlink
from naru.linux.nft import Nft

SLOPE_BYTES = 100  # per exec
WARM_EXECS = 256  # what the daemon remembers of ended execs is no leak
SETTLE_S = 5.0
PORTIONS = 10  # of the execs, after each of which memory is looked at
POOL_THREADS = (
    min(32, (os.cpu_count() or 1) + 4) + 6
)  # asyncio's grows as it is needed; the others are the daemon's own


def counts(daemon: Daemon) -> dict[str, int]:
    """What the daemon has on this host, by kind."""
    proc = f"/proc/{daemon.pid}"
    with open("/proc/self/mounts") as file:
        mounts = sum(daemon.path in line for line in file)
    with open(f"{proc}/mountinfo") as file:
        own_mounts = sum(1 for _ in file)
    with Netlink() as host:
        links = host.links()
    bridge = next((link.index for link in links if link.name == daemon.bridge), -1)
    with Nft() as nft:
        elements = len(re.findall(r"[,{]\s", nft.run(f"list table inet naru-{daemon.bridge}")))
    namespaces = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError):
                namespaces.add(os.readlink(f"/proc/{entry}/ns/net"))
    return {
        "mounts": mounts, "mounts of the daemon": own_mounts, "interfaces": sum(link.master == bridge for link in links),
        "cgroups": len(daemon.cgroups()), "processes": len(daemon.processes()), "firewall elements": elements,
        "descriptors": len(os.listdir(f"{proc}/fd")), "threads": len(os.listdir(f"{proc}/task")),
        "tasks": tasks(daemon), "files in exec root": files(daemon.exec_root), "files in data root": files(daemon.data_root),
        "endpoints": len(json_of(daemon, "/networks/bridge").get("Containers") or {}),
    }  # fmt: skip


def tasks(daemon: Daemon) -> int:
    """SIGUSR1 has the daemon write to its log how many there are."""
    before = len(re.findall(r"asyncio tasks: \d+", daemon.log()))
    os.kill(daemon.pid, signal.SIGUSR1)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        found = re.findall(r"asyncio tasks: (\d+)", daemon.log())
        if len(found) > before:
            return int(found[-1])
        time.sleep(0.02)
    return -1


def descriptors(daemon: Daemon) -> Counter[str]:
    """By kind: `socket`, `pipe`, `anon_inode:[pidfd]`, a path."""
    found: Counter[str] = Counter()
    folder = f"/proc/{daemon.pid}/fd"
    for name in os.listdir(folder):
        with suppress(OSError):
            target = os.readlink(f"{folder}/{name}")
            found[target if target.startswith(("anon", "/")) else target.partition(":")[0]] += 1
    return found


def files(root: str) -> int:
    return sum(len(names) for folder, _, names in os.walk(root) if "/trash" not in folder)


def json_of(daemon: Daemon, path: str) -> dict[str, object]:
    with closing(docker.APIClient(base_url=daemon.url, version="1.56", timeout=20)) as api:
        found: dict[str, object] = api._result(api._get(api._url(path)), json=True)
        return found


def rss_bytes(daemon: Daemon) -> int:
    with open(f"/proc/{daemon.pid}/smaps_rollup") as file:
        return int(re.search(r"Private_Dirty:\s+(\d+)", file.read())[1]) << 10  # type: ignore[index]


# -- the work -----------------------------------------------------------------------------------------------------------


def run(daemon: Daemon, number: int) -> None:
    """`docker run --rm -p 80`: create, start, wait; one in four cannot be started."""
    command = [["true"], ["sh", "-c", "echo out; exit 3"], ["nosuch"], ["sh", "-c", "yes | head -c 200000"]][number % 4]
    with closing(docker.APIClient(base_url=daemon.url, version="1.56", timeout=60)) as api:
        host = api.create_host_config(auto_remove=True, port_bindings={80: None})
        id = api.create_container("busybox", command, tty=number % 8 == 1, ports=[80], host_config=host)["Id"]
        with suppress(APIError):
            api.start(id)
            api.wait(id, condition="removed")


def execute(daemon: Daemon, target: str, number: int) -> None:
    with closing(docker.APIClient(base_url=daemon.url, version="1.56", timeout=60)) as api:
        kind = number % 5
        command = {0: ["true"], 1: ["nosuch"], 2: ["echo", "x"], 3: ["sh", "-c", "exit 4"], 4: ["sleep", "30"]}[kind]
        with suppress(APIError):
            id = api.exec_create(target, command, tty=kind == 2, stdin=kind == 4)["Id"]
            if kind == 4:
                hang_up(daemon, id)
            else:
                api.exec_start(id)


def hang_up(daemon: Daemon, id: str) -> None:
    """A client that is killed while its exec runs."""
    body = b'{"Detach":false}'
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(daemon.socket)
        head = f"POST /v1.56/exec/{id}/start HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
        sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        sock.recv(4096)


def spread(clients: int, total: int, work: Callable[[int], None]) -> float:
    """The work, so many times by so many threads; seconds that it took."""
    numbers, lock = iter(range(total)), threading.Lock()

    def loop() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            work(number)

    began = time.monotonic()
    threads = [threading.Thread(target=loop) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.monotonic() - began


def trend(sizes: Sequence[int]) -> float:
    """The median of the slopes between any two (Theil-Sen): allocators work in arenas, and one step more or less says nothing."""
    pairs = combinations(enumerate(sizes), 2)
    return statistics.median((later - earlier) / (j - i) for (i, earlier), (j, later) in pairs)


def settled(daemon: Daemon, before: Mapping[str, int]) -> dict[str, int]:
    """The counts, once they are those of before, or after some seconds."""
    deadline = time.monotonic() + SETTLE_S
    while (now := counts(daemon)) != before and time.monotonic() < deadline:
        time.sleep(0.2)
    return now


def audit(daemon: Daemon, *, runs: int, execs: int, clients: int) -> list[str]:
    """What was left, in words. The daemon runs and has busybox."""
    target = daemon.client.containers.run("busybox", ["sleep", "86400"], detach=True)
    for round_ in range(8):  # caches, threads of the pool, first allocations
        run(daemon, round_)
        execute(daemon, target.id, round_)
    spread(clients, WARM_EXECS + 2 * clients, lambda number: execute(daemon, target.id, number))
    spread(clients, 2 * clients, lambda number: run(daemon, number))
    gc.collect()
    time.sleep(2)  # ended root file systems are held for a second
    before, open_before = counts(daemon), descriptors(daemon)
    run_s = spread(clients, runs, lambda number: run(daemon, number))
    exec_s, memory = 0.0, [rss_bytes(daemon)]
    for _ in range(PORTIONS):
        exec_s += spread(clients, execs // PORTIONS, lambda number: execute(daemon, target.id, number))
        time.sleep(0.5)
        memory.append(rss_bytes(daemon))
    gc.collect()  # docker-py's sockets
    now = settled(daemon, before)
    slope = trend(memory[PORTIONS // 2 :]) / max(1, execs // PORTIONS)
    print(f"{runs} runs in {run_s:.1f} s, {execs} execs in {exec_s:.1f} s; memory {' '.join(str(size >> 10) for size in memory)} KiB: "
          f"{slope:.0f} bytes an exec over the later half", flush=True)  # fmt: skip
    found = []
    before["threads"] = max(before["threads"], POOL_THREADS)
    for what, count in before.items():
        mark = "" if now[what] <= count else "  <-- left"
        print(f"{what:22} {count:6} {now[what]:6}{mark}")
        if now[what] > count:
            found.append(f"{what}: {count} before, {now[what]} after")
    if now["descriptors"] > before["descriptors"]:
        print(f"descriptors: {dict(descriptors(daemon) - open_before)}")
    if slope > SLOPE_BYTES and execs >= 2000:  # allocators work in arenas: less says nothing
        found.append(f"memory: {slope:.0f} bytes an exec")
    if json_of(daemon, f"/containers/{target.id}/json").get("ExecIDs"):
        found.append("ExecIDs is not empty")
    target.remove(force=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--execs", type=int, default=500)
    parser.add_argument("--clients", type=int, default=16)
    given = parser.parse_args()
    daemon = Daemon()
    try:
        daemon.start()
        daemon.import_busybox()
        found = audit(daemon, runs=given.runs, execs=given.execs, clients=given.clients)
    finally:
        daemon.destroy()
    for line in found:
        print(f"leak: {line}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
