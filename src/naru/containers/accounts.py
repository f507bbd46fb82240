"""Who a name in an image is: the image's own passwd and group, read without trusting them.

The one reader for containers and builds. A file that is missing, or that is none (a FIFO, a directory, a link to nowhere),
has no entries: nothing hangs, nothing is followed out of the root, and only those who are named by name are not found.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence

from naru.containers.users import FILE_LIMIT_BYTES, User, resolve
from naru.errors import InvalidArgument
from naru.linux.files import Root

_NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.EINVAL, errno.ELOOP, errno.EACCES, errno.ENXIO)


def find_user(root: Root, spec: str, groups: Sequence[str]) -> User:
    """Raises InvalidArgument in Docker's words, OSError."""
    return resolve(spec, groups, _text(root, "/etc/passwd"), _text(root, "/etc/group"))


def _text(root: Root, path: str) -> str:
    try:
        data = root.read(path, FILE_LIMIT_BYTES + 1)
    except OSError as error:
        if error.errno in _NO_FILE:
            return ""
        raise
    if len(data) > FILE_LIMIT_BYTES:
        raise InvalidArgument(f"{path} of the image is larger than {FILE_LIMIT_BYTES} bytes")
    return data.decode("utf-8", "replace")
