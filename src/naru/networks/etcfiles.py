"""The texts of a container's /etc/resolv.conf and /etc/hosts. Pure: what the host has is passed in.

On the default bridge a container asks the host's name servers; on the others the embedded resolver at 127.0.0.11, which
knows the names of its neighbours. See resolv.conf(5), hosts(5).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

RESOLVER = "127.0.0.11"
FALLBACK = ("8.8.8.8", "8.8.4.4")  # Docker's, when the host names no server that a container could reach


@dataclass(frozen=True, slots=True)
class ResolvConf:
    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def parse(text: str) -> ResolvConf:
    """What a resolv.conf says; the last `search` or `domain` line counts, as in the C library."""
    nameservers: list[str] = []
    search: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        keyword, *words = line.partition("#")[0].partition(";")[0].split() or [""]
        if keyword == "nameserver" and words and _address(words[0]):
            nameservers.append(words[0])
        elif keyword in ("search", "domain"):
            search = [word for word in words if word != "."]
        elif keyword == "options":
            options += words
    return ResolvConf(tuple(nameservers), tuple(search), tuple(options))


def _address(text: str) -> bool:
    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def reachable(nameservers: Iterable[str]) -> tuple[str, ...]:
    """Those that a container with IPv4 alone can ask: no loopback (that is its own), no IPv6."""
    return tuple(ip for ip in nameservers if ":" not in ip and not ip_address(ip).is_loopback)


def resolv_conf(
    host: str,
    resolved: str,
    *,
    embedded: bool,
    dns: Sequence[str] = (),
    search: Sequence[str] = (),
    options: Sequence[str] = (),
) -> str:
    """The file of a container with its own network.

    host: the host's resolv.conf; resolved: that of systemd-resolved with the real servers (empty if there is none), used
    when the host's own names loopback servers only. embedded: on a network with names. dns, search, options: what the
    user set, each in place of the host's.
    """
    ours = parse(host)
    servers = tuple(dns) or reachable(ours.nameservers) or reachable(parse(resolved).nameservers) or FALLBACK
    wanted = tuple(options) or ours.options
    if embedded:
        servers = (RESOLVER,)
        if not any(option.startswith("ndots:") for option in wanted):
            wanted = (*wanted, "ndots:0")
    domains = tuple(word for word in (tuple(search) or ours.search) if word != ".")
    lines = [f"nameserver {server}" for server in servers]
    lines += [f"search {' '.join(domains)}"] if domains else []
    lines += [f"options {' '.join(wanted)}"] if wanted else []
    return "\n".join(lines) + "\n"


def hosts(addresses: Sequence[str], hostname: str, domain: str = "", extra: Iterable[tuple[str, str]] = ()) -> str:
    """The file of a container with these addresses; extra: (name, address) lines that the user added."""
    lines = [
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::\tip6-localnet",
        "ff00::\tip6-mcastprefix",
        "ff02::1\tip6-allnodes",
        "ff02::2\tip6-allrouters",
    ]
    lines += [f"{ip}\t{name}" for name, ip in extra]
    full = f"{hostname}.{domain}" if domain else hostname
    names = f"{full} {full.partition('.')[0]}" if "." in full else full
    lines += [f"{ip}\t{names}" for ip in addresses]
    return "\n".join(lines) + "\n"
