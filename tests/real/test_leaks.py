"""The audit of bench/leaks.py in short: nothing is left of runs and execs, failing ones and abandoned ones among them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.mark.parametrize("patience", [150], indirect=True)
def test_nothing_is_left(make_daemon: Callable[..., Any], patience: None) -> None:
    spec = importlib.util.spec_from_file_location("leaks", Path(__file__).parents[2] / "bench" / "leaks.py")
    assert spec is not None and spec.loader is not None
    leaks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(leaks)
    daemon = make_daemon()
    daemon.start()
    daemon.import_busybox()
    assert leaks.audit(daemon, runs=32, execs=100, clients=8) == []
