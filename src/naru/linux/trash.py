"""What is to be deleted, out of the way first."""

from __future__ import annotations

import errno
import logging
import os
import secrets

from naru.linux.afterwards import Afterwards
from naru.linux.erase import remove_tree

log = logging.getLogger(__name__)
_DELAY_S = 0.3


class Trash:
    """A directory, emptied in a thread: what is thrown into it is gone from its place at once, and nobody waits for the
    deletion. What a crash left in it goes at the next start."""

    def __init__(self, folder: str) -> None:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        self._folder = folder
        self._series = secrets.token_hex(4)
        self._thrown = 0
        self._later = Afterwards("naru-trash", self._delete, _DELAY_S)
        for name in os.listdir(folder):
            self._later.add(name)

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
        self._later.add(name)

    def _delete(self, name: str) -> None:
        try:
            remove_tree(os.path.join(self._folder, name))
        except OSError as error:
            log.error("%s cannot be deleted: %s", error.filename, error.strerror)

    def close(self) -> None:
        """Everything thrown so far is deleted when this returns."""
        self._later.close()
