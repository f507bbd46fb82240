from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "client"))  # for `played`, the recorded daemon

from played import Answer, Played

from naru.cli.grammar import Args, Grammar, parse
from naru.cli.main import load

SOURCE = Path(__file__).parent.parent.parent / "src"


class Ended:
    def __init__(self, process: subprocess.CompletedProcess[bytes]) -> None:
        self.code, self.out, self.err = process.returncode, process.stdout.decode(), process.stderr.decode()


@pytest.fixture
def naru(tmp_path: Path) -> Callable[..., Ended]:
    """naru("ps", "-a", stdin=b"…", host="unix://…") → exit code, out, err of the real command, in a process of its own."""

    def run(
        *argv: str, stdin: bytes = b"", host: str = "unix:///nowhere", config: Path = tmp_path, **environment: str
    ) -> Ended:
        variables = {
            "PATH": os.environ["PATH"], "DOCKER_HOST": host, "DOCKER_CONFIG": str(config), "TZ": "UTC", **environment,
        }  # fmt: skip
        command = [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import sys; sys.path.insert(0, {str(SOURCE)!r}); from naru.__main__ import main; main()",
        ]
        return Ended(
            subprocess.run([*command, *argv], input=stdin, capture_output=True, env=variables, timeout=20, check=False)
        )

    return run


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Callable[..., Played]]:
    """daemon([answers of the first connection], …) → a recorded daemon, closed at the end."""
    opened: list[Played] = []

    def start(*connections: Sequence[Answer]) -> Played:
        opened.append(Played(tmp_path / f"d{len(opened)}.sock", connections))
        return opened[-1]

    yield start
    for server in opened:
        server.close()


@pytest.fixture
def parsed() -> Callable[..., Args]:
    """parsed("run", "-d", "image") → the verb's arguments."""

    def run(verb: str, *argv: str) -> Args:
        return parse(Grammar(load(verb)[1]), argv)

    return run
