"""Which containers a list shows, and how: Docker's filters (Engine API, ContainerList)."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterable
from typing import Any

from naru.api.convert import list_json, network_settings
from naru.api.parameters import Filters, Version
from naru.containers.engine import Engine
from naru.containers.records import Container, Status
from naru.containers.validate import parse_port
from naru.errors import Internal, InvalidArgument, NaruError
from naru.wire.filters import has_labels

FILTERS = (
    "ancestor", "before", "exited", "expose", "health", "id", "is-task", "isolation", "label", "name", "network", "publish",
    "since", "status", "volume",
)  # fmt: skip
Test = Callable[[Container], bool]


def select(engine: Engine, filters: Filters, *, everything: bool) -> list[Container]:
    """Matching records, newest first; without `everything` only those that live."""
    tests = [test for key, values in filters.items() for test in _TESTS[key](engine, values)]
    return [
        record
        for record in engine.containers.all()
        if (everything or record.state.status.is_live or record.state.status is Status.RESTARTING)
        and all(test(record) for test in tests)
    ]


async def rows(engine: Engine, records: Iterable[Container], version: Version, *, size: bool) -> list[dict[str, Any]]:
    """Containers as `GET /containers/json` shows them; `size` walks the files of each."""
    network_ids, now_ns = engine.networking.network_ids(), time.time_ns()
    links = engine.networking.linked_names(engine.containers.all())
    images: dict[tuple[str, str], str] = {}  # many containers stand on few images
    out = []
    for record in records:
        image = (record.config.image, record.image_id)
        if image not in images:
            images[image] = engine.shown_image(record)
        out.append(
            list_json(
                record, settings=network_settings(record, engine.networking.endpoints(record.id), network_ids, version),
                health=engine.health(record), now_ns=now_ns, image=images[image], version=version,
                size=await asyncio.to_thread(engine.sizes, record) if size else None, links=links.get(record.id, ()),
            )
        )  # fmt: skip
    return out


def _status(engine: Engine, values: list[str]) -> Iterable[Test]:
    known = [status.value for status in (Status.CREATED, Status.RUNNING, Status.PAUSED, Status.RESTARTING, Status.REMOVING, Status.EXITED, Status.DEAD)]  # fmt: skip
    for value in values:
        if value not in known:
            raise InvalidArgument(
                f"invalid filter 'status={value}': invalid value for state ({value}): must be one of {', '.join(known)}"
            )
    yield lambda record: record.state.status.value in values


def _exited(engine: Engine, values: list[str]) -> Iterable[Test]:
    for value in values:
        if not re.fullmatch(r"-?\d+", value):
            raise InvalidArgument(f"invalid filter 'exited={value}': strconv.Atoi: parsing \"{value}\": invalid syntax")
    codes = {int(value) for value in values}
    yield (
        lambda record: (
            record.state.exit_code in codes and not record.state.status.is_live and record.state.finished_ns > 0
        )
    )


def _name(engine: Engine, values: list[str]) -> Iterable[Test]:
    def matches(record: Container) -> bool:
        for value in values:
            for shown in (record.name, f"/{record.name}"):
                try:
                    if value == shown or re.search(value, shown):
                        return True
                except re.error:
                    if value in shown:
                        return True
        return False

    yield matches


def _id(engine: Engine, values: list[str]) -> Iterable[Test]:
    yield lambda record: any(record.id.startswith(value) for value in values)


def _label(engine: Engine, values: list[str]) -> Iterable[Test]:
    yield lambda record: has_labels(record.config.labels or {}, values)


def _ancestor(engine: Engine, values: list[str]) -> Iterable[Test]:
    ids: set[str] = set()
    for value in values:
        try:
            ids.add(str(engine.images.resolve(value).id))
        except NaruError:
            continue  # an image that is not there is nobody's ancestor
    yield lambda record: record.image_id in ids or record.config.image in values


def _reference(engine: Engine, values: list[str]) -> list[Container]:
    return [engine.containers.find(value).record for value in values]


def _before(engine: Engine, values: list[str]) -> Iterable[Test]:
    limit = min(record.created_ns for record in _reference(engine, values))
    yield lambda record: record.created_ns < limit


def _since(engine: Engine, values: list[str]) -> Iterable[Test]:
    limit = max(record.created_ns for record in _reference(engine, values))
    yield lambda record: record.created_ns > limit


def _network(engine: Engine, values: list[str]) -> Iterable[Test]:
    ids = engine.networking.network_ids()

    def matches(record: Container) -> bool:
        return any(
            name in values or any(ids.get(name, "").startswith(v) for v in values if v) for name in record.networks
        )

    yield matches


def _volume(engine: Engine, values: list[str]) -> Iterable[Test]:
    yield lambda record: any(mount.name in values or mount.destination in values for mount in record.mounts)


def _health(engine: Engine, values: list[str]) -> Iterable[Test]:
    for value in values:
        if value not in ("none", "starting", "healthy", "unhealthy"):
            raise InvalidArgument(
                f"invalid filter 'health={value}': invalid value for health ({value}): must be one of none, starting, healthy, unhealthy"
            )
    yield lambda record: (health.status if (health := engine.health(record)) else "none") in values


def _ports(key: str, values: list[str]) -> set[tuple[int, str]]:
    """`80`, `80/udp`, `70-90/tcp`. Raises Internal: to Docker it is no fault of the client's."""
    wanted = set()
    for value in values:
        if ":" in value:
            raise Internal(f"filter for '{key}' should not contain ':': {value}")
        span, _, protocol = value.partition("/")
        start, _, end = span.partition("-")
        try:
            low = _port("start", start)
            high = _port("end", end) if end else low
        except InvalidArgument as error:
            raise Internal(f"error while looking up for {key} {value}: {error}") from error
        if high < low:
            raise Internal(f"error while looking up for {key} {value}: invalid port range: {value}")
        wanted |= {(number, protocol.lower() or "tcp") for number in range(low, high + 1)}
    return wanted


