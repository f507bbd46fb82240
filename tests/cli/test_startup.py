"""Start-up is a feature: what the fast verbs import is counted, for counts are the same on a slow and a busy machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from played import NO_CONTENT, UPGRADED, Played, chunked, json_answer

SOURCE = Path(__file__).parent.parent.parent / "src"
SLOW = {
    "argparse", "asyncio", "collections", "contextlib", "dataclasses", "datetime", "enum", "functools", "hashlib", "http",
    "inspect", "json", "logging", "pathlib", "re", "shutil", "signal", "socket", "ssl", "subprocess", "tempfile", "threading",
    "typing", "urllib", "weakref", "aiohttp", "msgspec",
}  # fmt: skip

VERBS = [
    (["ps"], [[json_answer("[]")]]),
    (["ps", "--format", "{{.ID}}"], [[json_answer("[]")]]),
    (["images"], [[json_answer("[]")]]),
    (["stop", "x"], [[NO_CONTENT]]),
    (["inspect", "x"], [[json_answer("{}")]]),
    (["--help"], []),
    (["run", "-d", "x"], [[json_answer('{"Id":"1"}'), NO_CONTENT]]),
    (
        ["run", "--rm", "x"],
        [
            [json_answer('{"Id":"1"}'), lambda connection: connection.sendall(UPGRADED)],
            [chunked(b'{"StatusCode":0}')],
            [NO_CONTENT],
        ],
    ),
    (
        ["exec", "x", "true"],
        [[json_answer('{"Id":"1"}'), lambda c: c.sendall(UPGRADED)], [json_answer('{"ExitCode":0}')]],
    ),
]


@pytest.mark.parametrize(("argv", "connections"), VERBS, ids=[" ".join(argv) for argv, _ in VERBS])
def test_imports(
    argv: list[str], connections: list[list[bytes]], daemon: Callable[..., Played], tmp_path: Path
) -> None:
    code = (
        f"import sys, os; sys.path.insert(0, {str(SOURCE)!r}); from naru.cli.main import main; code = main(sys.argv[1:]); "
        "sys.stdout.flush(); os.write(2, ' '.join(sys.modules).encode()); os._exit(code)"
    )
    environment = {"DOCKER_HOST": daemon(*connections).host, "DOCKER_CONFIG": str(tmp_path), "PATH": os.environ["PATH"]}
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, *argv], env=environment, capture_output=True, check=False, timeout=10
    )
    assert ended.returncode == 0, ended.stderr
    modules = set(ended.stderr.decode().split())
    assert not modules & SLOW
    assert len(modules) < 75
