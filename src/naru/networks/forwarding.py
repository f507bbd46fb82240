"""The host as a router: what the kernel must be told once before it passes packets on. Blocks."""

from __future__ import annotations

import os

from naru.linux import netns

_CONF6 = "/proc/sys/net/ipv6/conf"


def allow(version: int) -> None:
    """The host forwards packets of this IP version when this returns. Raises OSError.

    A host that forwards IPv6 is a router, and a router believes no router advertisement: one that got its own address and
    default route by them would lose both. So an interface that believes them now is told to go on (accept_ra = 2).
    """
    if version == 4:
        netns.write_sysctl("ipv4/ip_forward", "1")
        return
    if netns.read_sysctl("ipv6/conf/all/forwarding") in ("1", None):
        return
    for interface in os.listdir(_CONF6):
        if interface not in ("all", "default", "lo") and netns.read_sysctl(f"ipv6/conf/{interface}/accept_ra") == "1":
            netns.write_sysctl(f"ipv6/conf/{interface}/accept_ra", "2")
    netns.write_sysctl("ipv6/conf/all/forwarding", "1")
