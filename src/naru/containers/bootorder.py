"""Which containers wait for which when the daemon brings them up: Compose's `depends_on`, read from its labels. Pure.

Compose itself orders only what it starts. It leaves the dependencies of a service in a label of each container,
`db:service_healthy:false,cache:service_started:true`, and names project and service in two others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from naru.containers.records import Container, Status

_PREFIX = "com.docker.compose."
STARTED, HEALTHY, COMPLETED = "service_started", "service_healthy", "service_completed_successfully"
_CONDITIONS = (STARTED, HEALTHY, COMPLETED)


@dataclass(frozen=True, slots=True)
class Wait:
    id: str  # of the container that is waited for
    condition: str


def dependencies(labels: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(service, condition) of each; an unknown condition counts as `service_started`, what makes no sense as nothing."""
    for entry in labels.get(f"{_PREFIX}depends_on", "").split(","):
        service, _, rest = entry.strip().partition(":")
        condition = rest.partition(":")[0]
        if service:
            yield service, condition if condition in _CONDITIONS else STARTED


def plan(records: Sequence[Container], due: Collection[str]) -> dict[str, tuple[Wait, ...]]:
    """For each container that is due: those of the services it depends on, in the order of the label. Where they depend on
    each other in a circle, one of them does not wait: which one, is the same every time."""
    members: dict[tuple[str, str], list[str]] = {}
    for record in records:
        labels = record.config.labels or {}
        service = labels.get(f"{_PREFIX}service", "")
        if service and labels.get(f"{_PREFIX}oneoff", "False") != "True":  # `compose run` is nobody's dependency
            members.setdefault((labels.get(f"{_PREFIX}project", ""), service), []).append(record.id)
    wanted: dict[str, list[Wait]] = {}
    for record in sorted(records, key=lambda record: (record.created_ns, record.id)):
        if record.id in due:
            labels = record.config.labels or {}
            project = labels.get(f"{_PREFIX}project", "")
            wanted[record.id] = [
                Wait(id, condition)
                for service, condition in dependencies(labels)
                for id in sorted(members.get((project, service), ()))
                if id != record.id
            ]
    return _without_circles(wanted)


def _without_circles(wanted: Mapping[str, list[Wait]]) -> dict[str, tuple[Wait, ...]]:
    """Depth first: a wait for one that is waiting for us, however far off, is left out."""
    out: dict[str, tuple[Wait, ...]] = {}
    for first in wanted:
        path: dict[str, list[Wait]] = {}  # those under way, with what is kept of their waits
        stack = [(first, iter(wanted[first]))] if first not in out else []
        if stack:
            path[first] = []
        while stack:
            id, waits = stack[-1]
            wait = next(waits, None)
            if wait is None:
                stack.pop()
                out[id] = tuple(path.pop(id))
            elif wait.id not in path:
                path[id].append(wait)
                if wait.id in wanted and wait.id not in out:
                    path[wait.id] = []
                    stack.append((wait.id, iter(wanted[wait.id])))
    return out


def verdict(condition: str, record: Container, health: str | None) -> bool | None:
    """Whether a container that has been started, or was not to be, is what is waited for: True, not yet (None), or never (False).

    `health` is None for one without a check, which is as healthy as it will be once it runs.
    """
    status = record.state.status
    if condition == STARTED:
        return True
    if status is Status.RESTARTING:
        return None
    if condition == HEALTHY:
        return (True if health in (None, "healthy") else None) if status.is_live else False
    return None if status.is_live else status is Status.EXITED and record.state.exit_code == 0
