"""The child that unpacks a foreign archive: forked of a small Python of its own (`-I -S`), which `apply` starts.

It is given descriptors: the archive, the target directory, and a user namespace to be root of, if any. It chroots into the
target before it reads the first header. Its report: fields separated by NUL, which no path can hold.

    ok  diff ID (of a layer)  size in bytes  entries  bytes on disk  implied directory…
    <error kind>  message

The start of that Python is part of the first unpack: what is imported here, and there, is counted in milliseconds (a test
keeps the list).
"""

from __future__ import annotations

import fcntl
import os
import resource
import stat

from naru.errors import InvalidArgument, NaruError
from naru.linux.forkserver_child import serve
from naru.snapshots.extract import Extractor
from naru.snapshots.inflate import inflated
from naru.snapshots.tarstream import TarReader


class _Archive:
    """What is read of it, plain, is counted, and hashed if it is a layer: nobody asks for the digest of what is copied."""

    def __init__(self, fd: int, limit_bytes: int, *, hashed: bool) -> None:
        self._fd = fd
        self._limit_bytes = limit_bytes
        self._server = os.getppid()
        self._hasher = None
        self.size_bytes = 0
        if hashed:
            import hashlib  # noqa: PLC0415 - a fifth of the first start, and before chroot takes the library away

            self._hasher = hashlib.sha256()
        kind, self._plain = inflated(lambda wanted: os.read(fd, wanted), lambda buffer: os.readv(fd, [buffer]))
        self.can_splice = not kind and not hashed and stat.S_ISFIFO(os.fstat(fd).st_mode)
        if self.can_splice:  # who writes from a pipe to a file keeps it to itself meanwhile: not from that one
            self._between = os.pipe()
            fcntl.fcntl(self._between[1], fcntl.F_SETPIPE_SZ, fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ))

    @property
    def digest(self) -> str:
        return "" if self._hasher is None else f"sha256:{self._hasher.hexdigest()}"

    def more(self) -> bytes | memoryview:
        piece = self._plain()
        self._count(len(piece))
        if self._hasher is not None:
            self._hasher.update(piece)
        return piece

    def splice(self, fd: int, most: int) -> int:
        moved = left = os.splice(self._fd, self._between[1], most)
        self._count(moved)
        while left:
            left -= os.splice(self._between[0], fd, left)
        return moved

    def _count(self, read: int) -> None:
        if os.getppid() != self._server:
            os._exit(1)  # the daemon is gone, and its next start deletes what we write
        self.size_bytes += read
        if self.size_bytes > self._limit_bytes:
            raise InvalidArgument(f"archive of more than {self._limit_bytes} bytes uncompressed")


def unpack(arguments: list[str], fds: list[int]) -> bytes:
    return "\0".join(_unpack(arguments, *fds)).encode("utf-8", "surrogateescape")


def _unpack(arguments: list[str], archive: int, root: int, user_namespace: int = -1) -> list[str]:
    mode, limit_bytes, memory_bytes, keep_kind, owner, folder = arguments
    layer = mode == "layer"
    entry = None
    try:
        stream = _Archive(archive, int(limit_bytes), hashed=layer)
        if user_namespace >= 0:
            _become_root_of(user_namespace)
        os.fchdir(root)
        os.chroot(".")
        os.close(root)
        os.chdir(folder)
        os.umask(0)
        resource.setrlimit(resource.RLIMIT_AS, (int(memory_bytes), int(memory_bytes)))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        ids = None if owner == "-" else (int(owner.split(":")[0]), int(owner.split(":")[1]))
        splice = stream.splice if stream.can_splice else None
        extractor = Extractor(layer=layer, keep_kind=keep_kind == "1", owner=ids, splice=splice)
        reader = TarReader(stream.more)
        for entry in reader:
            extractor.add(entry, reader)
        extractor.finish()
        reader.drain()
    except NaruError as error:
        return [type(error).__name__, str(error)]
    except MemoryError:
        return ["InvalidArgument", f"the archive needs more than {memory_bytes} bytes of memory to unpack"]
    except OSError as error:
        return ["OSError", str(error.errno or 0), entry.name if entry is not None else "", error.strerror or str(error)]
    counts = (stream.size_bytes, reader.entries, extractor.disk_bytes)
    return ["ok", stream.digest, *map(str, counts), *extractor.implied]


def _become_root_of(user_namespace: int) -> None:
    from naru.linux.syscalls import CLONE_NEWUSER, setns  # noqa: PLC0415 - ctypes takes long, and hardly anybody needs it

    setns(user_namespace, CLONE_NEWUSER)
    os.close(user_namespace)
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def _prepare() -> None:
    """Load what only some archives need."""
    import bz2  # noqa: PLC0415
    import hashlib  # noqa: PLC0415
    import lzma  # noqa: PLC0415

    import zstandard  # noqa: PLC0415
    from isal import igzip_lib  # noqa: PLC0415

    del bz2, hashlib, lzma, zstandard, igzip_lib


def run() -> None:
    serve(unpack, _prepare)
