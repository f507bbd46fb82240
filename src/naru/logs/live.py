"""A log that is being written: told by inotify when it grows, kept within its bounds, followed by its readers.

Rotation is three steps, and a daemon that dies between any two loses nothing: conmon is asked on its `ctl` fifo to reopen
its log, and puts an empty file in the place of the full one, which keeps its other name (`files`); the new one gets its
lasting name; old parts are compressed or thrown away. conmon reopens on its own accord after `--log-size-max` bytes, which
is the bound while no daemon runs. Messages on the fifo: conmon, src/ctrl.c (2 is REOPEN_LOGS).
"""

from __future__ import annotations

import array
import asyncio
import errno
import fcntl
import logging
import os
import termios
from collections.abc import Callable
from contextlib import suppress

from naru.linux.inotify import IN_ATTRIB, IN_MODIFY, Notifier
from naru.logs.files import LogFiles, inode, pack
from naru.logs.values import Policy

log = logging.getLogger(__name__)
_REOPEN = b"2 0 0\n"


class Live:
    def __init__(
        self, files: LogFiles, policy: Policy, control: str, notifier: Notifier, tidy: Callable[[], None]
    ) -> None:
        self.files = files
        self.policy = policy
        self.changes = 0  # grows with every one
        self.number = 0  # of the part being written
        self.ended = False
        self._control = control
        self._notifier = notifier
        self._tidy = tidy  # asks for `tidy` soon
        self._watch: int | None = None
        self._inode: int | None = None
        self._kept = False  # it has its lasting name
        self._ready = False  # the next one is there
        self._asked = False
        self._complained = False
        self._waiting: set[asyncio.Future[None]] = set()

    def begin(self) -> None:
        """Watch it; what happened while nobody did is made up for."""
        self._advance()
        self._check_size()

    def end(self) -> None:
        """Nothing is written any more."""
        if not self.ended:
            if not self._kept or inode(self.files.path) != self._inode:
                self._advance()
            if self._watch is not None:
                self._notifier.remove(self._watch)
            self.ended = True
            self._wake()

    async def wait_change(self, seen: int) -> None:
        """Return when `changes` is no longer what it was seen to be."""
        if self.changes == seen:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(future)
            try:
                await future
            finally:
                self._waiting.discard(future)

    def _wake(self) -> None:
        self.changes += 1
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def _on_change(self) -> None:
        try:
            if not self._kept or inode(self.files.path) != self._inode:
                self._advance()
            if not self._ready:
                self._ready_next()
            self._check_size()
        except OSError as error:  # no descriptor is left, say: tried again at the next change
            self._complain(error)
        self._wake()

    def _advance(self) -> None:
        """The file in place is a new one: watch it instead, and give it its lasting name."""
        self._kept = self._ready = self._asked = False
        parts = self.files.parts()
        if not parts:
            return
        newest, path = parts[-1], self.files.path
        try:
            if newest.path == path:  # before it is watched, or this would be its first change
                os.link(path, self.files.name(newest.number))
            self._kept = True
        except OSError as error:  # a full disk: it is tried again at the next change, and until then not rotated
            self._complain(error)
        try:
            watch = self._notifier.add(path, IN_MODIFY | IN_ATTRIB, self._on_change)
        except OSError as error:  # fs.inotify.max_user_watches: nobody is told of what it says, but it is kept
            self._complain(error)
            return
        if self._watch is not None and self._watch != watch:
            self._notifier.remove(self._watch)
        self._watch, self._inode, self.number = watch, inode(path), newest.number
        if len(parts) > 1:
            self._tidy()

    def _ready_next(self) -> None:
        """The file that conmon will put in place is made beforehand: a conmon that cannot make it, on a full disk, gives up."""
        try:
            os.close(os.open(f"{self.files.path}.tmp", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640))
            self._ready = True
        except OSError as error:
            self._complain(error)

    def _check_size(self) -> None:
        if self.policy.max_bytes is None or self._asked or not self._kept:
            return
        with suppress(FileNotFoundError):
            if os.stat(self.files.path).st_size >= self.policy.max_bytes:
                if not self._ready:
                    self._ready_next()
                self._asked = self._ready and ask_to_reopen(self._control)

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            self._complained = True
            log.error("%s: its log cannot be rotated: %s", error.filename or self.files.path, error.strerror)


def ask_to_reopen(control: str) -> bool:
    """True if conmon is going to put a new file in place. One that has been asked already is not asked twice."""
    try:
        fd = os.open(control, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENXIO):  # it has ended
            return False
        raise
    try:
        unread = array.array("i", [0])
        fcntl.ioctl(fd, termios.FIONREAD, unread)
        if unread[0] == 0:
            os.write(fd, _REOPEN)
    finally:
        os.close(fd)
    return True


def tidy(files: LogFiles, policy: Policy) -> None:
    """Throw away what is beyond the bounds, and compress what is complete. Blocks. Raises OSError."""
    parts = files.parts()
    kept = parts if policy.max_files is None else parts[-policy.max_files :]
    for part in parts[: len(parts) - len(kept)]:
        with suppress(FileNotFoundError):
            os.unlink(part.path)
    if policy.compress:
        for part in kept[:-1]:
            if not part.packed:
                with suppress(FileNotFoundError):
                    pack(part.path)
