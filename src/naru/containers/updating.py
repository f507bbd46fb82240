"""New limits of a container that runs: the runtime writes them to its cgroup."""

from __future__ import annotations

from naru.containers.devices import limited
from naru.containers.monitor import RuntimeFailure
from naru.containers.records import Container
from naru.containers.resources import resources
from naru.containers.surroundings import Surroundings
from naru.errors import Internal

_NO_PIDS_LIMIT = {"limit": -1}


async def apply_limits(around: Surroundings, changed: Container) -> None:
    """Raises Internal in the runtime's words; then the old limits stand."""
    limits = resources(changed, around.host.cgroup_version, lift=True, numbers=limited(changed.host))
    lifted = limits.get("pids") == _NO_PIDS_LIMIT
    if lifted:  # crun 1.8 cannot say so to the kernel
        del limits["pids"]
    try:
        await around.runtime.update(changed.id, limits)
        if lifted:
            around.cgroup(changed).lift_pids_limit()
    except (RuntimeFailure, OSError) as error:
        raise Internal(f"Cannot update container {changed.id}: {error}") from error
