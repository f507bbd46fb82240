"""`naru network`: ls, create, rm, connect, disconnect (inspect and prune are with their kin)."""

from __future__ import annotations

from naru.cli.listing import FORMAT_HELP, Columns, render
from naru.cli.ps import go_time, labels_text
from naru.cli.runflags import labels
from naru.cli.session import each, filters
from naru.cli.units import read_rfc3339
from naru.errors import InvalidArgument, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from naru.cli.grammar import Args
    from naru.cli.session import Session

    Json = dict[str, Any]

HELP = {
    "network ls": f"""\
Usage:  naru network ls [OPTIONS]

Options:
  -f, --filter filter   Show those that match only (e.g. "driver=bridge")
      --format string   {FORMAT_HELP}
      --no-trunc        Don't truncate output
  -q, --quiet           Only display network IDs
""",
    "network create": """\
Usage:  naru network create [OPTIONS] NETWORK

Options:
      --attachable           Containers may be attached by hand
      --aux-address map      Addresses that are in use already (name=address)
  -d, --driver string        Driver (default "bridge")
      --gateway strings      Gateway of the subnet
      --internal             No way to the outside
      --ip-range strings     Part of the subnet to take addresses from
      --ipam-driver string   Driver for addresses (default "default")
      --ipam-opt map         Options of that driver
      --ipv4                 Assign IPv4 addresses (default true)
      --ipv6                 Assign IPv6 addresses
      --label list           Set metadata
  -o, --opt map              Options of the driver
      --scope string         Scope of the network
      --subnet strings       Subnet (172.28.0.0/16)
""",
    "network rm": """\
Usage:  naru network rm NETWORK [NETWORK...]

Options:
  -f, --force   A network that does not exist is no error
""",
    "network connect": """\
Usage:  naru network connect [OPTIONS] NETWORK CONTAINER

Options:
      --alias strings           Name of the container on the network
      --driver-opt strings      Options of the driver
      --gw-priority int         Highest one gives the default gateway
      --ip string               IPv4 address (172.30.100.104)
      --ip6 string              IPv6 address (2001:db8::33)
      --link list               Add a link to another container
      --link-local-ip strings   Link-local addresses
""",
    "network disconnect": """\
Usage:  naru network disconnect [OPTIONS] NETWORK CONTAINER

Options:
  -f, --force   Even if the container is gone
""",
}

_HEADERS = {
    "ID": "NETWORK ID", "Name": "NAME", "Driver": "DRIVER", "Scope": "SCOPE", "IPv4": "IPV4", "IPv6": "IPV6",
    "Internal": "INTERNAL", "Labels": "LABELS", "CreatedAt": "CREATED AT",
}  # fmt: skip


