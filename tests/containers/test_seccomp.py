"""The default seccomp profile: the points that matter, and the counts of Docker's own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from naru.containers.runtimespec import ALL_CAPABILITIES, DEFAULT_CAPABILITIES
from naru.containers.seccomp import ALWAYS, default_profile

DEFAULT = frozenset(DEFAULT_CAPABILITIES)
NEVER = """io_uring_setup io_uring_enter io_uring_register userfaultfd keyctl add_key request_key kexec_load pivot_root move_pages swapon
nfsservctl sysfs uselib ustat _sysctl create_module query_module vm86 listns open_tree_attr file_getattr file_setattr""".split()


def verdict(profile: dict[str, Any], name: str, *arguments: int) -> str | int:
    """What the profile answers to a call: "allow" or the error number."""
    for rule in profile["syscalls"]:
        if name in rule["names"] and all(_matches(arg, arguments) for arg in rule.get("args", [])):
            return "allow" if rule["action"] == "SCMP_ACT_ALLOW" else int(rule["errnoRet"])
    return int(profile["defaultErrnoRet"])


def _matches(arg: dict[str, Any], arguments: tuple[int, ...]) -> bool:
    value, wanted = arguments[arg["index"]], arg["value"]
    return {
        "SCMP_CMP_LT": value < wanted, "SCMP_CMP_EQ": value == wanted, "SCMP_CMP_GT": value > wanted,
        "SCMP_CMP_MASKED_EQ": value & wanted == arg.get("valueTwo", 0),
    }[arg["op"]]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "arguments", "answer"),
    [
        ("read", (), "allow"),
        ("clone3", (), 38),
        ("clone", (0x11,), "allow"),
        ("clone", (0x10000000 | 0x11,), 1),  # CLONE_NEWUSER
        ("clone", (0x20000,), 1),  # CLONE_NEWNS
        ("unshare", (), 1),
        ("mount", (), 1),
        ("bpf", (), 1),
        ("ptrace", (), "allow"),
        ("chroot", (), "allow"),
        ("arch_prctl", (), "allow"),
        ("socket", (2,), "allow"),
        ("socket", (16,), "allow"),
        ("socket", (39,), "allow"),
        ("socket", (41,), "allow"),
        ("socket", (38,), 1),  # AF_ALG
        ("socket", (40,), 1),  # AF_VSOCK
        ("personality", (0,), "allow"),
        ("personality", (0xFFFFFFFF,), "allow"),
        ("personality", (1,), 1),
        ("nonsense", (), 1),
    ],
)
def test_default(call: str, arguments: tuple[int, ...], answer: str | int) -> None:
    assert verdict(default_profile(DEFAULT, "x86_64"), call, *arguments) == answer


def test_counts_are_those_of_dockers_profile() -> None:
    assert len(ALWAYS) == len(set(ALWAYS)) == 361
    allowed = {
        name
        for rule in default_profile(DEFAULT, "x86_64")["syscalls"]
        if rule["action"] == "SCMP_ACT_ALLOW"
        for name in rule["names"]
    }
    assert len(allowed) == 370


@pytest.mark.parametrize("name", NEVER)
def test_never_whatever_the_capabilities(name: str) -> None:
    assert verdict(default_profile(frozenset(ALL_CAPABILITIES), "x86_64"), name) == 1


@pytest.mark.parametrize(
    ("capability", "call"),
    [
        ("CAP_SYS_ADMIN", "mount"), ("CAP_SYS_ADMIN", "setns"), ("CAP_SYS_ADMIN", "clone3"), ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
        ("CAP_SYS_PTRACE", "kcmp"), ("CAP_SYS_MODULE", "init_module"), ("CAP_SYS_BOOT", "reboot"), ("CAP_SYS_TIME", "settimeofday"),
        ("CAP_SYS_NICE", "mbind"), ("CAP_SYSLOG", "syslog"), ("CAP_BPF", "bpf"), ("CAP_PERFMON", "perf_event_open"),
        ("CAP_SYS_RAWIO", "iopl"), ("CAP_SYS_PACCT", "acct"), ("CAP_SYS_TTY_CONFIG", "vhangup"),
    ],
)  # fmt: skip
def test_calls_that_come_with_a_capability(capability: str, call: str) -> None:
    assert verdict(default_profile(DEFAULT, "x86_64"), call) != "allow"
    assert verdict(default_profile(DEFAULT | {capability}, "x86_64"), call) == "allow"


def test_same_capabilities_same_bytes() -> None:
    one = json.dumps(default_profile(frozenset(DEFAULT_CAPABILITIES), "x86_64"))
    default_profile.cache_clear()
    assert json.dumps(default_profile(frozenset(reversed(DEFAULT_CAPABILITIES)), "x86_64")) == one
