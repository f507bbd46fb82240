"""What runs of a daemon that has ended, read from /proc, so that nothing has to be remembered.

A conmon is known by its bundle's path, the runtime by its state directory: both are in their command lines, and both are
below the daemon's `--exec-root`.
"""

from __future__ import annotations

import os

from naru.linux.identity import Process

_CREATING = (b"create", b"run", b"restore")


def find(exec_root: str) -> tuple[dict[str, Process], list[tuple[str, Process]]]:
    """The conmon processes by container id; and the runtime's own that are in the middle of creating a container, with its id."""
    bundles, state = f"{exec_root}/containers/".encode(), f"--root={exec_root}/runtime".encode()
    monitors, creating = {}, []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                words = file.read().removesuffix(b"\0").split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if (found := Process.of(int(entry))) is None:
            continue
        if b"-b" in words and words[0].endswith(b"conmon"):
            bundle = words[words.index(b"-b") + 1]
            if bundle.startswith(bundles):
                monitors[bundle.removeprefix(bundles).decode()] = found
        elif state in words and next((w for w in words[1:] if not w.startswith(b"-")), b"") in _CREATING:
            creating.append((words[-1].decode(), found))
    return monitors, creating
