"""posix_spawn(3) without the interpreter's lock, which `os.posix_spawn` keeps until the child has called execve: a millisecond or
more, on a busy machine, in which no other thread runs.

The C library's own (glibc and musl): its file actions and attributes are opaque, and fit in the room given here.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterable, Mapping, Sequence

_libc = ctypes.CDLL(None)
_OPAQUE_BYTES = 1024  # glibc: 80 for file actions, 336 for attributes, 128 for a set of signals
_SETSIGDEF, _SETSIGMASK, _SETSID = 0x04, 0x08, 0x80  # <spawn.h>, the same in both


def spawn(
    argv: Sequence[str],
    env: Mapping[str, str],
    fds: Mapping[int, int | str],
    *,
    new_session: bool,
    default_signals: Iterable[int],
) -> int:
    """The pid of argv[0] (an absolute path), started with an empty signal mask. `fds` maps each of the child's descriptors to
    one of ours (which none of the child's is), or to a file that it opens for reading and writing. Raises OSError."""
    actions, attributes, signals = (ctypes.create_string_buffer(_OPAQUE_BYTES) for _ in range(3))
    _check(_libc.posix_spawn_file_actions_init(actions))
    _check(_libc.posix_spawnattr_init(attributes))
    try:
        for child, ours in fds.items():
            if isinstance(ours, str):
                _check(_libc.posix_spawn_file_actions_addopen(actions, child, os.fsencode(ours), os.O_RDWR, 0))
            else:
                _check(_libc.posix_spawn_file_actions_adddup2(actions, ours, child))
        flags = _SETSIGDEF | _SETSIGMASK | (_SETSID if new_session else 0)
        _check(_libc.posix_spawnattr_setflags(attributes, ctypes.c_short(flags)))
        _check(_libc.sigemptyset(signals))
        _check(_libc.posix_spawnattr_setsigmask(attributes, signals))
        for number in default_signals:
            _check(_libc.sigaddset(signals, number))
        _check(_libc.posix_spawnattr_setsigdefault(attributes, signals))
        pid = ctypes.c_int()
        words = _strings(argv)
        variables = _strings(f"{name}={value}" for name, value in env.items())
        _check(_libc.posix_spawn(ctypes.byref(pid), words[0], actions, attributes, words, variables))
        return pid.value
    finally:
        _libc.posix_spawnattr_destroy(attributes)
        _libc.posix_spawn_file_actions_destroy(actions)


def _strings(texts: Iterable[str]) -> ctypes.Array[ctypes.c_char_p]:
    encoded = [os.fsencode(text) for text in texts]
    if any(b"\0" in text for text in encoded):
        raise OSError(errno.EINVAL, "NUL in an argument or variable")
    return (ctypes.c_char_p * (len(encoded) + 1))(*encoded, None)


def _check(error: int) -> None:
    """These return an error's number (sigemptyset and the like: -1, for what cannot happen here)."""
    if error:
        raise OSError(error, os.strerror(error))
