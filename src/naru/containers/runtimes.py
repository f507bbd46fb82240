"""Which OCI runtime a container has: those of daemon.json's `runtimes` by name, and the daemon's own.

`runc` and `io.containerd.runc.v2`, which clients send, mean the daemon's unless they are defined; `crun` is crun where it is installed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from naru.containers.monitor import RUNTIME_LABEL, Runtime
from naru.errors import Internal, InvalidArgument

SHIM = "io.containerd.runc.v2"  # what Docker calls the way of running runc; the only one that we have
OWN = ("", RUNTIME_LABEL, SHIM)
_SHIM = re.compile(r"io\.containerd\.[a-z0-9-]+\.v[0-9]+")  # Docker takes any such name until it starts one


@dataclass(frozen=True, slots=True)
class Definition:
    path: str  # of the program, or its name
    arguments: tuple[str, ...] = ()  # before the command's


def definitions(texts: Iterable[str]) -> dict[str, Definition]:
    """Of `name=path` and `name={"path": …, "runtimeArgs": […]}`, the last of a name winning. Raises InvalidArgument."""
    out = {}
    for text in texts:
        name, separator, rest = text.partition("=")
        if not name or not separator or not rest:
            raise InvalidArgument(f"invalid runtime {text!r}: must be NAME=PATH")
        out[name] = _definition(name, json.loads(rest)) if rest.startswith("{") else Definition(rest)
    return out


def _definition(name: str, value: Mapping[str, Any]) -> Definition:
    unknown = sorted(set(value) - {"path", "runtimeArgs"})
    if unknown:
        raise InvalidArgument(
            f"runtime {name}: {', '.join(unknown)}: there are no shims here, only path and runtimeArgs"
        )
    path, arguments = value.get("path"), value.get("runtimeArgs") or []
    if not isinstance(path, str) or not path:
        raise InvalidArgument(f"runtime {name}: path is missing")
    if not isinstance(arguments, list) or not all(isinstance(word, str) for word in arguments):
        raise InvalidArgument(f"runtime {name}: runtimeArgs is not a list of strings")
    return Definition(path, tuple(arguments))


class Runtimes:
    """`own` is the daemon's; `default` the name of one of the others, which new containers have instead."""

    def __init__(self, own: Runtime, defined: Mapping[str, Definition], default: str = "") -> None:
        self._own = own
        self._defined = dict(defined)
        self.default = default if default in self._defined else own.label
        self._made: dict[str, Runtime] = {}

    def check(self, name: str) -> None:
        """Raises InvalidArgument for a name that means nothing."""
        if name not in (*OWN, "crun", *self._defined) and not _SHIM.fullmatch(name):
            raise InvalidArgument(f"unknown or invalid runtime name: {name}")

    def of(self, name: str) -> Runtime:
        """Made when it is first wanted. Raises FileNotFoundError if its program is not there, Internal for a shim."""
        definition = self._defined.get(name)
        if definition is None and name == "crun" and self._own.name != "crun" and "crun" in self._own.host.programs:
            definition = Definition("crun")
        if definition is None:
            if name not in (*OWN, "crun"):
                raise _not_installed(name)
            return self._own
        if name not in self._made:
            self._made[name] = self._own.another(definition.path, definition.arguments, label=name)
        return self._made[name]

    def shown(self) -> dict[str, dict[str, Any]]:
        """As `info` has them."""
        programs = self._own.host.programs
        own = {"path": programs.get(self._own.name, self._own.name)}
        out: dict[str, dict[str, Any]] = {self._own.label: own, SHIM: own, self._own.name: own}
        for name, definition in self._defined.items():
            arguments = {"runtimeArgs": list(definition.arguments)} if definition.arguments else {}
            out[name] = {"path": definition.path, **arguments}
        return out


def _not_installed(name: str) -> Internal:
    if not _SHIM.fullmatch(name):
        return Internal(f"unknown or invalid runtime name: {name}")
    kind, version = name.split(".")[-2:]
    return Internal(
        f'failed to create task for container: failed to start shim: failed to resolve runtime path: runtime "{name}" '
        f'binary not installed "containerd-shim-{kind}-{version}": file does not exist'
    )
