"""The child that unpacks a foreign archive: `python -I -S unpack_child.py <settings>`, started by `apply` only.

Descriptors: 0 the archive, 1 the report, 3 the target directory, and perhaps 4, a user namespace. It chroots into the target before it reads the first
header. It ends with exit code 0 and one report: fields separated by NUL, which no path can hold (no JSON: loading it
would take longer than unpacking a small layer).

    ok  diff ID  size in bytes  entries  bytes on disk  implied directory…
    <error kind>  message
"""

from __future__ import annotations

import os
import sys


def main(argv: list[str]) -> list[str]:
    source, libraries, parent, mode, limit_bytes, memory_bytes, keep_kind, owner, folder, shifted = argv
    sys.path[:0] = [source, libraries]
    # Imported here, since before this line there is nowhere to import from; and all of it before chroot takes it away.
    import hashlib  # noqa: PLC0415
    import resource  # noqa: PLC0415

    from naru.errors import InvalidArgument, NaruError  # noqa: PLC0415
    from naru.snapshots.extract import Extractor  # noqa: PLC0415
    from naru.snapshots.inflate import inflated  # noqa: PLC0415
    from naru.snapshots.tarstream import TarReader  # noqa: PLC0415

    limit = int(limit_bytes)
    size, hasher = 0, hashlib.sha256()
    entry = None

    def more() -> bytes:
        nonlocal size
        if os.getppid() != int(parent):
            os._exit(1)  # the daemon is gone, and its next start deletes what we write
        piece = plain()
        size += len(piece)
        if size > limit:
            raise InvalidArgument(f"archive of more than {limit} bytes uncompressed")
        hasher.update(piece)
        return piece

    try:
        _, plain = inflated(lambda count: os.read(0, count))
        if shifted == "1":
            _become_root_of(4)
        os.fchdir(3)
        os.chroot(".")
        os.close(3)
        os.chdir(folder)
        os.umask(0)
        resource.setrlimit(resource.RLIMIT_AS, (int(memory_bytes), int(memory_bytes)))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        ids = None if owner == "-" else (int(owner.split(":")[0]), int(owner.split(":")[1]))
        extractor = Extractor(layer=mode == "layer", keep_kind=keep_kind == "1", owner=ids)
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
    digest = "sha256:" + hasher.hexdigest()
    return ["ok", digest, str(size), str(reader.entries), str(extractor.disk_bytes), *extractor.implied]


def _become_root_of(user_namespace: int) -> None:
    from naru.linux.syscalls import CLONE_NEWUSER, setns  # noqa: PLC0415 - most archives need none of it

    setns(user_namespace, CLONE_NEWUSER)
    os.close(user_namespace)
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


if __name__ == "__main__":
    data = memoryview("\0".join(main(sys.argv[1:])).encode("utf-8", "surrogateescape"))
    while data:
        data = data[os.write(1, data) :]
