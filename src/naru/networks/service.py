"""The way in: networks are created, listed and removed here, and containers join and leave them.

Owns the bridges, the firewall table and the endpoints of one daemon. Bridges and rules outlive the daemon, so running
containers keep their network; `start` makes the host what the database says, whatever happened to it meanwhile.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from socket import if_nameindex

from naru.errors import Conflict, Forbidden, Internal, InvalidArgument, NotFound, Unavailable, Unsupported
from naru.events import Bus, Event
from naru.linux import netlink, netns
from naru.linux.netlink import Netlink
from naru.networks import bridge, ipam, neighbours, ruleset
from naru.networks.blocking import in_thread
from naru.networks.catalog import Catalog
from naru.networks.endpoints import Endpoints
from naru.networks.firewall import Firewall
from naru.networks.records import (
    BRIDGE,
    HOST,
    NULL,
    OPTION_BINDING,
    OPTION_DEFAULT,
    OPTION_GATEWAY_MODE,
    OPTION_ICC,
    OPTION_MASQUERADE,
    OPTION_MTU,
    OPTION_NAME,
    PREDEFINED,
    Network,
    Pool,
)
from naru.store.db import Database
from naru.wire.filters import Filters

_NO_SWARM = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm '
    "and try again."
)
_INTERFACE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_BOOLEANS = ("1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False")
_NAME_LIMIT = 15  # IFNAMSIZ less the final zero
_DEFAULT_OPTIONS = {
    OPTION_DEFAULT: "true",
    OPTION_ICC: "true",
    OPTION_MASQUERADE: "true",
    OPTION_BINDING: "0.0.0.0",
    OPTION_MTU: "1500",
}
_log = logging.getLogger(__name__)


class Networks:
    """bridge: name of the default bridge's interface; bip: its address with prefix; table: name of the firewall table,
    to be different for each daemon of a host; options: driver options of the default bridge, over Docker's; blocks: where
    subnets are cut from for networks that name none. Use from one event loop, in the namespace where the bridges shall be."""

    def __init__(
        self,
        db: Database,
        bus: Bus,
        *,
        bridge: str = "naru0",
        bip: str | None = None,
        table: str = "naru",
        resolv_conf: str = "/etc/resolv.conf",
        options: Mapping[str, str] | None = None,
        blocks: ipam.Blocks = (),
    ) -> None:
        self._options = {**_DEFAULT_OPTIONS, **(options or {}), OPTION_NAME: bridge}
        self._blocks = blocks
        self._bridge = bridge
        self._bip = bip
        self._bus = bus
        self._catalog = Catalog(db)
        self._firewall = Firewall(table, self._whole)
        endpoints = Endpoints(self._catalog, self._firewall, bus, resolv_conf)
        self._close_endpoints = endpoints.close
        # What `Endpoints` does is part of this class's face; its docstrings say what.
        self.check = endpoints.check
        self.attach = endpoints.attach
        self.detach = endpoints.detach
        self.connect = endpoints.connect
        self.disconnect = endpoints.disconnect
        self.restore = endpoints.restore
        self.rename = endpoints.rename
        # Reading
        self.resolve = self._catalog.resolve
        self.list = self._catalog.filtered
        self.endpoints_of = self._catalog.endpoints_of
        self.endpoints_on = self._catalog.endpoints_on

    async def start(self) -> None:
        """Bridges, forwarding and firewall are as the database says when this returns, with the elements of every
        endpoint that was there when the last daemon ended: restore or detach each of them next. Raises Internal."""
        self._catalog.load()
        routed = await in_thread("routes of the host", _routed)
        for name, driver in PREDEFINED.items():
            await self._settle_predefined(name, driver, routed)
        for network in self._catalog.networks():
            if network.bridge:
                try:
                    await in_thread(f"network {network.name}", partial(bridge.ensure, network))
                except Internal as error:
                    if network.predefined:
                        raise
                    _log.warning("network %s: %s", network.name, error)
        self._start_firewall()
        await in_thread(
            "ip_forward", lambda: netns.write_sysctl("ipv4/ip_forward", "1")
        )  # last: nothing is forwarded without rules

    def close(self) -> None:
        """Stop serving. Bridges, rules and interfaces stay: containers run on."""
        self._close_endpoints()
        self._firewall.close()

    async def down(self) -> None:
        """Close, and take every bridge and the firewall table away. Raises Internal."""
        self.close()
        await in_thread("firewall", self._firewall.remove)
        neighbours.settle(self._firewall.table, ())
        for network in self._catalog.networks():
            if network.bridge:
                await in_thread(f"network {network.name}", partial(bridge.remove, network.bridge))

    async def create(
        self,
        name: str,
        *,
        driver: str = BRIDGE,
        pools: Sequence[Pool] = (),
        internal: bool = False,
        attachable: bool = False,
        ingress: bool = False,
        ipv4: bool = True,
        ipv6: bool = False,
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        ipam_driver: str = "default",
        ipam_options: Mapping[str, str] | None = None,
    ) -> Network:
        """Make a network; its bridge is up when this returns, and nothing is left on any error.

        Raises InvalidArgument, Forbidden, Conflict (name), NotFound (driver), Unsupported, Unavailable (no subnet left), Internal.
        """
        self._check_name(name)
        _check_kind(driver, ipam_driver, ingress, ipv4, ipv6)
        options = dict(options or {})
        _check_options(options)
        network_id = secrets.token_hex(32)
        interface = options.get(OPTION_NAME) or f"br-{network_id[:12]}"
        routed = await in_thread("routes of the host", _routed)
        self._check_interface(interface)
        self._check_name(name)  # again: what follows is not interrupted
        network = Network(
            network_id, name, driver, time.time_ns(), ipam.settle(pools, self._catalog.subnets(), routed, self._blocks), interface,
            internal, attachable, ipv6, options, dict(ipam_options or {}), dict(labels or {}),
        )  # fmt: skip
        async with AsyncExitStack() as undo:
            self._catalog.put(network)
            undo.callback(self._catalog.drop, network.id)
            undo.push_async_callback(in_thread, name, partial(bridge.remove, interface))
            await in_thread(f"network {network.name}", partial(bridge.ensure, network))
            self._firewall.change(add=ruleset.of_network(network))
            undo.pop_all()
        self._admit()
        self._tell("create", network)
        return network

    async def remove(self, text: str) -> None:
        """Raises NotFound; Forbidden for the predefined ones and those that are in use."""
        network = self._catalog.resolve(text)
        if network.predefined:
            raise Forbidden(f"{network.name} is a pre-defined network and cannot be removed")
        if ends := self._catalog.endpoints_on(network.id):
            users = ", ".join(f'name:"{end.container_name}" id:"{end.endpoint_id[:12]}"' for end in ends)
            raise Forbidden(f"error while removing network: network {network.name} has active endpoints ({users})")
        self._catalog.drop(network.id)
        self._firewall.change(remove=ruleset.of_network(network))
        await in_thread(f"network {network.name}", partial(bridge.remove, network.bridge))
        self._admit()
        self._tell("destroy", network)

    async def prune(self, filters: Filters, created_before_ns: int | None = None) -> list[str]:
        """Remove what nobody uses; the names of those removed. Raises InvalidArgument."""
        names = []
        for network in self._catalog.prunable(filters, created_before_ns):
            try:
                await self.remove(network.id)
            except (Forbidden, NotFound):  # joined, or removed, a moment ago
                continue
            names.append(network.name)
        self._bus.publish(Event("network", "prune", "", time.time_ns(), {"reclaimed": "0"}))
        return names

    def usage(self, network: Network) -> dict[str, tuple[int, int]]:
        """IPv4 subnet → (addresses in use, addresses that can still be given out)."""
        return {pool.subnet: ipam.usage(pool, self._catalog.used(network.id)) for pool in network.pools[:1]}

    # -- start

    async def _settle_predefined(self, name: str, driver: str, routed: Sequence[IPv4Network]) -> None:
        """Their ids are random and stay; the default bridge follows the configuration as long as nobody is on it."""
        known = self._catalog.by_name(name)
        if driver != BRIDGE:
            if known is None:
                self._catalog.put(Network(secrets.token_hex(32), name, driver, time.time_ns()))
            return
        wanted = _bip(self._bip)
        same = known is not None and known.bridge == self._bridge and (wanted is None or known.pools == (wanted,))
        if same and known is not None and known.options == self._options:
            return
        if known is not None and self._catalog.endpoints_on(known.id):
            _log.warning("the default bridge stays %s %s: containers are on it", known.bridge, known.pool.subnet)
            return
        others = [subnet for subnet in self._catalog.subnets() if known is None or str(subnet) != known.pool.subnet]
        try:
            kept = list(known.pools) if same and known is not None else [wanted or Pool()]
            pools = ipam.settle(kept, others, routed, self._blocks)
        except (Forbidden, Unavailable) as error:
            raise Internal(f"default bridge {self._bridge}: {error}") from error
        if known is not None:
            await in_thread("default bridge", partial(bridge.remove, known.bridge))
        network_id = known.id if known else secrets.token_hex(32)
        self._catalog.put(
            Network(network_id, name, BRIDGE, time.time_ns(), pools, self._bridge, options=dict(self._options))
        )

    def _start_firewall(self) -> None:
        try:
            self._firewall.start()
        except OSError as error:
            raise Internal(f"cannot set up the firewall: {error}") from error
        self._admit()

    def _admit(self) -> None:
        """Let our bridges through a forward policy of somebody else's."""
        neighbours.settle(
            self._firewall.table, [network.bridge for network in self._catalog.networks() if network.bridge]
        )

    def _whole(self) -> str:
        return ruleset.whole(self._firewall.table, self._catalog.networks(), self._catalog.endpoints())

    # -- create

    def _check_name(self, name: str) -> None:
        if not name.strip():
            raise InvalidArgument("invalid name: name is empty")
        if name in PREDEFINED or name == "default":
            raise Forbidden(f"operation is not permitted on predefined {name} network ")
        if name.startswith("container:"):
            raise Forbidden(f'network name "{name}" is reserved and cannot be created')
        if self._catalog.by_name(name) is not None:
            raise Conflict(f"network with name {name} already exists")

    def _check_interface(self, name: str) -> None:
        if len(name) > _NAME_LIMIT:
            raise InvalidArgument("numerical result out of range")
        if not _INTERFACE.fullmatch(name) or name in ("all", "default"):
            raise InvalidArgument(f"invalid interface name {name}")
        if name in (known for _, known in if_nameindex()):
            raise Forbidden(f"interface {name} already exists")

    def _tell(self, action: str, network: Network) -> None:
        attributes = {"name": network.name, "type": network.driver}
        self._bus.publish(Event("network", action, network.id, time.time_ns(), attributes))


