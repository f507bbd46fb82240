from __future__ import annotations

import io
import os
import pty
import termios
from typing import Any

import pytest

from naru.cli.progress import Progress, bar, show
from naru.errors import Internal

PULL: list[dict[str, Any]] = [
    {"status": "Pulling from library/alpine", "id": "latest"},
    {"status": "Pulling fs layer", "progressDetail": {}, "id": "aaa"},
    {"status": "Downloading", "progressDetail": {"current": 50, "total": 100}, "id": "aaa"},
    {"status": "Pull complete", "progressDetail": {}, "id": "aaa"},
    {"aux": {"ID": "sha256:1"}},
    {"status": "Digest: sha256:1"},
    {"stream": "Step 1/1\n"},
]


def test_lines_without_a_terminal() -> None:
    out = io.StringIO()
    assert show(PULL, out=out) == [{"ID": "sha256:1"}]
    assert out.getvalue() == (
        "latest: Pulling from library/alpine\naaa: Pulling fs layer\naaa: Pull complete\nDigest: sha256:1\nStep 1/1\n"
    )


@pytest.mark.parametrize("item", [{"errorDetail": {"message": "boom"}, "error": "boom"}, {"error": "boom"}])
@pytest.mark.parametrize("quiet", [True, False])
def test_errors(item: dict[str, Any], quiet: bool) -> None:
    with pytest.raises(Internal, match="boom"):
        show([PULL[0], item], quiet=quiet, out=io.StringIO())


def test_a_terminal_is_redrawn_in_place() -> None:
    outer, inner = pty.openpty()
    attributes = termios.tcgetattr(inner)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(inner, termios.TCSANOW, attributes)
    with open(inner, "w") as out:
        progress = Progress(out)
        progress._width = 200
        progress.show(PULL[:4])
    drawn = _read_all(outer).decode()
    os.close(outer)
    assert drawn.startswith("\n\x1b[1A\x1b[2K\rlatest: Pulling from library/alpine\x1b[1B\r")
    assert "\n\x1b[1A\x1b[2K\raaa: Pulling fs layer\x1b[1B\r" in drawn
    assert "aaa: Downloading [=========================>" in drawn
    assert "50B/100B" in drawn


def _read_all(fd: int) -> bytes:
    """What a terminal has been sent, after its other side was closed."""
    seen = b""
    while True:
        try:
            seen += os.read(fd, 10000)
        except OSError:  # EIO: that was all
            return seen


@pytest.mark.parametrize(
    ("current", "total", "width", "text"),
    [
        (0, 0, 200, ""),
        (5000, 0, 200, "5kB"),
        (50, 100, 80, "     50B/100B"),
        (100, 100, 200, "[" + "=" * 50 + "]     100B/100B"),
    ],
)
def test_bar(current: int, total: int, width: int, text: str) -> None:
    assert bar(current, total, width) == text
