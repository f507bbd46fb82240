from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from naru.errors import Conflict, InvalidArgument, Unavailable
from naru.registry.listening import parse_listen
from naru.registry.server import Settings, running


def test_addresses() -> None:
    assert parse_listen("127.0.0.1:5000") == ("127.0.0.1", 5000)
    assert parse_listen("[::1]:5000") == ("::1", 5000)
    assert parse_listen(":5000") == ("", 5000)
    for text in ("5000", "a:", "a:x", "a:70000"):
        with pytest.raises(InvalidArgument):
            parse_listen(text)


def test_a_taken_address_and_a_taken_folder_are_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(Settings("127.0.0.1:0", str(tmp_path / "one"))) as registry:
            with pytest.raises(Unavailable, match="listen tcp"):
                async with running(Settings(registry.address, str(tmp_path / "two"))):
                    pass
            with pytest.raises(Conflict, match="in use by another registry"):
                async with running(Settings("127.0.0.1:0", str(tmp_path / "one"))):
                    pass
        async with running(Settings("127.0.0.1:0", str(tmp_path / "two"))):
            pass

    asyncio.run(main())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_ends_cleanly_on_a_signal(tmp_path: Path, number: int) -> None:
    script = (
        "import asyncio, logging, sys; from naru.registry.server import Settings, serve; "
        "logging.basicConfig(level=20, format='%(message)s'); asyncio.run(serve(Settings('127.0.0.1:0', sys.argv[1])))"
    )
    with subprocess.Popen([sys.executable, "-c", script, tmp_path], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        os.kill(process.pid, number)
        assert line.startswith("registry listening on http://127.0.0.1:")
        _, left = process.communicate(timeout=10)
    assert (process.returncode, left) == (0, "registry stopping\n")
