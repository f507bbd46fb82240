"""A seccomp profile as Docker's users write it → the one of the runtime spec (config-linux.md "Seccomp"). Pure.

Docker's format adds to the runtime's: rules for some capabilities, machines or kernels only, one `name` instead of
`names`, and `archMap`. Errors are Internal, for Docker finds them when the container is started.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from naru.errors import Internal, InvalidArgument
from naru.wire.decode import parse_json

Json = dict[str, Any]
_REFUSED = (
    "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: "
)
_ACTIONS = {
    f"SCMP_ACT_{name}"
    for name in ("KILL", "KILL_PROCESS", "KILL_THREAD", "ERRNO", "TRAP", "ALLOW", "TRACE", "LOG", "NOTIFY")
}
_MACHINES = {"x86_64": ("amd64", "SCMP_ARCH_X86_64"), "aarch64": ("arm64", "SCMP_ARCH_AARCH64")}  # Go's name, seccomp's
_KEPT = ("defaultAction", "defaultErrnoRet", "flags", "listenerPath", "listenerMetadata")
_NUMBERS = re.compile(r"(\d+)\.(\d+)")


def convert(text: str, capabilities: Collection[str], machine: str, kernel: tuple[int, int]) -> Json | None:
    """None for a profile that says nothing, which is none at all. `capabilities` are the bounding set. Raises Internal."""
    try:
        profile = parse_json(text.encode())
    except InvalidArgument as error:
        words = str(error).removeprefix("invalid JSON: ").replace("unexpected EOF", "unexpected end of JSON input")
        raise Internal(f"Decoding seccomp profile failed: {words}") from error
    if not isinstance(profile, dict):
        raise Internal("Decoding seccomp profile failed: json: cannot unmarshal into Go value of type seccomp.Seccomp")
    rules = profile.get("syscalls") or []
    if not profile.get("defaultAction") and not rules:
        return None
    out: Json = {key: profile[key] for key in _KEPT if profile.get(key) is not None}
    architectures = _architectures(profile, machine)
    if architectures:
        out["architectures"] = architectures
    go_name = _MACHINES.get(machine, (machine, ""))[0]
    try:
        out["syscalls"] = [_rule(rule) for rule in rules if _applies(rule, capabilities, go_name, kernel)]
    except (TypeError, AttributeError, KeyError) as error:
        raise Internal(f"Decoding seccomp profile failed: {error}") from error
    for action in (out.get("defaultAction", ""), *(rule["action"] for rule in out["syscalls"])):
        if action not in _ACTIONS:
            raise Internal(f"{_REFUSED}string {action} is not a valid action for seccomp")
    return out


def _architectures(profile: Json, machine: str) -> list[str]:
    given, mapped = profile.get("architectures") or [], profile.get("archMap") or []
    if given and mapped:
        raise Internal(
            "both 'architectures' and 'archMap' are specified in the seccomp profile, use either 'architectures' or 'archMap'"
        )
    native = _MACHINES.get(machine, ("", ""))[1]
    for entry in mapped:
        if entry.get("architecture") == native:
            return [native, *(entry.get("subArchitectures") or [])]
    return list(given)


def _rule(rule: Json) -> Json:
    names = list(rule.get("names") or [])
    if rule.get("name"):
        if names:
            raise Internal("both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'")
        names = [rule["name"]]
    out: Json = {"names": names, "action": rule.get("action", "")}
    if rule.get("errnoRet") is not None:
        out["errnoRet"] = rule["errnoRet"]
    if rule.get("args"):
        out["args"] = rule["args"]
    return out


def _applies(rule: Json, capabilities: Collection[str], machine: str, kernel: tuple[int, int]) -> bool:
    wanted, unwanted = rule.get("includes") or {}, rule.get("excludes") or {}
    if wanted.get("arches") and machine not in wanted["arches"]:
        return False
    if machine in (unwanted.get("arches") or []):
        return False
    if any(name not in capabilities for name in wanted.get("caps") or []):
        return False
    if any(name in capabilities for name in unwanted.get("caps") or []):
        return False
    least, below = wanted.get("minKernel"), unwanted.get("minKernel")
    return not (least and kernel < _version(least)) and not (below and kernel >= _version(below))


def _version(text: str) -> tuple[int, int]:
    match = _NUMBERS.fullmatch(text)
    if match is None:
        raise Internal(
            f'Decoding seccomp profile failed: invalid kernel version: "{text}", expected "<kernel>.<major>"'
        )
    return int(match[1]), int(match[2])
