"""`--security-opt` as one value: what each word asks for. Pure; the words are Docker's. Bad ones are its own fault (Internal)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from naru.errors import Internal
from naru.wire.container import HostConfig

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
_DISABLED = "label=disable"
UNCONFINED = "unconfined"


@dataclass(frozen=True, slots=True)
class SecurityOptions:
    apparmor: str = ""  # name of a profile, "unconfined"; "": the default
    seccomp: str = ""  # "unconfined", "builtin", a profile's JSON; "": the default
    no_new_privileges: bool = False
    writable_cgroups: bool | None = None  # None: as privileged as the container
    labels: tuple[str, ...] = ()  # of SELinux; hosts without it take them and do nothing


def parse(options: Iterable[str]) -> SecurityOptions:
    """The last word of a kind counts. Raises Internal."""
    out: dict[str, Any] = {}
    labels: list[str] = []
    for option in options:
        if option in _BARE:
            out[_BARE[option]] = True
            continue
        if option == "disable":
            labels.append(option)
            continue
        key, separator, value = option.partition("=" if "=" in option else ":")
        if not separator:
            raise Internal(f'invalid --security-opt 1: "{option}"')
        if key in ("apparmor", "seccomp"):
            out[key] = value
        elif key == "label":
            labels.append(value)
        elif key in _BARE and value in (*_TRUE, *_FALSE):
            out[_BARE[key]] = value in _TRUE
        else:
            raise Internal(f'invalid --security-opt 2: "{option}"')
    return SecurityOptions(labels=tuple(labels), **out)


_BARE = {"no-new-privileges": "no_new_privileges", "writable-cgroups": "writable_cgroups"}


def apparmor(options: Iterable[str]) -> str:
    """The profile alone, whatever else is said: for showing it."""
    return parse(option for option in options if option.startswith(("apparmor=", "apparmor:"))).apparmor


def with_label(host: HostConfig) -> list[str] | None:
    """The options with the label that Docker adds for a container that shares a namespace with the host, or is privileged."""
    options = host.security_opt
    if any(option.partition("=")[0] == "label" for option in options or []):
        return options
    if host.privileged or host.pid_mode == "host" or host.ipc_mode == "host":
        return [*(options or []), _DISABLED]
    return options
