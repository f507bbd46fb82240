"""Networks and volumes."""

from __future__ import annotations

import time
from typing import Any

from naru.api.app import Request, Route
from naru.api.parameters import parse_until, rfc3339
from naru.containers.engine import Engine
from naru.errors import InvalidArgument, NotFound, Unavailable
from naru.networks.options import BOOLEANS
from naru.networks.records import Network, Pool
from naru.volumes.records import Volume
from naru.wire.container import EndpointSettings
from naru.wire.network import NetworkConnect, NetworkCreate, NetworkDisconnect, PoolRequest, VolumeCreate

Json = dict[str, Any]
_NETWORK_FILTERS = ("dangling", "driver", "id", "label", "name", "scope", "type")
_VOLUME_FILTERS = ("dangling", "driver", "label", "name")
_NO_SWARM = 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.'


class NetworkRoutes:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/networks", self.list),
            Route("GET", "/networks/{id}", self.inspect),
            Route("POST", "/networks/create", self.create),
            Route("POST", "/networks/prune", self.prune),
            Route("POST", "/networks/{id}/connect", self.connect),
            Route("POST", "/networks/{id}/disconnect", self.disconnect),
            Route("DELETE", "/networks/{id}", self.remove),
            Route("GET", "/volumes", self.list_volumes),
            Route("GET", "/volumes/{name}", self.inspect_volume),
            Route("POST", "/volumes/create", self.create_volume),
            Route("POST", "/volumes/prune", self.prune_volumes),
            Route("PUT", "/volumes/{name}", self.update_volume),
            Route("DELETE", "/volumes/{name}", self.remove_volume),
        ]

    # -- networks -----------------------------------------------------------------------------------------------------

    async def list(self, request: Request) -> None:
        found = self._engine.networks.list(request.query.filters(_NETWORK_FILTERS))
        await request.answer([network_json(network) for network in found])

    async def inspect(self, request: Request) -> None:
        networks = self._engine.networks
        network = networks.resolve(request["id"])
        verbose = request.query.text("verbose")
        if verbose and verbose not in BOOLEANS:
            raise InvalidArgument(
                f'invalid value for verbose: {verbose}: strconv.ParseBool: parsing "{verbose}": invalid syntax'
            )
        if request.query.text("scope") not in ("", "local"):
            raise NotFound(f"network {request['id']} not found")
        containers = {
            end.container_id: {
                "Name": end.container_name, "EndpointID": end.endpoint_id, "MacAddress": end.mac,
                "IPv4Address": f"{end.ip}/{end.prefix}" if end.ip else "",
                "IPv6Address": f"{end.ip6}/{end.prefix6}" if end.ip6 else "",
            }
            for end in networks.endpoints_on(network.id)
        }  # fmt: skip
        out = {**network_json(network), "Containers": containers}
        if request.at_least(1, 52):
            subnets = {
                subnet: {"IPsInUse": used, "DynamicIPsAvailable": free}
                for subnet, (used, free) in networks.usage(network).items()
            }
            out["Status"] = {"IPAM": {"Subnets": subnets} if subnets else {}}
        await request.answer(out)

    async def create(self, request: Request) -> None:
        body = await request.json(NetworkCreate, "network.CreateRequest", prefix="CreateRequest", optional=True)
        ipam = body.ipam
        network = await self._engine.networks.create(
            body.name, driver=body.driver or "bridge", pools=[_pool(pool) for pool in (ipam.config if ipam else None) or []],
            internal=body.internal, attachable=body.attachable, ingress=body.ingress,
            ipv4=body.enable_ipv4 is not False, ipv6=body.enable_ipv6 is True, options=body.options, labels=body.labels,
            ipam_driver=(ipam.driver if ipam else "") or "default", ipam_options=ipam.options if ipam else None,
            config_only=body.config_only, config_from=body.config_from.network if body.config_from else "",
        )  # fmt: skip
        await request.answer({"Id": network.id, "Warning": ""}, 201)

    async def connect(self, request: Request) -> None:
        body = await request.json(NetworkConnect, "network.ConnectRequest", prefix="ConnectRequest")
        network = self._engine.networks.resolve(request["id"])
        if not body.container:
            raise InvalidArgument('invalid name or ID supplied: ""')
        await self._engine.containers.connect(body.container, network, body.endpoint_config or EndpointSettings())
        await request.done(200)

    async def disconnect(self, request: Request) -> None:
        body = await request.json(NetworkDisconnect, "network.DisconnectRequest", prefix="DisconnectRequest")
        network = self._engine.networks.resolve(request["id"])
        if not body.container:
            raise InvalidArgument('invalid name or ID supplied: ""')
        await self._engine.containers.disconnect(body.container, network)
        await request.done(200)

    async def remove(self, request: Request) -> None:
        await self._engine.networks.remove(request["id"])
        await request.done()

    async def prune(self, request: Request) -> None:
        filters = request.query.filters(("label", "label!", "until"))
        untils = filters.pop("until", [])
        before_ns = parse_until(untils[0], time.time_ns()) if untils else None
        names = await self._engine.networks.prune(filters, before_ns)
        await request.answer({"NetworksDeleted": names or None})

    # -- volumes ------------------------------------------------------------------------------------------------------

    async def list_volumes(self, request: Request) -> None:
        found = self._engine.volumes.list(request.query.filters(_VOLUME_FILTERS))
        await request.answer({"Volumes": [self._volume_json(volume) for volume in found], "Warnings": None})

    async def inspect_volume(self, request: Request) -> None:
        await request.answer(self._volume_json(self._engine.volumes.resolve(request["name"])))

    async def create_volume(self, request: Request) -> None:
        body = await request.json(VolumeCreate, "volume.CreateRequest", prefix="CreateRequest", optional=True)
        if body.cluster_volume_spec is not None:
            raise Unavailable(_NO_SWARM)
        volume = self._engine.volumes.create(
            body.name or None, driver=body.driver, options=body.driver_opts, labels=body.labels
        )
        await request.answer(self._volume_json(volume), 201)

    async def update_volume(self, request: Request) -> None:
        raise Unavailable("volume update only valid for cluster volumes, but swarm is unavailable")

    async def remove_volume(self, request: Request) -> None:
        await self._engine.volumes.remove(request["name"], force=request.query.flag("force"))
        await request.done()

    async def prune_volumes(self, request: Request) -> None:
        filters = request.query.filters(("label", "label!", "all"))
        names, freed = await self._engine.volumes.prune(filters, only_anonymous=request.at_least(1, 42))
        await request.answer({"VolumesDeleted": names, "SpaceReclaimed": freed})

    def _volume_json(self, volume: Volume) -> Json:
        return volume_json(volume, self._engine.volumes.mountpoint(volume.name))


