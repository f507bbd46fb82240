"""Network and volume requests (Engine API: NetworkCreate, NetworkConnect, NetworkDisconnect, VolumeCreate)."""

from __future__ import annotations

from msgspec import Struct, field

from naru.wire.container import EndpointSettings


class PoolRequest(Struct, frozen=True, rename="pascal", kw_only=True):
    subnet: str = ""
    ip_range: str = field(default="", name="IPRange")
    gateway: str = ""
    auxiliary_addresses: dict[str, str] | None = None


class IPAM(Struct, frozen=True, rename="pascal", kw_only=True):
    driver: str = ""
    config: list[PoolRequest] | None = None
    options: dict[str, str] | None = None


class ConfigReference(Struct, frozen=True, rename="pascal", kw_only=True):
    network: str = ""


class NetworkCreate(Struct, frozen=True, rename="pascal", kw_only=True):
    name: str = ""
    check_duplicate: bool | None = None
    driver: str = ""
    scope: str = ""
    enable_ipv4: bool | None = field(default=None, name="EnableIPv4")
    enable_ipv6: bool | None = field(default=None, name="EnableIPv6")
    ipam: IPAM | None = field(default=None, name="IPAM")
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_only: bool = False
    config_from: ConfigReference | None = None
    options: dict[str, str] | None = None
    labels: dict[str, str] | None = None


class NetworkConnect(Struct, frozen=True, rename="pascal", kw_only=True):
    container: str = ""
    endpoint_config: EndpointSettings | None = None


class NetworkDisconnect(Struct, frozen=True, rename="pascal", kw_only=True):
    container: str = ""
    force: bool = False


class VolumeCreate(Struct, frozen=True, rename="pascal", kw_only=True):
    name: str = ""
    driver: str = ""
    driver_opts: dict[str, str] | None = None
    labels: dict[str, str] | None = None
    cluster_volume_spec: dict[str, object] | None = None
