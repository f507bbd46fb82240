"""`--publish` and `--expose` as the API's PortBindings and ExposedPorts. Pure; ValueError with Docker's words."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    Json = dict[str, Any]

_PROTOCOLS = ("tcp", "udp", "sctp")


def _range(text: str, what: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    last = last if dash else first
    if not (first.isdecimal() and last.isdecimal()) or not int(first) <= int(last) <= 65535:
        raise ValueError(f"invalid {what}: {text}")
    return int(first), int(last)


def _split(text: str) -> tuple[str, str, str, str]:
    """(address, host ports, container ports, protocol)."""
    rest, _, protocol = text.partition("/")
    protocol = protocol.lower() or "tcp"
    if protocol not in _PROTOCOLS:
        raise ValueError(f"invalid proto: {protocol}")
    address, host = "", ""
    before, colon, container = rest.rpartition(":")
    if colon:
        address, colon, host = before.rpartition(":")
        if address.startswith("[") != address.endswith("]"):
            raise ValueError(f"invalid IP address: {before}")
        address = address.strip("[]")
    if not container:
        raise ValueError(f"no port specified: {text}<empty>")
    return address, host, container, protocol


def _check_address(address: str) -> None:
    import _socket

    family = _socket.AF_INET6 if ":" in address else _socket.AF_INET
    try:
        _socket.inet_pton(family, address)
    except OSError as error:
        raise ValueError(f"invalid IP address: {address}") from error


def publish(texts: Iterable[str]) -> dict[str, list[Json]]:
    """PortBindings of every -p: `80`, `8080:80`, `127.0.0.1::53/udp`, `8000-8002:80-82`, `8000-9000:80`, `[::1]:80:80`."""
    bindings: dict[str, list[Json]] = {}
    for text in texts:
        if "=" in text:
            text = _long_syntax(text)
        address, host, container, protocol = _split(text)
        if address:
            _check_address(address)
        first, last = _range(container, "containerPort")
        host_first, host_last = _range(host, "hostPort") if host else (0, 0)
        if host and host_last - host_first != last - first and first != last:
            raise ValueError(f"invalid ranges specified for container and host Ports: {container} and {host}")
        for offset in range(last - first + 1):
            port = ""
            if host:
                port = host if first == last and host_first != host_last else str(host_first + offset)
            bindings.setdefault(f"{first + offset}/{protocol}", []).append({"HostIp": address, "HostPort": port})
    return bindings


def _long_syntax(text: str) -> str:
    """`published=8080,target=80,protocol=tcp` as the short form."""
    fields = dict(field.partition("=")[::2] for field in text.split(","))
    unknown = set(fields) - {"published", "target", "protocol", "mode"}
    if unknown or "target" not in fields:
        raise ValueError(f"invalid field {sorted(unknown)[0]}" if unknown else "target is required")
    host = f"{fields['published']}:" if "published" in fields else ""
    return f"{host}{fields['target']}/{fields.get('protocol', 'tcp')}"


def expose(texts: Iterable[str]) -> dict[str, Json]:
    """ExposedPorts of every --expose: `80`, `80-82/udp`."""
    exposed: dict[str, Json] = {}
    for text in texts:
        if ":" in text:
            raise ValueError(f"invalid port format for --expose: {text}")
        _, _, container, protocol = _split(text)
        try:
            first, last = _range(container, "")
        except ValueError as error:
            raise ValueError(f"invalid range format for --expose: {container}, error: {error}") from error
        exposed.update({f"{port}/{protocol}": {} for port in range(first, last + 1)})
    return exposed
