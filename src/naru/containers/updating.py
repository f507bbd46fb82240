"""New limits of a container that runs: the runtime writes them to its cgroup."""

from __future__ import annotations

from naru.containers.devices import limited
from naru.containers.monitor import RuntimeFailure
from naru.containers.records import Container
from naru.containers.resources import resources
from naru.containers.surroundings import Surroundings
from naru.errors import Internal


async def apply_limits(around: Surroundings, changed: Container) -> None:
    """Raises Internal in the runtime's words; then the old limits stand."""
    limits = resources(changed, around.host.cgroup_version, lift=True, numbers=limited(changed.host))
    try:
        await around.runtime.update(changed.id, limits)
    except RuntimeFailure as error:
        raise Internal(f"Cannot update container {changed.id}: {error}") from error
