"""AppArmor's profile of containers that ask for no other: `docker-default`, of which tools know the name.

What it forbids is what Docker's does: mounting, writing to /proc and /sys outside of what is the container's own, AF_ALG
sockets, and touching processes of others. It is loaded when a container needs it and it is not there, whoever took it away. On
hosts without AppArmor nothing of this happens.
"""

from __future__ import annotations

import os
import shutil

from naru.errors import Internal
from naru.linux import process

DEFAULT_PROFILE = "docker-default"
LOADED = "/sys/kernel/security/apparmor/profiles"  # a line each: name (mode)
_ERROR_BYTES = 4096

# AppArmor has no exceptions from a deny, so everything but a prefix is spelled out letter by letter.
_WRITES = (
    "/proc/*",
    *(f"/proc/{rest}/**" for rest in ("[^0-9s]*", "s[^y]*", "sy[^s]*")),
    *(f"/proc/sys/{rest}" for rest in ("[^k]**", "k[^e]**", "ke[^r]**")),
    *(f"/proc/sys/kernel/{rest}" for rest in ("[^s]**", "s[^h]**", "sh[^m]**")),
)
_CHANGES = tuple(f"/sys/{rest}" for rest in ("[^f]**", "f[^s]**", "fs/[^c]**", "fs/c[^g]**", "fs/cg[^r]**"))
_ALL = (
    "/proc/sysrq-trigger", "/proc/kcore", "/sys/firmware/**", "/sys/devices/virtual/powercap/**", "/sys/kernel/security/**",
)  # fmt: skip
_SIGNAL_FROM = ("unconfined", "runc", "crun")


def text(name: str = DEFAULT_PROFILE) -> str:
    """The profile in AppArmor's language (apparmor.d(5)), without includes. Pure."""
    rules = [
        "network", "capability", "file", "umount",
        *(f"signal (receive) peer={peer}" for peer in _SIGNAL_FROM),
        f"signal (send, receive) peer={name}",
        f"ptrace (trace, read, tracedby, readby) peer={name}",
        "deny network alg", "deny mount",
        *(f"deny {path} w" for path in _WRITES),
        *(f"deny {path} wklx" for path in _CHANGES),
        *(f"deny {path} rwklx" for path in _ALL),
    ]  # fmt: skip
    body = "".join(f"  {rule},\n" for rule in rules)
    return f"profile {name} flags=(attach_disconnected,mediate_deleted) {{\n{body}}}\n"


def ensure(name: str, loaded: str = LOADED) -> None:
    """The default profile, if that is the one, is loaded when this returns; one of the user's own is the user's. Blocks.
    Raises Internal."""
    if name != DEFAULT_PROFILE:
        return
    with open(loaded) as file:
        if any(line.startswith(f"{name} (") for line in file):
            return
    _load(text())


def _load(profile: str) -> None:
    parser = shutil.which("apparmor_parser", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if parser is None:
        raise _failure("apparmor_parser is not installed: apt-get install apparmor")
    source, errors = (os.memfd_create(name, os.MFD_CLOEXEC) for name in ("profile", "stderr"))
    try:
        os.write(source, profile.encode())
        os.lseek(source, 0, os.SEEK_SET)
        code = process.wait(process.spawn([parser, "--replace", "--skip-cache"], env={}, fds={0: source, 2: errors}))
        if code != 0:
            raise _failure(os.pread(errors, _ERROR_BYTES, 0).decode("utf-8", "replace").strip())
    finally:
        os.close(source)
        os.close(errors)


def _failure(reason: str) -> Internal:
    return Internal(f"AppArmor enabled on system but the {DEFAULT_PROFILE} profile could not be loaded: {reason}")
