"""Containers and their logs: where they are, how much of them is kept, and when a run begins and ends."""

from __future__ import annotations

from naru.containers.owner import Owner
from naru.containers.records import Container
from naru.containers.surroundings import Surroundings
from naru.errors import Unsupported
from naru.logs.files import LogFiles
from naru.logs.live import Live
from naru.logs.options import is_readable, policy
from naru.logs.service import Logs
from naru.logs.values import Source


class LogKeeping:
    def __init__(self, around: Surroundings, logs: Logs) -> None:
        self._around = around
        self._logs = logs

    def begin(self, owner: Owner) -> None:
        record, around = owner.record, self._around
        if (path := around.log_path(record)) is not None:
            control = f"{around.runtime.bundle(record.id)}/ctl"
            self._logs.begin(record.id, LogFiles(path), policy(record.host.log_config), control)

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
