"""Walking a tree that strangers made: in a fixed order, by descriptors, following nothing, without recursion."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from naru.errors import InvalidArgument
from naru.snapshots.tarformat import PATH_LIMIT_BYTES

_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Found(NamedTuple):
    path: str  # from the top
    name: str
    folder: int  # descriptor of the directory that holds it, open until the next step
    stat: os.stat_result

    def open(self, flags: int = os.O_RDONLY) -> int:
        """A descriptor of it, of it itself and not of where it may point; never waits (a FIFO has no reader)."""
        return os.open(
            self.name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=self.folder
        )


def open_dir(path: str, dir_fd: int | None = None) -> int:
    return os.open(path, _DIR, dir_fd=dir_fd)


def walk(top: int, prefix: str = "", *, strict: bool = True) -> Iterator[Found]:
    """Everything below the directory `top`, each directory before its content, names in byte order.

    What vanishes meanwhile is left out. A path longer than the kernel takes raises InvalidArgument if strict, else
    its directory is not entered.
    """
    open_fds: list[int] = []
    pending: list[tuple[str, list[str]]] = []

    def enter(fd: int, path: str) -> None:
        open_fds.append(fd)
        pending.append((path, sorted(os.listdir(fd), key=os.fsencode, reverse=True)))

    try:
        enter(open_dir(".", top), prefix)
        while pending:
            path, names = pending[-1]
            if not names:
                pending.pop()
                os.close(open_fds.pop())
                continue
            name = names.pop()
            folder = open_fds[-1]
            try:
                found = Found(
                    f"{path}/{name}" if path else name,
                    name,
                    folder,
                    os.stat(name, dir_fd=folder, follow_symlinks=False),
                )
                yield found
                if not stat.S_ISDIR(found.stat.st_mode):
                    continue
                if len(os.fsencode(found.path)) > PATH_LIMIT_BYTES:
                    if strict:
                        raise InvalidArgument(f"path of more than {PATH_LIMIT_BYTES} bytes: {found.path[:200]}…")
                    continue
                enter(open_dir(name, folder), found.path)
            except (FileNotFoundError, NotADirectoryError):
                continue
    finally:
        for fd in open_fds:
            os.close(fd)
