"""Resource limits of other processes (prlimit(2)): for those who may not raise their own, being root in a user namespace only."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable

Rlimit = tuple[int, int, int]  # number, soft, hard; -1 is unlimited


def impose(pid: int, limits: Iterable[Rlimit], oom_score_adj: int) -> None:
    """Raises OSError (ProcessLookupError if it has ended)."""
    for number, soft, hard in limits:
        try:
            resource.prlimit(pid, number, (soft, hard))
        except PermissionError as error:
            raise PermissionError(
                error.errno, f"error setting rlimit type {number}: {os.strerror(1).lower()}"
            ) from error
    fd = os.open(f"/proc/{pid}/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, str(oom_score_adj).encode())
    finally:
        os.close(fd)


def allow(pid: int, limits: Iterable[Rlimit]) -> None:
    """Raise its hard limits, where they are lower, so that it can give itself these. Raises OSError."""
    for number, _, hard in limits:
        soft_now, hard_now = resource.prlimit(pid, number)
        if hard_now != resource.RLIM_INFINITY and (hard < 0 or hard > hard_now):
            resource.prlimit(pid, number, (soft_now, hard))