def volume_json(volume: Volume, mountpoint: str) -> Json:
    return {
        "CreatedAt": rfc3339(volume.created_ns // 10**9 * 10**9), "Driver": volume.driver, "Labels": volume.labels,
        "Mountpoint": mountpoint, "Name": volume.name, "Options": volume.options, "Scope": "local",
    }  # fmt: skip


def _pool(pool: PoolRequest) -> Pool:
    return Pool(pool.subnet, pool.gateway, pool.ip_range, pool.auxiliary_addresses or {})


def network_json(network: Network) -> Json:
    pools = []
    for pool in () if network.config_only else network.pools:
        shown: Json = {
            "Subnet": pool.subnet,
            "Gateway": pool.gateway,
            "IPRange": pool.ip_range,
            "AuxiliaryAddresses": dict(pool.aux),
        }
        pools.append({name: value for name, value in shown.items() if value})
    return {
        "Name": network.name, "Id": network.id, "Created": rfc3339(network.created_ns), "Scope": "local", "Driver": network.driver,
        "EnableIPv4": network.ipv4, "EnableIPv6": network.ipv6,
        "IPAM": {"Driver": "default", "Options": dict(network.ipam_options) or None, "Config": pools or None},
        "Internal": network.internal, "Attachable": network.attachable, "Ingress": False, "ConfigFrom": {"Network": network.config_from},
        "ConfigOnly": network.config_only, "Options": dict(network.options), "Labels": dict(network.labels),
    }  # fmt: skip
