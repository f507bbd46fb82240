"""What a configuration must not say, whatever it came from; in dockerd's words where dockerd has some. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from naru.errors import InvalidArgument
from naru.logs import options
from naru.remote.hosts import RegistryConfig

if TYPE_CHECKING:
    from naru.daemon.config import Config

LEVELS = ("debug", "info", "warn", "error", "fatal")
_API = re.compile(r"1\.([0-9]{1,3})")
_OLDEST, _NEWEST = 24, 56
_CHOICES = (  # field, what it may be, how it is refused
    ("log_level", LEVELS, "invalid logging level: {}"),
    ("log_format", ("text", "json"), "invalid log format: {}"),
    ("default_ipc_mode", ("shareable", "private"), 'default IPC mode setting ({}) is invalid; use "shareable" or "private"'),
    ("default_cgroupns_mode", ("", "host", "private"), 'invalid default cgroup namespace ({}): use "host" or "private"'),
)  # fmt: skip
_LEAST = (  # field, the least it may be, how less is refused
    ("mtu", 0, "invalid default MTU: {}"),
    ("max_concurrent_downloads", 0, "invalid max concurrent downloads: {}"),
    ("max_concurrent_uploads", 0, "invalid max concurrent uploads: {}"),
    ("max_download_attempts", 0, "invalid max download attempts: {}"),
    ("default_stop_timeout", -1, "invalid default stop timeout: {}"),
    ("shutdown_timeout", -1, "invalid shutdown timeout: {}"),
)


def check(config: Config) -> None:
    """Raises InvalidArgument."""
    for host in config.hosts:
        _check_host(host, config)
    for field, allowed, words in _CHOICES:
        if getattr(config, field) not in allowed:
            raise InvalidArgument(words.format(getattr(config, field)))
    for field, least, words in _LEAST:
        if getattr(config, field) < least:
            raise InvalidArgument(words.format(getattr(config, field)))
    if config.bip:
        try:
            ipaddress.IPv4Interface(config.bip)
        except ValueError as error:
            raise InvalidArgument(f"invalid bip {config.bip!r}: {error}") from error
    if ":" in config.ip:
        raise InvalidArgument(f"invalid ip {config.ip!r}: ports of the default bridge are published on IPv4 addresses")
    if not 0 < len(config.bridge) <= 15 or "/" in config.bridge or config.bridge.split() != [config.bridge]:
        raise InvalidArgument(f"invalid bridge name {config.bridge!r}: an interface's name has 1 to 15 characters")
    for name in ("data_root", "exec_root"):
        if not getattr(config, name).startswith("/"):
            raise InvalidArgument(f"{name.replace('_', '-')} {getattr(config, name)!r} is not an absolute path")
    if config.metrics_addr:
        host_and_port(config.metrics_addr, "metrics-addr")
    _check_exec_opts(config.exec_opts)
    _check_labels(config.labels)
    _check_api(config.min_api_version)
    _check_runtimes(config)
    try:
        options.check(config.log_config)
    except InvalidArgument as error:
        raise InvalidArgument(f"failed to set log opts: {error}") from error
    RegistryConfig(config.registry_mirrors, config.insecure_registries, config.default_registry)  # raises


def host_and_port(text: str, name: str) -> tuple[str, int]:
    """`HOST:PORT` or `[::1]:PORT`; an empty host is every address. Raises InvalidArgument."""
    try:
        parts = urlsplit(f"//{text}")
        port = parts.port
    except ValueError as error:
        raise InvalidArgument(f"invalid {name} {text!r}: {error}") from error
    if port is None or parts.path or parts.username is not None:
        raise InvalidArgument(f"invalid {name} {text!r}: expected HOST:PORT")
    return parts.hostname or "", port


def _check_host(host: str, config: Config) -> None:
    scheme, separator, rest = host.partition("://")
    if not separator or scheme not in ("unix", "tcp", "fd") or (scheme == "unix" and not rest.startswith("/")):
        raise InvalidArgument(f"invalid host {host!r}: expected unix:///PATH, tcp://HOST:PORT or fd://")
    if scheme != "tcp":
        return
    tcp_address(rest, tls=config.uses_tls)
    if not config.uses_tls and config.tls is None and config.tlsverify is None:
        raise InvalidArgument(
            f"refusing to listen on {host} without TLS: whoever reaches it is root on this machine. Use --tlsverify with "
            "certificates, a unix socket or ssh, or say --tlsverify=false if you mean it"
        )


def tcp_address(text: str, *, tls: bool) -> tuple[str, int]:
    """The address and port of `tcp://TEXT`, with dockerd's defaults: the loopback, 2375, and 2376 with TLS."""
    if not re.search(r":[0-9]+$", text) or text.endswith("]"):
        text += ":2376" if tls else ":2375"
    host, port = host_and_port(text, "host")
    return host or "127.0.0.1", port


def _check_exec_opts(options: Sequence[str]) -> None:
    for option in options:
        key, equals, value = option.partition("=")
        if key.lower() != "native.cgroupdriver" or not equals:
            raise InvalidArgument(f"invalid exec-opt ({option}): unknown option: '{key}'")
        if value == "systemd":
            raise InvalidArgument(
                "native.cgroupdriver=systemd is not supported: cgroups are made by the daemon (cgroupfs)"
            )
        if value != "cgroupfs":
            raise InvalidArgument(f"invalid exec-opt ({option}): native.cgroupdriver {value} is not supported")


def _check_labels(labels: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for label in labels:
        key = label.partition("=")[0]
        if seen.setdefault(key, label) != label:
            raise InvalidArgument(f"conflict labels for {label} and {seen[key]}")


def _check_api(version: str) -> None:
    match = _API.fullmatch(version)
    if match is None or not _OLDEST <= int(match[1]) <= _NEWEST:
        raise InvalidArgument(f"invalid min-api-version {version}: expected 1.{_OLDEST} to 1.{_NEWEST}")


def _check_runtimes(config: Config) -> None:
    names = [runtime.name for runtime in config.runtimes]
    for name in names:
        if names.count(name) > 1:
            raise InvalidArgument(f"runtime {name} is given more than once")
    known = {"crun", "runc", "io.containerd.runc.v2", *names}
    if config.default_runtime not in known and not config.default_runtime.startswith("/"):
        raise InvalidArgument(f"specified default runtime '{config.default_runtime}' does not exist")
