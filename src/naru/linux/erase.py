"""Deleting trees that strangers made: of any depth, with neither recursion nor a path longer than the kernel takes.

shutil.rmtree (Python 3.11) recurses, and ends at some thousand levels; a container makes more with `mkdir` and `cd`.
The unpacking child loads this for each archive: it imports next to nothing.
"""

from __future__ import annotations

import errno
import os

_DEEP = 400


def remove_tree(path: str) -> None:
    """Delete path and all below it, following no link. Raises OSError, not for a path that does not exist."""
    pending = [path]
    moved = 0
    while pending:
        folder = pending[-1]
        inside: list[str] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        inside.append(entry.path)
                    else:
                        os.unlink(entry.path)
        except FileNotFoundError:
            pending.pop()
            continue
        except NotADirectoryError:  # path itself is a file
            os.unlink(folder)
            return
        if not inside:
            try:
                os.rmdir(folder)
            except OSError as error:
                if error.errno != errno.ENOTEMPTY:
                    raise
                continue  # the last write of a child that is just ending: look again
            pending.pop()
        for deeper in inside:
            if len(deeper) > _DEEP + len(path):  # too deep to reach by name: bring it up beneath the top
                moved += 1
                shallow = f"{path}/.naru-removed-{moved}"
                os.rename(deeper, shallow)
                deeper = shallow
            pending.append(deeper)