def _port(which: str, text: str) -> int:
    """Raises InvalidArgument in the words of Go's strconv."""
    if not re.fullmatch("[0-9]+", text):
        raise InvalidArgument(f"invalid {which} port '{text}': {'invalid syntax' if text else 'value is empty'}")
    if int(text) > 65535:
        raise InvalidArgument(f"invalid {which} port '{text}': value out of range")
    return int(text)


def _expose(engine: Engine, values: list[str]) -> Iterable[Test]:
    wanted = _ports("expose", values)
    yield lambda record: any(parse_port(port) in wanted for port in record.config.exposed_ports or {})


def _publish(engine: Engine, values: list[str]) -> Iterable[Test]:
    wanted = _ports("publish", values)

    def matches(record: Container) -> bool:
        bindings = [port for endpoint in engine.networking.endpoints(record.id).values() for port in endpoint.ports]
        return any((b.host_port, b.proto) in wanted or (b.container_port, b.proto) in wanted for b in bindings)

    yield matches


def _is_task(engine: Engine, values: list[str]) -> Iterable[Test]:
    """None is one of a swarm."""
    wanted = {value in ("1", "true") for value in values if value in ("0", "1", "false", "true")}
    if len(wanted) != 1:
        raise InvalidArgument(
            f"invalid filter 'is-task=[{' '.join(values)}]'" if values else "invalid filter 'is-task'"
        )
    yield lambda record: False in wanted


def _isolation(engine: Engine, values: list[str]) -> Iterable[Test]:
    return ()


_TESTS: dict[str, Callable[[Engine, list[str]], Iterable[Test]]] = {
    "status": _status, "exited": _exited, "name": _name, "id": _id, "label": _label, "ancestor": _ancestor, "before": _before,
    "since": _since, "network": _network, "volume": _volume, "health": _health, "expose": _expose, "publish": _publish,
    "is-task": _is_task, "isolation": _isolation,
}  # fmt: skip
