"""What is told to CRIU, and what of its logs is told to people."""

from __future__ import annotations

from pathlib import Path

import pytest

from naru.containers import criu
from naru.containers.cgroupimage import with_group
from naru.containers.checkpoints import check_name
from naru.errors import InvalidArgument

DUMP = """\
(00.034981) Error (criu/util.c:1533): rlimit: Can't setup RLIMIT_NOFILE for self: Operation not permitted
(00.103372) Warn  (criu/image.c:134): Failed to open parent directory
(00.121674) pie: 1: Error (criu/pie/restorer.c:1835): Can't read pages data (-9)
(00.121879) Error (criu/cr-restore.c:1258): 8875 exited, status=1
"""


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (DUMP, "Can't read pages data (-9)"),
        ("(00.2)      7: Error (criu/x.c:1): no such socket\n", "no such socket"),
        ("(00.2) Error (criu/x.c:1): first\n(00.3) Error (criu/x.c:2): second\n", "first"),
        ("(00.1) Dumping finished successfully\n", ""),
        (DUMP.splitlines()[0], ""),
        ("", ""),
    ],
)
def test_first_error(log: str, words: str) -> None:
    assert criu.first_error(log) == words


def test_reason(tmp_path: Path) -> None:
    message = "CRIU checkpointing failed -52.  Please check CRIU logfile /run/x/dump.log"
    log = tmp_path / "dump.log"
    assert criu.reason(str(log), message) == message
    log.write_text(DUMP)
    assert criu.reason(str(log), message) == "CRIU checkpointing failed -52: Can't read pages data (-9)"
    assert (
        criu.reason(str(log), "could not load `libcriu.so.2`")
        == "could not load `libcriu.so.2`: Can't read pages data (-9)"
    )


def test_namespaces_are_named_by_the_process() -> None:
    given = [{"type": "pid"}, {"type": "network", "path": "/proc/9/fd/28"}, {"type": "ipc", "path": "/proc/3/ns/ipc"}]
    config = {"ociVersion": "1.0.2", "linux": {"namespaces": given, "cgroupsPath": "/naru/1"}}
    assert criu.with_namespaces_of(config, 7) == {
        "ociVersion": "1.0.2",
        "linux": {
            "namespaces": [
                {"type": "pid"}, {"type": "network", "path": "/proc/7/ns/net"}, {"type": "ipc", "path": "/proc/7/ns/ipc"},
            ],
            "cgroupsPath": "/naru/1",
        },
    }  # fmt: skip


def field(number: int, value: bytes | int) -> bytes:
    """One of protobuf, with short lengths."""
    return bytes([number << 3, value]) if isinstance(value, int) else bytes([number << 3 | 2, len(value)]) + value


def groups(*paths: str) -> bytes:
    members = b"".join(field(2, field(1, b"cpu") + field(2, path.encode()) + field(3, 0)) for path in paths)
    message = field(1, field(1, 1) + members) + field(2, field(1, b"kept"))
    return b"\x19CVT038Y" + len(message).to_bytes(4, "little") + message


def test_processes_are_put_in_another_group() -> None:
    assert with_group(groups("/a/b", "/", "/a/b/c"), "/new") == groups("/new", "/", "/new")
    longer = "/" + "x" * 100
    assert with_group(groups("/a"), longer) == groups(longer)
    wide = with_group(groups(*["/a"] * 9), f"/{'y' * 99}")  # whose length takes two bytes
    assert wide.count(b"y" * 99) == 9
    assert with_group(wide, "/a") == groups(*["/a"] * 9)


@pytest.mark.parametrize("cut", [0, 8, 13, 20])
def test_damaged_groups(cut: int) -> None:
    with pytest.raises(ValueError, match=r"cgroup\.img"):
        with_group(groups("/a/b")[:cut] + b"\xff", "/new")


@pytest.mark.parametrize("name", ["cp", "c1", "a.b", "a-b_c", "0x"])
def test_names(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["", "x", ".x", "a/b", "../x", "-a", "ab.", "a b", "ab\n", "ü1"])
def test_no_names(name: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid checkpoint ID"):
        check_name(name)
