"""Containers and their logs: where they are, how much of them is kept, and when a run begins and ends."""

from __future__ import annotations

import logging

from naru.containers.owner import Owner
from naru.containers.records import Container
from naru.containers.surroundings import Surroundings
from naru.errors import Unsupported
from naru.logs.destination import Destination
from naru.logs.drivers import SHIPPING
from naru.logs.files import LogFiles
from naru.logs.live import Live
from naru.logs.options import is_readable, policy
from naru.logs.service import Logs
from naru.logs.shipping import is_behind
from naru.logs.values import Source

log = logging.getLogger(__name__)


class LogKeeping:
    def __init__(self, around: Surroundings, logs: Logs) -> None:
        self._around = around
        self._logs = logs

    def begin(self, owner: Owner) -> None:
        record, around = owner.record, self._around
        if (path := around.log_path(record)) is not None:
            control = f"{around.runtime.bundle(record.id)}/ctl"
            destination = self._destination(record)
            self._logs.begin(record.id, LogFiles(path), policy(record.host.log_config), control, destination)

    def resume(self) -> None:
        """What containers that have ended had printed and no daemon had shipped yet."""
        for owner in self._around.owners.values():
            record = owner.record
            path = self._around.log_path(record)
            if path is None or record.host.log_config.type not in SHIPPING or record.state.status.is_live:
                continue
            if is_behind(LogFiles(path)) and (destination := self._destination(record)) is not None:
                self._logs.ship(record.id, LogFiles(path), destination)

    def _destination(self, record: Container) -> Destination | None:
        """Where its log goes besides the files; None for nowhere else."""
        config = record.host.log_config
        if (driver := SHIPPING.get(config.type)) is None:
            return None
        try:
            return driver.open(config.config or {}, source_of(record, self._around.host.name))
        except (ValueError, OSError) as error:  # files of a key, say, that were there when it was created
            log.error("container %s: its log cannot be shipped: %s", record.id[:12], error)
            return None

    def end(self, owner: Owner) -> None:
        self._logs.end(owner.record.id)

    def live(self, record: Container) -> Live | None:
        return self._logs.live(record.id)

    def files(self, record: Container) -> LogFiles:
        """Raises Unsupported for a log that cannot be read."""
        path = self._around.log_path(record)
        if path is None or not is_readable(record.host.log_config):
            raise Unsupported("configured logging driver does not support reading")
        return LogFiles(path)


def source_of(record: Container, host: str = "") -> Source:
    entrypoint, *arguments = record.argv or ("",)
    return Source(
        id=record.id, name=record.name, image_id=record.image_id, image_name=record.config.image, entrypoint=entrypoint,
        arguments=tuple(arguments), created_ns=record.created_ns, env=tuple(record.config.env or ()),
        labels=record.config.labels or {}, host=host,
    )  # fmt: skip
