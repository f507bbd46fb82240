"""Driver options of a network: which are checked, and how, in Docker's words (which are those of Go's parsers). Pure.

Options that nobody knows are kept and shown, and mean nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address

from naru.errors import Forbidden, Internal, InvalidArgument, NotFound
from naru.networks.records import (
    BRIDGE,
    GATEWAY_MODES,
    HOST,
    IPVLAN,
    ISOLATED,
    MACVLAN,
    NULL,
    OPTION_BINDING,
    OPTION_ICC,
    OPTION_INHIBIT,
    OPTION_MASQUERADE,
    OPTION_MODE,
    OPTION_MODE6,
    OPTION_MTU,
    OPTION_SOURCE,
    OPTION_SOURCE6,
)

OPTION_MACVLAN_MODE, OPTION_IPVLAN_MODE, OPTION_IPVLAN_FLAG = "macvlan_mode", "ipvlan_mode", "ipvlan_flag"
MACVLAN_MODES = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8}  # <linux/if_link.h>
IPVLAN_MODES = {"l2": 0, "l3": 1, "l3s": 2}
IPVLAN_FLAGS = {"bridge": 0, "private": 1, "vepa": 2}

BOOLEANS = ("1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False")
_MTU_LIMIT = 65535
_NO_SWARM = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm '
    "and try again."
)


def _bool(name: str, value: str) -> str:
    return "" if value in BOOLEANS else f'strconv.ParseBool: parsing "{value}": invalid syntax'


def _mtu(name: str, value: str) -> str:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", value):
        return f'strconv.Atoi: parsing "{value}": invalid syntax'
    if int(value) < 0:
        raise InvalidArgument(f"invalid MTU number: {value}")
    if int(value) > _MTU_LIMIT:
        raise Internal("invalid argument")
    return ""


def _mode(name: str, value: str) -> str:
    return "" if value in ("", *GATEWAY_MODES) else f"unknown gateway mode {value}"


def _ip(name: str, value: str) -> str:
    try:
        ip_address(value)
    except ValueError:
        return "nil ip"
    return ""


_Check = Callable[[str, str], str]  # (name, value) → what is wrong with it
_BRIDGE_CHECKS: Mapping[str, _Check] = {
    OPTION_ICC: _bool,
    OPTION_MASQUERADE: _bool,
    OPTION_INHIBIT: _bool,
    OPTION_MTU: _mtu,
    OPTION_MODE: _mode,
    OPTION_MODE6: _mode,
    OPTION_BINDING: _ip,
    OPTION_SOURCE: _ip,
    OPTION_SOURCE6: _ip,
}
_CHOICES = {
    MACVLAN: [(OPTION_MACVLAN_MODE, MACVLAN_MODES, "requested macvlan mode '{}' is not valid, 'bridge' mode is the macvlan driver default")],
    IPVLAN: [
        (OPTION_IPVLAN_MODE, IPVLAN_MODES, "requested ipvlan mode '{}' is not valid, 'l2' mode is the ipvlan driver default"),
        (OPTION_IPVLAN_FLAG, IPVLAN_FLAGS, "requested ipvlan flag '{}' is not valid, 'bridge' is the ipvlan driver default"),
    ],
}  # fmt: skip


def check_kind(driver: str, ipam_driver: str, *, ingress: bool, ipv4: bool, ipv6: bool) -> None:
    """Whether there can be such a network at all. Raises Forbidden, NotFound, InvalidArgument."""
    if ingress:
        raise Forbidden("Ingress network can only be global scope network")
    if driver in (HOST, NULL):
        raise Forbidden(f'only one instance of "{driver}" network is allowed')
    if driver == "overlay":
        raise Forbidden(_NO_SWARM)
    if driver not in (BRIDGE, MACVLAN, IPVLAN):
        raise NotFound(f'plugin "{driver}" not found')
    if not ipv4 and not ipv6:
        raise InvalidArgument("IPv4 or IPv6 must be enabled")
    if ipam_driver == NULL:
        raise InvalidArgument("ipv4 pool is empty")
    if ipam_driver not in ("", "default"):
        raise NotFound(f'plugin "{ipam_driver}" not found')


def check(driver: str, options: Mapping[str, str], *, internal: bool) -> None:
    """Raises InvalidArgument for values that mean nothing; Internal where Docker says so."""
    if driver != BRIDGE:
        for name, choices, complaint in _CHOICES[driver]:
            value = options.get(name)
            if value and value not in choices:
                raise Internal(complaint.format(value))
        return
    for name, wrong in _BRIDGE_CHECKS.items():
        if name in options and (reason := wrong(name, options[name])):
            raise InvalidArgument(f"failed to parse {name} value: {options[name]} ({reason})")
    if not internal and ISOLATED in (options.get(OPTION_MODE), options.get(OPTION_MODE6)):
        raise InvalidArgument("gateway mode 'isolated' can only be used for an internal network")
