"""Seccomp filters compiled by libseccomp, in process: the profile of the runtime spec goes in, classic BPF comes out.

The runtime does the same, but always as a list of comparisons. We ask for a binary tree: the kernel takes it in a third of the
time (it runs a new filter once for every system call, to know which ones are always allowed), and so does a system
call that it cannot know beforehand. Library: seccomp_init(3) and what it refers to, 2.5 or newer.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cache
from typing import Any

_SONAME = "libseccomp.so.2"
# <seccomp.h>
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_OPTIMIZE, _BINARY_TREE = 8, 2
_UNKNOWN = -1
_COMPARISONS = {f"SCMP_CMP_{n}": i for i, n in enumerate(("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"), start=1)}
_LARGEST = 8 * 4096  # BPF_MAXINSNS of <linux/bpf_common.h>, in bytes


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("value", ctypes.c_uint64),
        ("second_value", ctypes.c_uint64),
    )


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(_SONAME)
    context = ctypes.c_void_p
    library.seccomp_init.restype, library.seccomp_init.argtypes = context, [ctypes.c_uint32]
    library.seccomp_release.restype, library.seccomp_release.argtypes = None, [context]
    library.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    library.seccomp_arch_resolve_name.argtypes = library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    library.seccomp_arch_add.argtypes = [context, ctypes.c_uint32]
    library.seccomp_attr_set.argtypes = [context, ctypes.c_int, ctypes.c_uint32]
    library.seccomp_rule_add_array.argtypes = [
        context, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(_Comparison),
    ]  # fmt: skip
    library.seccomp_export_bpf.argtypes = [context, ctypes.c_int]
    return library


def compile_profile(profile: Mapping[str, Any]) -> bytes:
    """`linux.seccomp` of the runtime spec (config-linux.md "Seccomp"), with no actions but ALLOW and ERRNO, as an array of
    `struct sock_filter`. System calls that the library has never heard of are left out. Raises OSError."""
    library = _library()
    with ExitStack() as undo:
        context = library.seccomp_init(_action(profile["defaultAction"], profile.get("defaultErrnoRet")))
        if context is None:
            raise OSError(errno.ENOMEM, "seccomp_init failed")
        undo.callback(library.seccomp_release, context)
        for name in profile.get("architectures", ()):
            token = library.seccomp_arch_resolve_name(name.removeprefix("SCMP_ARCH_").lower().encode())
            _check(library.seccomp_arch_add(context, token), f"seccomp_arch_add {name}", but=errno.EEXIST)
        _check(library.seccomp_attr_set(context, _OPTIMIZE, _BINARY_TREE), "seccomp_attr_set")
        for rule in profile["syscalls"]:
            action, comparisons = _action(rule["action"], rule.get("errnoRet")), _comparisons(rule.get("args", ()))
            for name in rule["names"]:
                number = library.seccomp_syscall_resolve_name(name.encode())
                if number != _UNKNOWN:
                    answer = library.seccomp_rule_add_array(context, action, number, len(comparisons), comparisons)
                    _check(answer, f"seccomp_rule_add_array {name}")
        program = os.memfd_create("seccomp", os.MFD_CLOEXEC)
        undo.callback(os.close, program)
        _check(library.seccomp_export_bpf(context, program), "seccomp_export_bpf")
        return os.pread(program, _LARGEST, 0)


def _action(name: str, errno_ret: int | None) -> int:
    return {"SCMP_ACT_ALLOW": _ALLOW, "SCMP_ACT_ERRNO": _ERRNO | (errno.EPERM if errno_ret is None else errno_ret)}[
        name
    ]


def _comparisons(arguments: Any) -> Any:
    return (_Comparison * len(arguments))(
        *(_Comparison(a["index"], _COMPARISONS[a["op"]], a["value"], a.get("valueTwo", 0)) for a in arguments)
    )


def _check(answer: int, what: str, *, but: int = 0) -> None:
    if answer < 0 and -answer != but:
        raise OSError(-answer, f"{what}: {os.strerror(-answer)}")
