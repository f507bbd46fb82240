"""`--network` and its kin, `--add-host` and `--dns` of run and create. Pure; UsageError and InvalidArgument in Docker's words."""

from __future__ import annotations

from naru.cli.runmounts import split_csv
from naru.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from naru.cli.grammar import Args

    Json = dict[str, Any]

_BUILT_IN_NETWORKS = ("default", "bridge", "host", "none")


def names(args: Args) -> Json:
    """--add-host, --dns and the like."""
    out: Json = {}
    if args.has("add-host"):
        out["ExtraHosts"] = args.read("add-host", extra_host)
    if args.has("dns"):
        out["Dns"] = args.read("dns", _address)
    options = [*args.items("dns-option"), *args.items("dns-opt")]
    if options:
        out["DnsOptions"] = options
    return out


def _address(text: str) -> str:
    import _socket

    try:
        _socket.inet_pton(_socket.AF_INET6 if ":" in text else _socket.AF_INET, text)
    except OSError as error:
        raise ValueError(f"IP address is not correctly formatted: {text}") from error
    return text


def extra_host(text: str) -> str:
    separator = "=" if "=" in text else ":"
    name, found, address = text.partition(separator)
    if not found or not name or not address:
        raise ValueError(f'bad format for add-host: "{text}"')
    address = address.strip("[]")
    if address != "host-gateway":
        try:
            _address(address)
        except ValueError as error:
            raise ValueError(f'invalid IP address in add-host: "{address}"') from error
    return f"{name}:{address}"


def endpoints(args: Args, host: Json) -> Json:
    """EndpointsConfig, the first network also as HostConfig.NetworkMode."""
    found: Json = {}
    first = "default"
    for position, text in enumerate([*args.items("network"), *args.items("net")]):
        name, config = _network(text)
        if not position:
            first = name
        if config or position or (name not in _BUILT_IN_NETWORKS and not name.startswith("container:")):
            found[name] = config
    own = endpoint(
        aliases=[*args.items("network-alias"), *args.items("net-alias")], links=args.items("link"),
        ip=args.text("ip"), ip6=args.text("ip6"), link_local=args.items("link-local-ip"), mac=args.text("mac-address"),
    )  # fmt: skip
    if args.has("link") and (first in ("default", "bridge") or first.startswith("container:")):
        host["Links"] = own.pop("Links")
    if own:
        target = found.setdefault(first, {})
        for key, value in own.items():
            if key in target and key != "Aliases":
                raise InvalidArgument(f"conflicting options: cannot specify both --{key.lower()} and per-network {key}")
            target[key] = [*target.get(key, []), *value] if key == "Aliases" else value
    host["NetworkMode"] = first
    return found


def endpoint(
    *,
    aliases: Iterable[str] = (),
    links: Iterable[str] = (),
    ip: str = "",
    ip6: str = "",
    link_local: Iterable[str] = (),
    mac: str = "",
) -> Json:
    """An EndpointsConfig of what is not empty."""
    addresses = {"IPv4Address": ip, "IPv6Address": ip6, "LinkLocalIPs": [*link_local]}
    fields: Json = {
        "Aliases": [*aliases], "Links": [*links], "MacAddress": mac,
        "IPAMConfig": {key: value for key, value in addresses.items() if value},
    }  # fmt: skip
    return {key: value for key, value in fields.items() if value}


def _network(text: str) -> tuple[str, Json]:
    """`name`, or `name=mynet,alias=a,ip=1.2.3.4,…`."""
    if "=" not in text:
        return text, {}
    fields: dict[str, list[str]] = {}
    for field in split_csv(text):
        key, equals, value = field.partition("=")
        if not equals:
            raise InvalidArgument(f"invalid field {field}")
        fields.setdefault(key.strip().lower(), []).append(value.strip())
    name = fields.pop("name", [""])[-1]
    if not name:
        raise InvalidArgument("network name/id is not specified")
    options = fields.pop("driver-opt", [])
    priority = fields.pop("gw-priority", [""])[-1]
    config = endpoint(
        aliases=fields.pop("alias", []), link_local=fields.pop("link-local-ip", []),
        ip=fields.pop("ip", [""])[-1], ip6=fields.pop("ip6", [""])[-1], mac=fields.pop("mac-address", [""])[-1],
    )  # fmt: skip
    if options:
        config["DriverOpts"] = dict(option.partition("=")[::2] for option in options)
    if priority:
        try:
            config["GwPriority"] = int(priority)
        except ValueError as error:
            raise InvalidArgument(f"invalid gw-priority: {priority}") from error
    if fields:
        raise InvalidArgument(f"invalid field key {next(iter(fields))}")
    return name, config
