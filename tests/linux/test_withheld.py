"""A file that others can open only when it is complete, in the real kernel."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from naru.linux.withheld import WithheldFile

pytestmark = pytest.mark.root
CONTENT = b"x" * 300_000


def reader(path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["cat", str(path)], stdout=subprocess.PIPE)


def wait_blocked(process: subprocess.Popen[bytes]) -> None:
    """Until it sleeps in the kernel, in break_lease()."""
    while "break_lease" not in Path(f"/proc/{process.pid}/stack").read_text():
        assert process.poll() is None, "it could read before the file was there"
        time.sleep(0.001)


def test_who_comes_too_soon_waits_and_gets_all(tmp_path: Path) -> None:
    with WithheldFile(str(tmp_path / "file")) as file:
        assert file.is_withheld
        early = reader(tmp_path / "file")
        wait_blocked(early)
        file.write(CONTENT[:100])
        file.write(CONTENT[100:])
        assert early.poll() is None
    assert early.communicate()[0] == CONTENT
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_nobody_is_told_by_a_signal(tmp_path: Path) -> None:
    told: list[int] = []
    before = signal.signal(signal.SIGIO, lambda number, _: told.append(number))
    try:
        with WithheldFile(str(tmp_path / "file")):
            early = reader(tmp_path / "file")
            wait_blocked(early)
        assert early.communicate()[0] == b"" and told == []
    finally:
        signal.signal(signal.SIGIO, before)


def test_it_is_a_new_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("theirs")
    with pytest.raises(FileExistsError):
        WithheldFile(str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "theirs"
