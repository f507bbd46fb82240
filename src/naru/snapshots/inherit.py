"""Attributes of directories that a layer implies and does not state.

A layer with `etc/motd` and no entry for `etc` says nothing about `etc`: in the merged tree it must look as the layers
below made it. Unpacked by itself, though, the layer needs a directory there, and overlayfs shows the topmost one's
owner, mode, times and attributes. So these are copied up from below before the layer is committed.
The trees are strangers': every step is openat2 beneath the layer's own directory, following no link.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Sequence

from naru.linux import syscalls as sys
from naru.snapshots.extract import OPAQUE_XATTR, is_whiteout, kept_xattr
from naru.snapshots.walk import open_dir

_CONFINED = sys.RESOLVE_BENEATH | sys.RESOLVE_NO_SYMLINKS


def _open(root: int, path: str, flags: int) -> int:
    return sys.openat2(root, path or ".", flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0, _CONFINED)


def _opaque(fd: int) -> bool:
    return OPAQUE_XATTR in os.listxattr(fd)


def inherit(top: str, implied: Sequence[str], lower: Sequence[str]) -> None:
    """Give each implied directory of the tree `top` the attributes of the one that it is merged with, the highest of
    `lower` (trees, top first) that is visible there; those with nothing below them stay as they are. Raises OSError."""
    if not implied or not lower:
        return
    with contextlib.ExitStack() as stack:
        roots = []
        for path in (top, *lower):
            roots.append(open_dir(path))
            stack.callback(os.close, roots[-1])
        visible: dict[str, list[int]] = {}  # path → which of the lower trees show a directory there
        for path in implied:
            try:
                target = _open(roots[0], path, os.O_RDONLY | os.O_DIRECTORY)
            except OSError:
                continue  # reached through one of the layer's own links, or replaced by a later entry
            try:
                below = _merged_with(roots, path, visible)
                if below:
                    _copy_attributes(roots[below[0]], path, target)
            finally:
                os.close(target)


def _merged_with(roots: Sequence[int], path: str, visible: dict[str, list[int]]) -> list[int]:
    """Indices of the roots, below the first, whose directory at path shows through."""
    if path not in visible:
        candidates = list(range(1, len(roots)))
        if path:
            candidates = _merged_with(roots, path.rpartition("/")[0], visible)
        visible[path] = [] if _hides(roots[0], path) else _directories(roots, path, candidates)
    return visible[path]


def _hides(root: int, path: str) -> bool:
    try:
        fd = _open(root, path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return True
    try:
        return _opaque(fd)
    finally:
        os.close(fd)


def _directories(roots: Sequence[int], path: str, candidates: Sequence[int]) -> list[int]:
    shown = []
    for index in candidates:
        try:
            fd = _open(roots[index], path, os.O_PATH)
        except FileNotFoundError:
            continue
        try:
            found = os.fstat(fd)
        finally:
            os.close(fd)
        if is_whiteout(found) or not stat.S_ISDIR(found.st_mode):
            break
        shown.append(index)
        if _hides(roots[index], path):
            break
    return shown


def _copy_attributes(root: int, path: str, target: int) -> None:
    source = _open(root, path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        found = os.fstat(source)
        os.fchown(target, found.st_uid, found.st_gid)
        os.fchmod(target, stat.S_IMODE(found.st_mode))
        for name in filter(kept_xattr, os.listxattr(source)):
            os.setxattr(target, name, os.getxattr(source, name))
        os.utime(target, ns=(found.st_mtime_ns, found.st_mtime_ns))
    finally:
        os.close(source)
