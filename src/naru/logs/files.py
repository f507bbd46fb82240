"""The files of one container's log, and their names.

    <id>.log         what conmon writes; it puts an empty one in its place when it reopens its log
    <id>.log.<n>     the same file by its lasting name, and the ones before it: n grows for ever
    <id>.log.<n>.gz  one of those before it, compressed

The newest numbered file and `<id>.log` are one file with two names, so that nothing is lost when conmon replaces the
latter, whoever asked it to and whether or not a daemon was there. A part is complete once there is a newer one.
"""

from __future__ import annotations

import os
import zlib
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from isal import isal_zlib

PACKED = ".gz"
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Part:
    number: int
    path: str

    @property
    def packed(self) -> bool:
        return self.path.endswith(PACKED)


@dataclass(frozen=True, slots=True)
class LogFiles:
    path: str  # of what conmon writes

    def parts(self) -> list[Part]:
        """Oldest first. A file that has no number yet comes last, under the number it will get."""
        folder, base = os.path.split(self.path)
        found: dict[int, Part] = {}
        try:
            names = os.listdir(folder)
        except FileNotFoundError:
            return []
        for name in names:
            tail = name.removeprefix(base + ".")
            number = tail.removesuffix(PACKED)
            if tail != name and number.isdigit() and (tail == number or int(number) not in found):
                found[int(number)] = Part(int(number), os.path.join(folder, name))
        parts = [found[number] for number in sorted(found)]
        last = parts[-1] if parts else None
        if (current := inode(self.path)) is not None and (last is None or inode(last.path) != current):
            parts.append(Part(last.number + 1 if last else 1, self.path))
        return parts

    def name(self, number: int) -> str:
        return f"{self.path}.{number}"

    def open(self, part: Part) -> Opened | None:
        """To read from the beginning, packed or not; None if it has been thrown away meanwhile."""
        for path in (part.path, self.name(part.number), self.name(part.number) + PACKED):
            with suppress(FileNotFoundError):
                return Unpacking(path) if path.endswith(PACKED) else Plain(path)
        return None


def inode(path: str) -> int | None:
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return None


class Opened(Protocol):
    def read(self) -> bytes:
        """The next bytes, up to a block; b"" at the end, which may grow."""
        ...

    def close(self) -> None: ...


class Plain:
    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self) -> bytes:
        return os.read(self.fd, BLOCK_BYTES)

    def seek(self, position: int) -> None:
        os.lseek(self.fd, position, os.SEEK_SET)

    def close(self) -> None:
        os.close(self.fd)


class Unpacking:
    """A gzip file (RFC 1952), unpacked block by block. One that is cut short or damaged ends where that shows."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by close
        self._gzip = zlib.decompressobj(wbits=31)

    def read(self) -> bytes:
        while not self._gzip.eof:
            data = self._gzip.unconsumed_tail or self._file.read(BLOCK_BYTES >> 2)
            if not data:
                return b""
            try:
                out = self._gzip.decompress(data, BLOCK_BYTES)
            except zlib.error:
                return b""
            if out:
                return out
        return b""

    def close(self) -> None:
        self._file.close()


def pack(path: str) -> None:
    """`path` → `path.gz`, whole or not at all. Blocks for as long as it takes; the compressor does not hold the GIL."""
    packed, part = path + PACKED, path + ".part"
    try:
        with open(path, "rb", buffering=0) as source, open(part, "wb") as target:
            os.fchmod(target.fileno(), 0o640)
            gzip = isal_zlib.compressobj(level=1, wbits=31)
            while block := source.read(BLOCK_BYTES):
                target.write(gzip.compress(block))
            target.write(gzip.flush())
            target.flush()
            os.fsync(target.fileno())
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(part)
        raise
    info = os.stat(path)
    os.utime(part, ns=(info.st_atime_ns, info.st_mtime_ns))  # by which readers know the time of its last line
    os.rename(part, packed)
    with suppress(FileNotFoundError):
        os.unlink(path)
