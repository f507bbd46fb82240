"""Seccomp profiles as users write them, in Docker's format and in the runtime's own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from naru.containers.seccompfile import convert
from naru.errors import Internal

CAPS = ("CAP_CHOWN", "CAP_SYS_PTRACE")


def made(profile: Any, machine: str = "x86_64", kernel: tuple[int, int] = (5, 15)) -> dict[str, Any] | None:
    return convert(json.dumps(profile), CAPS, machine, kernel)


def allowed(**rule: Any) -> list[str]:
    profile = made(
        {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["x"], "action": "SCMP_ACT_ALLOW", **rule}]}
    )
    assert profile is not None
    return [name for entry in profile["syscalls"] for name in entry["names"]]


def test_the_runtimes_own_format_is_kept() -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1, "architectures": ["SCMP_ARCH_X86"], "flags": ["SECCOMP_FILTER_FLAG_LOG"],
        "syscalls": [{"names": ["a"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5, "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}],
    }  # fmt: skip
    assert made(profile) == profile


@pytest.mark.parametrize(
    ("rule", "applies"),
    [
        ({"name": "x", "names": []}, True),
        ({"includes": {"caps": ["CAP_CHOWN"]}}, True),
        ({"includes": {"caps": ["CAP_CHOWN", "CAP_SYS_ADMIN"]}}, False),
        ({"excludes": {"caps": ["CAP_SYS_PTRACE"]}}, False),
        ({"includes": {"arches": ["amd64", "x32"]}}, True),
        ({"includes": {"arches": ["arm64"]}}, False),
        ({"excludes": {"arches": ["amd64"]}}, False),
        ({"includes": {"minKernel": "4.8"}}, True),
        ({"includes": {"minKernel": "6.1"}}, False),
        ({"excludes": {"minKernel": "5.15"}}, False),
        ({"includes": {}, "excludes": {}, "args": []}, True),
    ],
)
def test_rules_for_some(rule: dict[str, Any], applies: bool) -> None:
    assert allowed(**rule) == (["x"] if applies else [])


@pytest.mark.parametrize(
    ("machine", "architectures"),
    [("x86_64", ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]), ("aarch64", None)],
)
def test_architectures(machine: str, architectures: list[str] | None) -> None:
    mapped = [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}]
    profile = made({"defaultAction": "SCMP_ACT_ALLOW", "archMap": mapped}, machine)
    assert profile is not None and profile.get("architectures") == architectures


def test_a_profile_that_says_nothing_is_none() -> None:
    assert made({}) is None and made({"syscalls": []}) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("?", "Decoding seccomp profile failed: invalid character '?' looking for beginning of value"),
        ("{", "Decoding seccomp profile failed: unexpected end of JSON input"),
        ('{"defaultAction": "FOO"}', "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: string FOO is not a valid action for seccomp"),
        ('{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["x"], "archMap": [{}]}', "both 'architectures' and 'archMap' are specified in the seccomp profile, use either 'architectures' or 'archMap'"),
        ('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "a", "names": ["b"]}]}', "both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'"),
        ('{"syscalls": [{"name": "a", "includes": {"minKernel": "x"}}]}', 'Decoding seccomp profile failed: invalid kernel version: "x", expected "<kernel>.<major>"'),
    ],
)  # fmt: skip
def test_what_is_no_profile(text: str, words: str) -> None:
    with pytest.raises(Internal) as caught:
        convert(text, CAPS, "x86_64", (5, 15))
    assert str(caught.value) == words
