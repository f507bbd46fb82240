"""Lines of the log, as dockerd writes them."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

from naru.daemon.logs import JsonFormatter, TextFormatter, timestamp


def record(message: str, level: int = logging.INFO, name: str = "naru.daemon", **fields: Any) -> logging.LogRecord:
    made = logging.LogRecord(name, level, "x.py", 1, message, (), None)
    made.created = 1795639469.5
    if fields:
        made.fields = fields
    return made


def test_text() -> None:
    line = TextFormatter().format(record("Got signal", config_file="/etc/x.json", words="a b"))
    assert (
        line == 'time="2026-11-25T20:44:29.500000000Z" level=info msg="Got signal" config_file=/etc/x.json words="a b"'
    )


def test_a_message_of_several_lines_stays_one_line() -> None:
    line = TextFormatter().format(record('a "quoted"\nline\x1b[31m', logging.WARNING))
    assert line.endswith('level=warning msg="a \\"quoted\\"\\nline\\u001b[31m"') and "\n" not in line


def test_json() -> None:
    line = JsonFormatter().format(record("Got signal", logging.ERROR, pid=7))
    assert json.loads(line) == {
        "level": "error", "msg": "Got signal", "pid": 7, "time": "2026-11-25T20:44:29.500000000Z",
    }  # fmt: skip


def test_exceptions_have_their_stack_and_strangers_their_name() -> None:
    made = record("failed", logging.ERROR, name="asyncio")
    try:
        raise KeyError("x")
    except KeyError:
        made.exc_info = sys.exc_info()
    for formatter in (TextFormatter(), JsonFormatter()):
        line = formatter.format(made)
        assert "Traceback" in line and "KeyError: 'x'" in line and "asyncio" in line and "\n" not in line


def test_times_are_utc() -> None:
    assert timestamp(0.25) == "1970-01-01T00:00:00.250000000Z"