def _check_kind(driver: str, ipam_driver: str, ingress: bool, ipv4: bool, ipv6: bool) -> None:
    if ingress:
        raise Forbidden("Ingress network can only be global scope network")
    if driver in (HOST, NULL):
        raise Forbidden(f'only one instance of "{driver}" network is allowed')
    if driver == "overlay":
        raise Forbidden(_NO_SWARM)
    if driver in ("macvlan", "ipvlan"):
        raise Unsupported(f"network driver {driver} is not supported")
    if driver != BRIDGE:
        raise NotFound(f'plugin "{driver}" not found')
    if not ipv4 and not ipv6:
        raise InvalidArgument("IPv4 or IPv6 must be enabled")
    if not ipv4:
        raise Unsupported("networks without IPv4 are not supported")
    if ipam_driver == NULL:
        raise InvalidArgument("ipv4 pool is empty")
    if ipam_driver not in ("", "default"):
        raise NotFound(f'plugin "{ipam_driver}" not found')


def _check_options(options: Mapping[str, str]) -> None:
    """Raises InvalidArgument in Docker's words (which are those of Go's parsers); options that we do not know are kept."""
    for name in (OPTION_ICC, OPTION_MASQUERADE):
        value = options.get(name, "true")
        if value not in _BOOLEANS:
            reason = f'strconv.ParseBool: parsing "{value}": invalid syntax'
            raise InvalidArgument(f"failed to parse {name} value: {value} ({reason})")
    mtu = options.get(OPTION_MTU, "0")
    if not re.fullmatch(r"[0-9]{1,9}", mtu):
        raise InvalidArgument(
            f'failed to parse {OPTION_MTU} value: {mtu} (strconv.Atoi: parsing "{mtu}": invalid syntax)'
        )
    mode = options.get(OPTION_GATEWAY_MODE, "nat")
    if mode in ("routed", "isolated", "nat-unprotected"):
        raise Unsupported(f"{OPTION_GATEWAY_MODE}={mode} is not supported")
    if mode != "nat":
        raise InvalidArgument(f"failed to parse {OPTION_GATEWAY_MODE} value: {mode} (unknown gateway mode {mode})")
    binding = options.get(OPTION_BINDING, "")
    try:
        IPv4Address(binding or "0.0.0.0")
    except ValueError as error:
        raise InvalidArgument(f"failed to parse {OPTION_BINDING} value: {binding} (invalid ip)") from error


def _bip(text: str | None) -> Pool | None:
    """The pool that an address with prefix (172.30.0.1/16) stands for. Raises InvalidArgument."""
    if text is None:
        return None
    try:
        interface = IPv4Interface(text)
    except ValueError as error:
        raise InvalidArgument(f"bip: {error}") from error
    return Pool(str(interface.network), str(interface.ip))


def _routed() -> list[IPv4Network]:
    with Netlink() as host:
        return netlink.overlapping(host.routes())
