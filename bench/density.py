#!/usr/bin/env python
"""Many containers at once: bench/density.py [--containers N]

A daemon with roots, bridge and cgroups of its own runs N sleeping containers. Told are the time of `GET /containers/json` (median and
99th percentile of 200), the memory of the daemon (PSS), what one more container costs in memory (PSS of its monitor, and the
growth of the daemon), and the time until a new daemon has taken all of them up after kill -9. Needs root.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "real"))

from realdaemon import Daemon, serving


def pss_kib(pid: int) -> int:
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))


def monitors(daemon: Daemon) -> list[int]:
    return [pid for pid, line in daemon.processes().items() if "/conmon " in line]


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--containers", type=int, default=500)
    count = arguments.parse_args().containers
    with serving(Daemon()) as daemon:
        client = daemon.client
        client.containers.run("busybox", ["true"], remove=True)
        idle_kib = pss_kib(daemon.pid)
        began = time.monotonic()
        with ThreadPoolExecutor(8) as clients:
            list(clients.map(lambda _: client.containers.run("busybox", ["sleep", "3600"], detach=True), range(count)))
        print(f"{count} containers started in {time.monotonic() - began:.1f} s")
        times_ms = []
        for _ in range(200):
            began = time.perf_counter()
            assert len(client.api.containers()) == count
            times_ms.append((time.perf_counter() - began) * 1000)
        times_ms.sort()
        print(f"ps: median {statistics.median(times_ms):.1f} ms, 99th percentile {times_ms[197]:.1f} ms")
        full_kib = pss_kib(daemon.pid)
        each_kib = sum(map(pss_kib, monitors(daemon))) / count
        print(f"daemon: {idle_kib / 1024:.1f} MiB idle, {full_kib / 1024:.1f} MiB full (PSS)")
        print(
            f"each container: monitor {each_kib / 1024:.2f} MiB, daemon {(full_kib - idle_kib) / count / 1024:.2f} MiB"
        )
        daemon.kill()
        print(
            f"a new daemon is ready after {daemon.start():.1f} s, and has {len(daemon.client.containers.list())} of them"
        )
    return 0


if __name__ == "__main__":
    os.environ.setdefault("DOCKER_CONFIG", "/nonexistent")
    sys.exit(main())
