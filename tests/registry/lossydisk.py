"""A disk that loses what was not flushed: a file system over it, a record of what reached it, and any number of power cuts afterwards.

The kernel here has no dm-log-writes, so this does the same by hand. A FUSE file system, whose root is one file (fuse(4),
<linux/fuse.h>), writes down every WRITE and every FSYNC, in the order in which they are answered; a loop device over that file makes a
disk with a volatile cache of it: a flush of the disk is an fsync of the file. A WRITE is recorded before it is answered, so what had
been written when a flush was asked for stands before the flush in the record.

A cut at one position of the record leaves what stands before the last flush, and of what was written since then any part: nothing,
all, some writes, some sectors of some writes.

Everything is mounted in a mount namespace of the caller's own (`naru.linux.mounts.in_private_namespace`), and loop devices end with
their mounts, so nothing is left of it however the caller ends; the server of the file ends when the caller's end of a pipe does.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from naru.linux.syscalls import MNT_DETACH, mount, umount

SECTOR_BYTES = 512  # what a disk writes whole or not at all
_MAKE = {
    "ext4": "mkfs.ext4 -q -F -m 0 -E nodiscard,lazy_itable_init=0,lazy_journal_init=0",
    "xfs": "mkfs.xfs -q -f -K",
    "btrfs": "mkfs.btrfs -q -f -K",
}
# ext4 writes some files out at close, for programs that forget to sync: here they are to be found out
_OPTIONS = {"ext4": ",noauto_da_alloc"}
_CHECK = {"ext4": "e2fsck -f -n", "xfs": "xfs_repair -n -f", "btrfs": "btrfs check --force"}

# the record: one of these for each operation, and the bytes of all writes one after the other in a file of their own
_OPERATION = struct.Struct("=IIQQd")  # kind, size, where on the disk, where among the bytes, time
_WRITE, _FLUSH = 1, 2

# FUSE
_HEADER = struct.Struct("=IIQQIIII")  # length, opcode, unique, node, uid, gid, pid, padding
_ANSWER = struct.Struct("=IiQ")
_IN = struct.Struct("=QQI")  # of READ and WRITE: handle, offset, size
_WRITE_IN_BYTES = 40
_MAX_WRITE, _BIG_WRITES, _MAX_PAGES, _DIRECT_IO = 1 << 20, 1 << 5, 1 << 22, 1
_FORGET, _GETATTR, _OPEN, _READ, _WRITE_OP, _STATFS, _RELEASE, _FSYNC, _INIT, _INTERRUPT, _BATCH_FORGET = (
    2, 3, 14, 15, 16, 17, 18, 20, 26, 36, 42,
)  # fmt: skip


def obstacle() -> str:
    """Why there can be no such disk here; "" if there can."""
    if os.geteuid() != 0:
        return "needs root, to mount"
    devices = [path for path in ("/dev/fuse", "/dev/loop-control") if not os.path.exists(path)]
    programs = [name for name in ("mkfs.ext4", "e2fsck") if shutil.which(name) is None]
    return "".join(f"needs {name}" for name in (devices + programs)[:1])


@dataclass(frozen=True, slots=True)
class Operation:
    """One write, or, with `size_bytes` 0, one flush."""

    size_bytes: int
    offset: int
    data_at: int
    time_s: float

    @property
    def is_flush(self) -> bool:
        return self.size_bytes == 0


class Record:
    """What has reached the disk so far; also while it is written."""

    def __init__(self, folder: Path) -> None:
        self.base, self.content = folder / "base", folder / "content"  # the disk at first, and as it is
        self.bytes, self._operations = folder / "bytes", folder / "operations"

    def position(self) -> int:
        """How many operations have been answered, or are about to be."""
        return self._operations.stat().st_size // _OPERATION.size

    def operations(self) -> list[Operation]:
        raw = self._operations.read_bytes()
        return [Operation(*one[1:]) for one in _OPERATION.iter_unpack(raw[: len(raw) - len(raw) % _OPERATION.size])]


@contextmanager
def recording(folder: Path, size_bytes: int, kind: str = "ext4") -> Iterator[tuple[Record, Path]]:
    """A new file system on such a disk, and where it is mounted; the record outlives it. In a private mount namespace only."""
    record, device, tree = Record(folder), folder / "device", folder / "tree"
    with open(record.base, "wb") as file:
        file.truncate(size_bytes)
    _run(*_MAKE[kind].split(), str(record.base))
    copy(record.base, record.content)
    device.touch()
    tree.mkdir()
    with ExitStack() as undo:
        undo.enter_context(_serving(folder, device))
        undo.enter_context(mounted(device, tree, _OPTIONS.get(kind, "")))
        caches = Path("/sys/block", os.path.basename(_device_of(tree)), "queue/write_cache").read_text().strip()
        assert caches == "write back", f"the loop device's cache is {caches}: nobody would flush it"
        yield record, tree
        os.sync()


@contextmanager
def _serving(folder: Path, device: Path) -> Iterator[None]:
    fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    try:
        mount("lossy", str(device), "fuse", 0, f"fd={fuse},rootmode=100600,user_id=0,group_id=0")
        command = [sys.executable, __file__, str(folder), str(fuse)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=(fuse,))
    finally:
        os.close(fuse)  # the server alone has it: if it ends, so do all that wait for it
    try:
        yield
    finally:
        umount(str(device))
        process.communicate(timeout=30)


@contextmanager
def mounted(image: Path, tree: Path, options: str = "") -> Iterator[None]:
    """By a loop device that goes with the mount. Raises CalledProcessError if there is no file system that can be mounted."""
    _run("mount", "-o", f"loop{options}", str(image), str(tree))
    try:
        yield
    finally:
        try:
            umount(str(tree), 0)
        except OSError:  # somebody has a file open there: then it goes when he does
            umount(str(tree), MNT_DETACH)
            raise


def _device_of(tree: Path) -> str:
    lines = Path("/proc/thread-self/mountinfo").read_text().splitlines()
    return next(line.partition(" - ")[2].split()[1] for line in lines if line.split()[4] == str(tree))


def fault(image: Path, kind: str = "ext4") -> str:
    """What the file system's own check finds wrong with it; "" for nothing. Its log must have been replayed, by a mount."""
    done = subprocess.run([*_CHECK[kind].split(), str(image)], capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout[-2000:] + done.stderr[-2000:]


def copy(source: Path, target: Path) -> None:
    _run("cp", "--sparse=always", str(source), str(target))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


# cuts


class Cuts:
    """Disks as a power cut would have left them, at one position after the other."""

    def __init__(self, record: Record, flushed: Path) -> None:
        """`flushed`: a file of its own."""
        self.operations = record.operations()
        self._flushed = flushed
        self._applied = 0
        self._bytes = open(record.bytes, "rb")  # noqa: SIM115 - closed by close
        copy(record.base, flushed)

    def cut(self, position: int, chance: random.Random, image: Path) -> str:
        """Make the disk of a cut before the operation `position`, which is at or behind the last one. What it kept, in words."""
        flush = max((at for at in range(position) if self.operations[at].is_flush), default=0)
        with open(self._flushed, "r+b", buffering=0) as file:
            for operation in self.operations[self._applied : flush]:
                self._write(file.fileno(), operation)
        self._applied = max(self._applied, flush)
        copy(self._flushed, image)
        since = [one for one in self.operations[flush:position] if not one.is_flush]
        kept = chance.choice(("nothing", "everything", "some writes", "some sectors"))
        share = chance.uniform(0.05, 0.95)
        with open(image, "r+b", buffering=0) as file:
            for operation in since:
                if kept == "everything" or (kept == "some writes" and chance.random() < share):
                    self._write(file.fileno(), operation)
                elif kept == "some sectors":
                    for first in range(0, operation.size_bytes, SECTOR_BYTES):
                        if chance.random() < share:
                            self._write(file.fileno(), operation, first, SECTOR_BYTES)
        return f"{kept} of {len(since)}"

    def _write(self, fd: int, operation: Operation, first: int = 0, size: int | None = None) -> None:
        size = operation.size_bytes if size is None else size
        if size:
            data = os.pread(self._bytes.fileno(), size, operation.data_at + first)
            os.pwrite(fd, data, operation.offset + first)

    def close(self) -> None:
        self._bytes.close()


# the server: a process of its own, for who writes to a disk must not wait for himself


class _Server:
    def __init__(self, folder: Path, fuse: int) -> None:
        self._fuse = fuse
        record = Record(folder)
        self._content = os.open(record.content, os.O_RDWR)
        self._bytes = os.open(record.bytes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._operations = os.open(record._operations, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._size = os.fstat(self._content).st_size
        self._data_at = 0
        self._answers: dict[int, Callable[[memoryview], bytes]] = {
            _INIT: self._init, _GETATTR: self._getattr, _OPEN: self._open, _READ: self._read, _WRITE_OP: self._write,
            _FSYNC: self._fsync, _RELEASE: lambda _: b"", _STATFS: lambda _: bytes(80),
        }  # fmt: skip

    def serve(self) -> None:
        """Until it is unmounted."""
        buffer = memoryview(bytearray(_MAX_WRITE + (1 << 16)))
        with suppress(OSError):
            while True:
                length = os.readv(self._fuse, [buffer])
                _, opcode, unique, *_ = _HEADER.unpack_from(buffer)
                if opcode in (_FORGET, _BATCH_FORGET, _INTERRUPT):
                    continue
                answer = self._answers.get(opcode)
                data = answer(buffer[_HEADER.size : length]) if answer else b""
                error = 0 if answer else -errno.ENOSYS
                os.writev(self._fuse, [_ANSWER.pack(_ANSWER.size + len(data), error, unique), data])

    def _init(self, request: memoryview) -> bytes:
        ahead = struct.unpack_from("=III", request)[2]
        flags = _BIG_WRITES | _MAX_PAGES
        return struct.pack("=IIIIHHIIHHI28x", 7, 31, ahead, flags, 16, 12, _MAX_WRITE, 1, _MAX_WRITE >> 12, 0, 0)

    def _getattr(self, request: memoryview) -> bytes:
        attributes = struct.pack(
            "=6Q10I", 1, self._size, self._size >> 9, 0, 0, 0, 0, 0, 0, 0o100600, 1, 0, 0, 0, 4096, 0
        )
        return struct.pack("=QII", 3600, 0, 0) + attributes

    def _open(self, request: memoryview) -> bytes:
        return struct.pack("=QII", 0, _DIRECT_IO, 0)  # no cache of the file hides what the disk is told

    def _read(self, request: memoryview) -> bytes:
        _, offset, size = _IN.unpack_from(request)
        return os.pread(self._content, size, offset)

    def _write(self, request: memoryview) -> bytes:
        _, offset, size = _IN.unpack_from(request)
        data = request[_WRITE_IN_BYTES : _WRITE_IN_BYTES + size]
        os.pwrite(self._content, data, offset)
        os.write(self._bytes, data)
        self._note(_WRITE, size, offset)
        self._data_at += size
        return struct.pack("=II", size, 0)

    def _fsync(self, request: memoryview) -> bytes:
        self._note(_FLUSH, 0, 0)
        return b""

    def _note(self, kind: int, size: int, offset: int) -> None:
        os.write(self._operations, _OPERATION.pack(kind, size, offset, self._data_at, time.time()))


def _end_with_caller() -> None:
    os.read(0, 1)
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with_caller, daemon=True).start()
    _Server(Path(sys.argv[1]), int(sys.argv[2])).serve()