def _created_at(network: Json) -> str:
    nanoseconds = read_rfc3339(network.get("Created") or "1970-01-01T00:00:00Z")
    date, _, zone = go_time(nanoseconds // 10**9).partition(" +")
    fraction = f".{nanoseconds % 10**9:09d}".rstrip("0").rstrip(".")
    return f"{date}{fraction} +{zone}"


def network_ls(session: Session, args: Args) -> int:
    truncate, form = not args.on("no-trunc"), args.text("format")
    found = sorted(session.client.networks.list(filters(args)), key=lambda network: str(network["Name"]))
    fields: dict[str, Any] = {
        "ID": lambda n: n["Id"][:12] if truncate else n["Id"],
        "Name": lambda n: n["Name"],
        "Driver": lambda n: n["Driver"],
        "Scope": lambda n: n["Scope"],
        "IPv4": lambda n: "true" if n.get("EnableIPv4", True) else "false",
        "IPv6": lambda n: "true" if n.get("EnableIPv6") else "false",
        "Internal": lambda n: "true" if n.get("Internal") else "false",
        "Labels": lambda n: labels_text(n.get("Labels")),
        "Label": lambda n: lambda name: (n.get("Labels") or {}).get(name, ""),
        "CreatedAt": _created_at,
    }
    if args.on("quiet") and (not form or form.startswith("table")):
        session.out("".join([fields["ID"](network) + "\n" for network in found]))
        return 0
    form = form or str(session.config().get("networksFormat") or "")
    session.out(render(found, Columns(fields, _HEADERS, ("ID", "Name", "Driver", "Scope"), "networkContext"), form))
    return 0


def _strings(args: Args, name: str) -> list[str]:
    return [one for text in args.items(name) for one in text.split(",")]


def _pools(args: Args) -> list[Json]:
    """IPAM.Config: one entry for each subnet, with the gateway, range and addresses that lie in it."""
    import ipaddress

    def inside(address: str, network: Any) -> bool:
        try:
            return ipaddress.ip_interface(address).ip in network
        except ValueError as error:
            raise InvalidArgument(f"invalid address: {address}") from error

    pools: list[tuple[Any, Json]] = []
    for subnet in _strings(args, "subnet"):
        try:
            network = ipaddress.ip_network(subnet, strict=False)
        except ValueError as error:
            raise InvalidArgument(f"invalid subnet {subnet}: invalid CIDR address: {subnet}") from error
        if any(network.version == other.version and network.overlaps(other) for other, _ in pools):
            raise InvalidArgument("multiple overlapping subnet configuration is not supported")
        pools.append((network, {"Subnet": subnet}))
    auxiliary = args.pairs("aux-address")
    values = [("IPRange", address, "") for address in _strings(args, "ip-range")]
    values += [("Gateway", address, "") for address in _strings(args, "gateway")]
    values += [("AuxiliaryAddresses", address, name) for name, address in auxiliary.items()]
    for field, address, name in values:
        pool = next((pool for network, pool in pools if inside(address, network)), None)
        if pool is None:
            raise InvalidArgument(
                f"no matching subnet for {'aux-address' if name else 'range' if field == 'IPRange' else 'gateway'} {address}"
            )
        if name:
            pool.setdefault(field, {})[name] = address
        elif field in pool:
            raise InvalidArgument(
                f"cannot configure multiple {'ranges' if field == 'IPRange' else 'gateways'} ({address}, {pool[field]}) on the same subnet ({pool['Subnet']})"
            )
        else:
            pool[field] = address
    return [pool for _, pool in pools]


def network_create(session: Session, args: Args) -> int:
    config: Json = {
        "Name": args.words[0],
        "Driver": args.text("driver", "bridge"),
        "Scope": args.text("scope"),
        "Options": args.pairs("opt"),
        "Labels": labels(args),
        "Internal": args.on("internal"),
        "Attachable": args.on("attachable"),
        "IPAM": {
            "Driver": args.text("ipam-driver", "default"),
            "Options": args.pairs("ipam-opt"),
            "Config": _pools(args),
        },
    }
    for flag, field in (("ipv4", "EnableIPv4"), ("ipv6", "EnableIPv6")):
        if args.has(flag):
            config[field] = args.on(flag)
    created = session.client.networks.create(config)
    if created.get("Warning"):
        session.warn(f"WARNING: {created['Warning']}")
    session.line(created["Id"])
    return 0


def network_rm(session: Session, args: Args) -> int:
    networks, force = session.client.networks, args.on("force")

    def one(name: str) -> None:
        try:
            networks.remove(name)
        except NotFound:
            if not force:
                raise
            return
        session.line(name)

    return each(session, args.words, one, echo=False)


def network_connect(session: Session, args: Args) -> int:
    from naru.cli.runnetworks import endpoint

    network, container = args.words
    config = endpoint(
        aliases=_strings(args, "alias"), links=args.items("link"), ip=args.text("ip"), ip6=args.text("ip6"),
        link_local=_strings(args, "link-local-ip"),
    )  # fmt: skip
    if args.has("driver-opt"):
        config["DriverOpts"] = args.pairs("driver-opt")
    if args.has("gw-priority"):
        config["GwPriority"] = args.number("gw-priority")
    session.client.networks.connect(network, container, config)
    return 0


def network_disconnect(session: Session, args: Args) -> int:
    network, container = args.words
    session.client.networks.disconnect(network, container, force=args.on("force"))
    return 0
