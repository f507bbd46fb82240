"""Putting processes into control groups, sooner.

The kernel takes a lock for it (cgroup_threadgroup_rwsem) whose first writer waits for an RCU grace period: 5 to 15 ms,
more than all else of an exec. Whoever comes within some milliseconds after it does not wait. So a thread takes that lock
as soon as a start or an exec is asked for, and again and again for a second, since starts and execs come in groups: the
runtime finds it ready. Measured in docs/performance.md.
"""

from __future__ import annotations

import logging
import threading
import time

from naru.linux.host import CGROUP_ROOT, Host

log = logging.getLogger(__name__)
_AGAIN_S = 0.008  # a taken lock stays ready for at least a grace period more
_KEPT_S = 1.0


class Moves:
    """Call `prepare` when a process is going to be moved soon: it returns at once. `close` ends the thread."""

    def __init__(self, host: Host) -> None:
        self._path = _own_group(host)
        self._wanted = threading.Event()
        self._kept_until_s = 0.0
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="naru-cgroup-moves", daemon=True)
        self._thread.start()

    def prepare(self) -> None:
        self._kept_until_s = time.monotonic() + _KEPT_S
        self._wanted.set()

    def close(self) -> None:
        self._closed = True
        self._wanted.set()
        self._thread.join()

    def _serve(self) -> None:
        if not self._path:
            return
        try:
            with open(self._path, "wb", buffering=0) as file:
                while self._wanted.wait() and not self._closed:
                    self._wanted.clear()
                    while time.monotonic() < self._kept_until_s and not self._closed:
                        file.write(b"0")  # ourselves, to where we are: nothing changes
                        time.sleep(_AGAIN_S)
        except OSError as error:
            log.info("no preparation of moves between cgroups: %s: %s", self._path, error.strerror)


def _own_group(host: Host) -> str:
    """Path of cgroup.procs of the group that we are in; "" if it cannot be told. See cgroups(7), /proc/<pid>/cgroup."""
    with open("/proc/self/cgroup") as file:
        for line in file:
            _, controllers, group = line.rstrip("\n").split(":", 2)
            if host.cgroup_version == 2 and not controllers:
                return f"{CGROUP_ROOT}{group.rstrip('/')}/cgroup.procs"
            if host.cgroup_version == 1 and "pids" in controllers.split(","):
                return f"{CGROUP_ROOT}/pids{group.rstrip('/')}/cgroup.procs"
    return ""
