"""Settings: defaults < config file (daemon.json) < environment < flags, validated once, then a frozen value.

Keys and flags are dockerd's wherever dockerd has them. An option given both as a flag and in the file is refused, as
dockerd does, unless it is a list. Unknown keys are refused with their name.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from naru.errors import InvalidArgument
from naru.logs.options import check
from naru.wire.container import LogConfig

DEFAULT_CONFIG_FILE = "/etc/naru/daemon.json"


@dataclass(frozen=True, slots=True)
class Config:
    hosts: tuple[str, ...] = ("unix:///run/naru/naru.sock",)
    data_root: str = "/var/lib/naru"
    exec_root: str = "/run/naru"
    pidfile: str = ""
    group: str = ""
    bridge: str = "naru0"
    bip: str = ""
    registry_mirrors: tuple[str, ...] = ()
    insecure_registries: tuple[str, ...] | None = None
    default_registry: str = ""
    default_runtime: str = "crun"
    cgroup_parent: str = "naru"
    log_level: str = "info"
    debug: bool = False
    tlsverify: bool = True
    experimental: bool = False
    labels: tuple[str, ...] = ()
    log_driver: str = "json-file"
    log_opts: tuple[str, ...] = ()

    @property
    def log_config(self) -> LogConfig:
        """Of containers that ask for no other."""
        return LogConfig(type=self.log_driver, config=dict(option.partition("=")[::2] for option in self.log_opts))


@dataclass(frozen=True, slots=True)
class _Option:
    field: str
    key: str  # in daemon.json
    flags: tuple[str, ...]
    help: str
    many: bool = False
    pairs: bool = False  # many, and in the file an object
    switch: bool = False


OPTIONS = (
    _Option("hosts", "hosts", ("-H", "--host"), "Daemon socket(s) to listen on: unix:///PATH or tcp://HOST:PORT", many=True),
    _Option("data_root", "data-root", ("--data-root",), "Root directory of persistent state"),
    _Option("exec_root", "exec-root", ("--exec-root",), "Root directory of execution state files"),
    _Option("pidfile", "pidfile", ("-p", "--pidfile"), "Path of the daemon's PID file (default: in the exec root)"),
    _Option("group", "group", ("-G", "--group"), "Group that owns the unix socket"),
    _Option("bridge", "bridge", ("-b", "--bridge"), "Name of the default bridge's interface"),
    _Option("bip", "bip", ("--bip",), "Address of the default bridge with its prefix: 10.20.0.1/24"),
    _Option("registry_mirrors", "registry-mirrors", ("--registry-mirror",), "Preferred mirror of docker.io", many=True),
    _Option("insecure_registries", "insecure-registries", ("--insecure-registry",), "Registry (HOST[:PORT] or CIDR) that may be used without TLS", many=True),
    _Option("default_registry", "default-registry", ("--default-registry",), "Registry (HOST[:PORT]) that serves bare image names instead of docker.io"),
    _Option("default_runtime", "default-runtime", ("--default-runtime",), "OCI runtime: crun, runc or a path"),
    _Option("cgroup_parent", "cgroup-parent", ("--cgroup-parent",), "Parent cgroup of all containers"),
    _Option("log_level", "log-level", ("-l", "--log-level"), "debug, info, warn or error"),
    _Option("debug", "debug", ("-D", "--debug"), "The same as --log-level debug", switch=True),
    _Option("tlsverify", "tlsverify", ("--tlsverify",), "false: allow tcp sockets without TLS; anyone who reaches them is root here", switch=True),
    _Option("experimental", "experimental", ("--experimental",), "Offer what Docker calls experimental: checkpoints", switch=True),
    _Option("labels", "labels", ("--label",), "Label (key=value) of the daemon", many=True),
    _Option("log_driver", "log-driver", ("--log-driver",), "Log driver of containers that ask for none"),
    _Option("log_opts", "log-opts", ("--log-opt",), "Option (key=value) of that driver", many=True, pairs=True),
)  # fmt: skip
_BY_KEY = {option.key: option for option in OPTIONS}
# Keys of daemon.json that say what is so anyway, or that only tune what works without: taken, and without effect.
_ACCEPTED_KEYS = {
    "live-restore",
    "storage-driver",
    "features",
    "exec-opts",
    "iptables",
    "ip-forward",
    "userland-proxy",
}


def parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(
        prog="naru daemon",
        description="Run the engine. Flags are dockerd's wherever dockerd has one.",
        allow_abbrev=False,
    )
    out.add_argument(
        "--config-file", default=DEFAULT_CONFIG_FILE, metavar="PATH", help="daemon.json to read (%(default)s)"
    )
    out.add_argument("--version", action="store_true", help="print the version and exit")
    for option in OPTIONS:
        if option.switch:
            out.add_argument(
                *option.flags, dest=option.field, nargs="?", const="true", metavar="BOOL", help=option.help
            )
        else:
            action = "append" if option.many else "store"
            default = next(f.default for f in fields(Config) if f.name == option.field)
            shown = f" (default {', '.join(default) if isinstance(default, tuple) else default})" if default else ""
            out.add_argument(*option.flags, dest=option.field, action=action, metavar="VALUE", help=option.help + shown)
    return out


def load(arguments: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> Config:
    """Raises InvalidArgument that names the option, and the file or flag it came from."""
    from_file = _read_file(arguments.config_file)
    values: dict[str, Any] = {}
    for option in OPTIONS:
        given = getattr(arguments, option.field)
        in_file = from_file.get(option.key)
        if given is not None and in_file is not None and not option.many:
            raise InvalidArgument(
                f"the following directives are specified both as a flag and in the configuration file: {option.key}: "
                f"(from flag: {given}, from file: {in_file})"
            )
        if option.many and (given is not None or in_file is not None):
            values[option.field] = tuple([*(in_file or []), *(given or [])])
        elif given is not None:
            values[option.field] = _boolean(option, given) if option.switch else given
        elif in_file is not None:
            values[option.field] = in_file
    if arguments.default_registry is None and environment.get("NARU_DEFAULT_REGISTRY"):
        values["default_registry"] = environment["NARU_DEFAULT_REGISTRY"]
    config = Config(**values)
    _validate(config)
    return config


def _boolean(option: _Option, text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise InvalidArgument(f'invalid argument "{text}" for "{option.flags[-1]}": not a boolean')
    return text.lower() in ("true", "1")


def _read_file(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            text = file.read(1 << 20)
    except FileNotFoundError:
        if path != DEFAULT_CONFIG_FILE:
            raise InvalidArgument(
                f"unable to configure the daemon with file {path}: open {path}: no such file or directory"
            ) from None
        return {}
    except OSError as error:
        raise InvalidArgument(f"unable to configure the daemon with file {path}: {error.strerror}") from error
    if not text.strip():
        return {}
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidArgument(f"unable to configure the daemon with file {path}: invalid JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidArgument(f"unable to configure the daemon with file {path}: not a JSON object")
    unknown = [key for key in value if key not in _BY_KEY and key not in _ACCEPTED_KEYS]
    if unknown:
        raise InvalidArgument(
            f"unable to configure the daemon with file {path}: the following directives don't match any configuration option: {', '.join(unknown)}"
        )
    for key, item in value.items():
        option = _BY_KEY.get(key)
        if option is None:
            continue
        wanted = dict if option.pairs else list if option.many else bool if option.switch else str
        entries = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        if not isinstance(item, wanted) or not all(isinstance(entry, str) for entry in entries):
            raise InvalidArgument(
                f"unable to configure the daemon with file {path}: {key}: expected a {_NAMES[wanted]}"
            )
    return {
        key: [f"{name}={text}" for name, text in item.items()] if isinstance(item, dict) else item
        for key, item in value.items()
    }


_NAMES: dict[type, str] = {dict: "object of strings", list: "list of strings", bool: "boolean", str: "string"}


def _validate(config: Config) -> None:
    for host in config.hosts:
        scheme, separator, rest = host.partition("://")
        if not separator or scheme not in ("unix", "tcp", "fd") or (not rest and scheme != "fd"):
            raise InvalidArgument(f"invalid host {host!r}: expected unix:///PATH or tcp://HOST:PORT")
        if scheme == "tcp" and config.tlsverify:
            raise InvalidArgument(
                f"refusing to listen on {host} without TLS: whoever reaches it is root on this machine. Use a unix socket or ssh, "
                "or say --tlsverify=false if you mean it"
            )
    if config.bip:
        try:
            ipaddress.IPv4Interface(config.bip)
        except ValueError as error:
            raise InvalidArgument(f"invalid bip {config.bip!r}: {error}") from error
    if not 0 < len(config.bridge) <= 15 or "/" in config.bridge or config.bridge.split() != [config.bridge]:
        raise InvalidArgument(f"invalid bridge name {config.bridge!r}: an interface's name has 1 to 15 characters")
    if config.log_level not in ("debug", "info", "warn", "error"):
        raise InvalidArgument(f"unable to parse logging level: {config.log_level}")
    for option in config.log_opts:
        if not option.partition("=")[1]:
            raise InvalidArgument(f'invalid argument "{option}" for "--log-opt": must be key=value')
    try:
        check(config.log_config)
    except InvalidArgument as error:
        raise InvalidArgument(f"failed to set log opts: {error}") from error
    for name in ("data_root", "exec_root"):
        if not getattr(config, name).startswith("/"):
            raise InvalidArgument(f"{name.replace('_', '-')} {getattr(config, name)!r} is not an absolute path")


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    return parser().parse_args(list(argv))


def table_of(bridge: str) -> str:
    """The name of the nftables table of the daemon with this default bridge."""
    return "naru" if bridge == "naru0" else f"naru-{bridge}"
