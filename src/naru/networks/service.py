"""The way in: networks are created, listed and removed here, and containers join and leave them.

Owns the bridges, the firewall table and the endpoints of one daemon. Bridges and rules outlive the daemon, so running
containers keep their network; `start` makes the host what the database says, whatever happened to it meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Interface
from socket import if_nameindex

from naru.errors import Conflict, Forbidden, Internal, InvalidArgument, NotFound, Unavailable
from naru.events import Bus, Event
from naru.linux import netlink
from naru.linux.netlink import Netlink
from naru.networks import bridge, forwarding, ipam, macvlan, neighbours, ruleset
from naru.networks import options as driver_options
from naru.networks.blocking import in_thread
from naru.networks.catalog import Catalog
from naru.networks.endpoints import Endpoints
from naru.networks.firewall import Firewall
from naru.networks.records import (
    BRIDGE,
    ISOLATED,
    NULL,
    OPTION_BINDING,
    OPTION_DEFAULT,
    OPTION_ICC,
    OPTION_MASQUERADE,
    OPTION_MTU,
    OPTION_NAME,
    OPTION_PARENT,
    PREDEFINED,
    Network,
    Pool,
)
from naru.store.db import Database
from naru.wire.filters import Filters

_INTERFACE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
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
        self._admitting = asyncio.Lock()
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
            if network.wired:
                try:
                    await in_thread(f"network {network.name}", partial(_ensure, network))
                except Internal as error:
                    if network.predefined:
                        raise
                    _log.warning("network %s: %s", network.name, error)
        await self._start_firewall()
        for version in (4, 6):  # last: nothing is forwarded without rules
            if any(version == 4 or network.pool6 for network in self._catalog.networks()):
                await in_thread("forwarding", partial(forwarding.allow, version))

    def close(self) -> None:
        """Stop serving. Bridges, rules and interfaces stay: containers run on."""
        self._close_endpoints()
        self._firewall.close()

    async def down(self) -> None:
        """Close, and take every bridge and the firewall table away. Raises Internal."""
        self.close()
        await in_thread("firewall", self._firewall.remove)
        await in_thread("firewall", partial(neighbours.settle, self._firewall.table, ()))
        for network in self._catalog.networks():
            if network.wired:
                await in_thread(f"network {network.name}", partial(_remove, network))

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
        config_only: bool = False,
        config_from: str = "",
    ) -> Network:
        """Make a network; its bridge is up when this returns, and nothing is left on any error.

        Raises InvalidArgument, Forbidden, Conflict (name), NotFound (driver), Unavailable (no subnet left), Internal.
        """
        self._check_name(name)
        wanted = Network(
            secrets.token_hex(32), name, driver, time.time_ns(), tuple(pools), "", internal, attachable, ipv6, dict(options or {}),
            dict(ipam_options or {}), dict(labels or {}), ipv4, config_only, config_from,
        )  # fmt: skip
        if config_from:
            wanted = self._configured(wanted)
        driver_options.check_kind(driver, ipam_driver, ingress=ingress, ipv4=wanted.ipv4, ipv6=wanted.ipv6)
        if config_only:
            network = replace(wanted, driver=NULL)
            self._catalog.put(network)
        else:
            driver_options.check(driver, wanted.options, internal=internal)
            network = await self._make(wanted)
        self._tell("create", network)
        return network

    async def _make(self, wanted: Network) -> Network:
        """Give it its interface and its subnets, and make it all real."""
        interface = (wanted.options.get(OPTION_NAME) or f"br-{wanted.id[:12]}") if wanted.driver == BRIDGE else ""
        routed = await in_thread("routes of the host", _routed)
        if interface:
            self._check_interface(interface)
        elif wanted.options.get(OPTION_PARENT):
            macvlan.check_parent(wanted.driver, wanted.options[OPTION_PARENT])
        self._check_name(wanted.name)  # again: what follows is not interrupted
        network = replace(wanted, bridge=interface, pools=self._pools(wanted, routed))
        async with AsyncExitStack() as undo:
            self._catalog.put(network)
            undo.callback(self._catalog.drop, network.id)
            undo.push_async_callback(in_thread, network.name, partial(_remove, network))
            await in_thread(f"network {network.name}", partial(_ensure, network))
            self._firewall.change(add=ruleset.of_network(network))
            if network.bridge and network.pool6:
                await in_thread("forwarding", partial(forwarding.allow, 6))
            undo.pop_all()
        await self._admit()
        return network

    async def remove(self, text: str) -> None:
        """Raises NotFound; Forbidden for the predefined ones and those that are in use."""
        network = self._catalog.resolve(text)
        if network.predefined:
            raise Forbidden(f"{network.name} is a pre-defined network and cannot be removed")
        if ends := self._catalog.endpoints_on(network.id):
            users = ", ".join(f'name:"{end.container_name}" id:"{end.endpoint_id[:12]}"' for end in ends)
            raise Forbidden(f"error while removing network: network {network.name} has active endpoints ({users})")
        if any(other.config_from == network.name for other in self._catalog.networks()):
            raise Forbidden(f'error while removing network: configuration network "{network.name}" is in use')
        self._catalog.drop(network.id)
        self._firewall.change(remove=ruleset.of_network(network))
        if network.wired:
            await in_thread(f"network {network.name}", partial(_remove, network))
            await self._admit()
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
        """Subnet → (addresses in use, addresses that can still be given out)."""
        return {
            pool.subnet: ipam.usage(pool, self._catalog.used(network.id)) for pool in network.pools if network.wired
        }

    # -- start

    async def _settle_predefined(self, name: str, driver: str, routed: Sequence[ipam.Subnet]) -> None:
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
            _log.warning("the default bridge stays %s %s: containers are on it", known.bridge, known.pools[0].subnet)
            return
        own = [pool.subnet for pool in known.pools] if known else []
        others = [subnet for subnet in self._catalog.subnets() if str(subnet) not in own]
        try:
            kept = list(known.pools) if same and known is not None else [wanted or Pool()]
            pools = ipam.settle(kept, others, routed, blocks=self._blocks)
        except (Forbidden, Unavailable) as error:
            raise Internal(f"default bridge {self._bridge}: {error}") from error
        if known is not None:
            await in_thread("default bridge", partial(bridge.remove, known.bridge))
        network_id = known.id if known else secrets.token_hex(32)
        self._catalog.put(
            Network(network_id, name, BRIDGE, time.time_ns(), pools, self._bridge, options=dict(self._options))
        )

    async def _start_firewall(self) -> None:
        try:
            self._firewall.start()
        except OSError as error:
            raise Internal(f"cannot set up the firewall: {error}") from error
        await self._admit()

    async def _admit(self) -> None:
        """Let our bridges through a forward policy of somebody else's. It reads that other firewall, so it may take
        long, and calls do not overtake each other."""
        async with self._admitting:
            bridges = [network.bridge for network in self._catalog.networks() if network.bridge]
            await in_thread("firewall", partial(neighbours.settle, self._firewall.table, bridges))

    def _whole(self) -> str:
        return ruleset.whole(self._firewall.table, self._catalog.networks(), self._catalog.endpoints())

    # -- create

    def _configured(self, wanted: Network) -> Network:
        """With the settings of the configuration network that it names. Raises NotFound; Forbidden if it brings its own."""
        found = self._catalog.by_name(wanted.config_from)
        if found is None or not found.config_only:
            raise NotFound(f'configuration network "{wanted.config_from}" does not exist')
        if wanted.pools or wanted.options or wanted.labels or wanted.ipam_options or wanted.ipv6:
            raise Forbidden(
                "user-specified configurations are not supported if the network depends on a configuration network"
            )
        return replace(
            found, id=wanted.id, name=wanted.name, driver=wanted.driver, created_ns=wanted.created_ns, config_only=False,
            config_from=wanted.config_from,
        )  # fmt: skip

    def _pools(self, network: Network, routed: Sequence[ipam.Subnet]) -> tuple[Pool, ...]:
        default = self._catalog.by_name("bridge")
        modes = {4: network.mode4, 6: network.mode6} if network.driver == BRIDGE else {}
        return ipam.settle(
            network.pools,
            self._catalog.subnets(),
            routed,
            versions=[version for version, held in ((4, network.ipv4), (6, network.ipv6)) if held],
            seed=default.id if default else "",
            gateways=[version for version, mode in modes.items() if mode != ISOLATED],
            several=network.driver != BRIDGE,
            blocks=self._blocks,
        )

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
            raise Internal("numerical result out of range")
        if not _INTERFACE.fullmatch(name) or name in ("all", "default"):
            raise InvalidArgument(f"invalid interface name {name}")
        if name in (known for _, known in if_nameindex()):
            raise Forbidden(f"interface {name} already exists")

    def _tell(self, action: str, network: Network) -> None:
        attributes = {"name": network.name, "type": network.driver}
        self._bus.publish(Event("network", action, network.id, time.time_ns(), attributes))


def _ensure(network: Network) -> None:
    if network.driver == BRIDGE:
        bridge.ensure(network)
    else:
        macvlan.ensure(network)


def _remove(network: Network) -> None:
    if network.driver == BRIDGE:
        bridge.remove(network.bridge)
    else:
        macvlan.remove(network)


def _bip(text: str | None) -> Pool | None:
    """The pool that an address with prefix (172.30.0.1/16) stands for. Raises InvalidArgument."""
    if text is None:
        return None
    try:
        interface = IPv4Interface(text)
    except ValueError as error:
        raise InvalidArgument(f"bip: {error}") from error
    return Pool(str(interface.network), str(interface.ip))


def _routed() -> list[ipam.Subnet]:
    with Netlink() as host:
        return netlink.overlapping([route for version in (4, 6) for route in host.routes(version)])
