"""The daemon's own log as dockerd writes it: `time="…" level=info msg="…" key=value`, or one JSON object a line.

A record's fields come from `extra={"fields": {…}}`; an exception adds `error` (its last line) and `stack`. Times are UTC
with nine digits of fraction, RFC 3339.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Mapping
from typing import Any

from naru.daemon.config import Config

LEVELS = {
    "debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR, "fatal": logging.CRITICAL,
}  # fmt: skip
_NAMES = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "fatal"}
_PLAIN = re.compile(r"[a-zA-Z0-9\-._/@^+]+")  # what logrus leaves unquoted


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Everything a line says but its time, level and message."""
    out: dict[str, Any] = dict(getattr(record, "fields", {}))
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        out.setdefault("error", f"{type(error).__name__}: {error}")
        out["stack"] = logging.Formatter().formatException(record.exc_info)
    if record.levelno <= logging.DEBUG or not record.name.startswith("naru"):
        out["module"] = record.name
    return out


def timestamp(seconds: float) -> str:
    ns = int(seconds * 1e9)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ns // 1_000_000_000))
    return f"{whole}.{ns % 1_000_000_000:09d}Z"


def level_name(number: int) -> str:
    return _NAMES.get(number // 10 * 10, "info")


def _quoted(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        head = (
            f'time="{timestamp(record.created)}" level={level_name(record.levelno)} msg={_quoted(record.getMessage())}'
        )
        return " ".join([head, *(f"{key}={_quoted(value)}" for key, value in sorted(fields_of(record).items()))])


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: Mapping[str, Any] = {
            **fields_of(record), "level": level_name(record.levelno), "msg": record.getMessage(), "time": timestamp(record.created),
        }  # fmt: skip
        return json.dumps(line, ensure_ascii=False, sort_keys=True, default=str)


def set_level(config: Config) -> None:
    logging.getLogger().setLevel(LEVELS["debug" if config.debug else config.log_level])


def configure(config: Config) -> None:
    """Everything that is logged goes to stderr in the form that the configuration names."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if config.log_format == "json" else TextFormatter())
    logging.basicConfig(handlers=[handler], force=True)
    set_level(config)
    logging.getLogger("asyncio").setLevel(logging.INFO)  # its debug lines are about the event loop itself
