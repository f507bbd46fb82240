"""Which OCI runtime a container has: programs by label, and who has chosen another one than the daemon's own.

The daemon's own runtime is called runc, whatever program it is: clients compare that name. Pure but for memory.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from naru.errors import InvalidArgument

LABEL = "runc"
_OWN = ("", LABEL, "crun", "io.containerd.runc.v2")
_SHIM = re.compile(r"io\.containerd\.[a-z0-9-]+\.v[0-9]+")  # Docker takes any such name until it starts one


@dataclass(frozen=True, slots=True)
class Program:
    """What is executed, and the words that come before each of its commands."""

    path: str
    arguments: tuple[str, ...] = ()
    name: str = ""  # of the program, where `path` does not end in it
    takes_filter: bool = False  # a compiled seccomp profile, in an annotation (`seccompfilter`)

    @property
    def is_crun(self) -> bool:
        return (self.name or os.path.basename(self.path)) == "crun"

    def command(self, root: str) -> list[str]:
        """With the root directory of its state."""
        manager = ["--cgroup-manager=cgroupfs"] if self.is_crun else []
        return [self.path, f"--root={root}", *manager, *self.arguments]


class Runtimes:
    def __init__(self, own: Program, named: Mapping[str, Program], default: str = "") -> None:
        self.own = own
        self.configure(named, default)
        self._chosen: dict[str, str] = {}  # container id → label, of those that have one of `named`

    def configure(self, named: Mapping[str, Program], default: str) -> None:
        """`default`: the label of the runtime of containers that name none."""
        self.named = dict(named)
        self.default = LABEL if default in _OWN else default

    def check(self, label: str) -> None:
        """Raises InvalidArgument for a label that nobody has defined."""
        if label not in _OWN and label not in self.named and not _SHIM.fullmatch(label):
            raise InvalidArgument(f"unknown or invalid runtime name: {label}")

    def choose(self, id: str, label: str) -> None:
        """From now on this container has the runtime with this label; one that is not known is missed when it is used."""
        if label in _OWN:
            self._chosen.pop(id, None)
        else:
            self._chosen[id] = label

    def of(self, id: str) -> Program:
        """Raises InvalidArgument if it was chosen and is defined no more."""
        label = self._chosen.get(id)
        if label is None:
            return self.own
        if label not in self.named:
            raise InvalidArgument(f"unknown or invalid runtime name: {label}")
        return self.named[label]
