"""The child that unpacks a foreign archive: `run` in a Python of its own (`-I -S`), started by `apply` only.

Descriptors: 0 the archive, 1 the report, 3 the target directory, 4 a user namespace to be root of, if any. It chroots into
the target before it reads the first header. It ends with exit code 0 and one report: fields separated by NUL, which no path can hold (no JSON: loading it
would take longer than unpacking a small layer).

    ok  diff ID (of a layer)  size in bytes  entries  bytes on disk  implied directory…
    <error kind>  message

Its start is part of every unpack: what is imported here, and there, is counted in milliseconds (a test keeps the list).
"""

from __future__ import annotations

import os
import resource
import sys

from naru.errors import InvalidArgument, NaruError
from naru.snapshots.extract import Extractor
from naru.snapshots.inflate import inflated
from naru.snapshots.tarstream import TarReader


def main(argv: list[str]) -> list[str]:
    parent, mode, limit_bytes, memory_bytes, keep_kind, owner, folder, inside = argv
    layer = mode == "layer"
    limit, size, entry, hasher = int(limit_bytes), 0, None, None
    if layer:  # nobody asks for the digest of what is copied
        import hashlib  # noqa: PLC0415 - a fifth of the start, and before chroot takes the library away

        hasher = hashlib.sha256()

    def more() -> bytes | memoryview:
        nonlocal size
        if os.getppid() != int(parent):
            os._exit(1)  # the daemon is gone, and its next start deletes what we write
        piece = plain()
        size += len(piece)
        if size > limit:
            raise InvalidArgument(f"archive of more than {limit} bytes uncompressed")
        if hasher is not None:
            hasher.update(piece)
        return piece

    try:
        _, plain = inflated(lambda wanted: os.read(0, wanted), lambda buffer: os.readv(0, [buffer]))
        if inside == "1":
            _become_root_of(4)
        os.fchdir(3)
        os.chroot(".")
        os.close(3)
        os.chdir(folder)
        os.umask(0)
        resource.setrlimit(resource.RLIMIT_AS, (int(memory_bytes), int(memory_bytes)))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        ids = None if owner == "-" else (int(owner.split(":")[0]), int(owner.split(":")[1]))
        extractor = Extractor(layer=layer, keep_kind=keep_kind == "1", owner=ids)
        reader = TarReader(more)
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
    digest = "sha256:" + hasher.hexdigest() if hasher is not None else ""
    return ["ok", digest, str(size), str(reader.entries), str(extractor.disk_bytes), *extractor.implied]


def _become_root_of(user_namespace: int) -> None:
    from naru.linux.syscalls import CLONE_NEWUSER, setns  # noqa: PLC0415 - ctypes takes long, and hardly anybody needs it

    setns(user_namespace, CLONE_NEWUSER)
    os.close(user_namespace)
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def run() -> None:
    """Do what the arguments say, write the report, and end at once: nothing here is worth tidying up."""
    data = memoryview("\0".join(main(sys.argv[1:])).encode("utf-8", "surrogateescape"))
    while data:
        data = data[os.write(1, data) :]
    os._exit(0)
