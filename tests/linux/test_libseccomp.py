"""What libseccomp compiles answers as the profile says: each filter is run here, as the kernel would, for every system call."""

from __future__ import annotations

import ctypes
import struct

import pytest

from naru.containers.runtimespec import ALL_CAPABILITIES, DEFAULT_CAPABILITIES
from naru.containers.seccomp import default_profile
from naru.linux.libseccomp import compile_profile

ALLOW, ERRNO = 0x7FFF0000, 0x00050000
X86_64, I386, X32_BIT = 0xC000003E, 0x40000003, 0x40000000  # <linux/audit.h>
NUMBERS = ctypes.CDLL("libseccomp.so.2")
NUMBERS.seccomp_syscall_resolve_num_arch.restype = ctypes.c_char_p
CLONE, SOCKET, PERSONALITY, CLONE3, UNSHARE, OPEN_BY_HANDLE_AT = 56, 41, 135, 435, 272, 304


def run(program: bytes, number: int, architecture: int = X86_64, argument: int = 0) -> int:
    return trace(program, number, architecture, argument)[0]


def trace(program: bytes, number: int, architecture: int, argument: int) -> tuple[int, int]:
    """(answer, instructions done). The instructions that a seccomp filter may have are those of <linux/bpf_common.h>; `argument`
    is the call's first."""
    steps = 0
    data = struct.pack("=iIQ6Q", number, architecture, 0, argument, 0, 0, 0, 0, 0)
    at = accumulator = 0
    while True:
        code, jt, jf, k = struct.unpack_from("=HBBI", program, at * 8)
        at += 1
        steps += 1
        if code == 0x20:  # ld [k]
            [accumulator] = struct.unpack_from("=I", data, k)
        elif code == 0x54:  # and #k
            accumulator &= k
        elif code == 0x05:  # ja
            at += k
        elif code == 0x06:  # ret #k
            return k, steps
        else:  # jeq, jgt, jge
            met = {0x15: accumulator == k, 0x25: accumulator > k, 0x35: accumulator >= k}[code]
            at += jt if met else jf


def names(architecture: int, bit: int = 0) -> dict[int, str]:
    out = {}
    for number in range(600):
        name = NUMBERS.seccomp_syscall_resolve_num_arch(ctypes.c_uint32(architecture), number | bit)
        if name:
            out[number | bit] = name.decode()
    return out


@pytest.mark.parametrize("capabilities", [DEFAULT_CAPABILITIES, ALL_CAPABILITIES], ids=["default", "all"])
@pytest.mark.parametrize("architecture", [X86_64, I386])
def test_every_system_call(capabilities: tuple[str, ...], architecture: int) -> None:
    profile = default_profile(frozenset(capabilities), "x86_64")
    program = compile_profile(profile)
    always = {
        name for rule in profile["syscalls"] if "args" not in rule and "errnoRet" not in rule for name in rule["names"]
    }
    sometimes = {name for rule in profile["syscalls"] for name in rule["names"]} - always
    known = names(architecture)
    assert len(known) > 340
    for number, name in known.items():
        if name not in sometimes and name not in ("socketcall", "ipc"):
            assert run(program, number, architecture) == (ALLOW if name in always else ERRNO | 1), name


def test_what_depends_on_an_argument() -> None:
    program = compile_profile(default_profile(frozenset(DEFAULT_CAPABILITIES), "x86_64"))
    refused = ERRNO | 1
    assert run(program, CLONE, argument=0x11) == ALLOW
    assert run(program, CLONE, argument=0x10000011) == run(program, CLONE, argument=0x20000) == refused
    assert run(program, CLONE3) == ERRNO | 38
    assert run(program, UNSHARE) == run(program, OPEN_BY_HANDLE_AT) == refused
    assert [family for family in range(60) if run(program, SOCKET, argument=family) == refused] == [38, 40]
    assert [p for p in (0, 1, 8, 9, 0x20000, 0x20008, 0x40000) if run(program, PERSONALITY, argument=p) == refused] == [
        1,
        9,
        0x40000,
    ]
    assert run(program, CLONE | X32_BIT, argument=0x20000) == refused


def test_another_architecture_is_killed_as_libseccomp_does() -> None:
    program = compile_profile(default_profile(frozenset(DEFAULT_CAPABILITIES), "x86_64"))
    assert run(program, 0, architecture=0xC00000B7) == run(program, 1, architecture=0xC00000B7)  # aarch64
    assert run(program, 0, architecture=0xC00000B7) != ALLOW


def test_no_way_through_it_is_long() -> None:
    """The kernel goes it once for each of its system calls when it is loaded; in a list it would be some hundreds of steps."""
    program = compile_profile(default_profile(frozenset(DEFAULT_CAPABILITIES), "x86_64"))
    assert max(trace(program, number, X86_64, 0)[1] for number in range(600)) < 60
