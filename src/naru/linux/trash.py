"""What is to be deleted, out of the way first."""

from __future__ import annotations

import errno
import logging
import os
import queue
import secrets
import threading

from naru.linux.erase import remove_tree

log = logging.getLogger(__name__)


class Trash:
    """A directory, emptied in a thread: what is thrown into it is gone from its place at once, and nobody waits for the
    deletion. What a crash left in it goes at the next start."""

    def __init__(self, folder: str) -> None:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        self._folder = folder
        self._series = secrets.token_hex(4)
        self._thrown = 0
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        for name in os.listdir(folder):
            self._queue.put(name)
        self._thread = threading.Thread(target=self._empty, name="naru-trash", daemon=True)
        self._thread.start()

    def throw(self, path: str) -> None:
        """Raises OSError, not for a path that does not exist. What is on another file system is deleted before it returns."""
        self._thrown += 1
        name = f"{self._series}-{self._thrown}"
        try:
            os.rename(path, os.path.join(self._folder, name))
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            remove_tree(path)
            return
        self._queue.put(name)

    def _empty(self) -> None:
        while (name := self._queue.get()) is not None:
            try:
                remove_tree(os.path.join(self._folder, name))
            except OSError as error:
                log.error("%s cannot be deleted: %s", error.filename, error.strerror)

    def close(self) -> None:
        """Everything thrown so far is deleted when this returns."""
        self._queue.put(None)
        self._thread.join()
