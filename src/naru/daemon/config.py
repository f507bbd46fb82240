"""Settings: defaults < config file (daemon.json) < environment < flags, validated once, then a frozen value.

Keys and flags are dockerd's wherever dockerd has them (`options`). An option given both as a flag and in the file is
refused, as dockerd does, unless it is a list. Unknown keys are refused with their name.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from naru.daemon.checks import check
from naru.daemon.options import FOREIGN, OPTIONS, Foreign, Option
from naru.daemon.values import AddressPool, NamedRuntime, Ulimit
from naru.errors import InvalidArgument
from naru.wire.container import LogConfig

DEFAULT_CONFIG_FILE = "/etc/naru/daemon.json"


@dataclass(frozen=True, slots=True)
class Config:
    """One field for each row of `options.OPTIONS`, in its order, with its default; and what was taken without effect."""

    hosts: tuple[str, ...] = ("unix:///run/naru/naru.sock",)
    data_root: str = "/var/lib/naru"
    exec_root: str = "/run/naru"
    pidfile: str = ""
    group: str = ""
    tls: bool | None = None
    tlsverify: bool | None = None
    tlscacert: str = ""
    tlscert: str = ""
    tlskey: str = ""
    min_api_version: str = "1.24"
    bridge: str = "naru0"
    bip: str = ""
    mtu: int = 1500
    icc: bool = True
    ip: str = "0.0.0.0"
    ip_masq: bool = True
    default_address_pools: tuple[AddressPool, ...] = ()
    dns: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    host_gateway_ips: tuple[str, ...] = ()
    registry_mirrors: tuple[str, ...] = ()
    insecure_registries: tuple[str, ...] | None = None
    default_registry: str = ""
    max_concurrent_downloads: int = 3
    max_concurrent_uploads: int = 5
    max_download_attempts: int = 5
    default_runtime: str = "crun"
    runtimes: tuple[NamedRuntime, ...] = ()
    cgroup_parent: str = "naru"
    userns_remap: str = ""
    exec_opts: tuple[str, ...] = ()
    default_cgroupns_mode: str = ""
    default_ipc_mode: str = "private"
    default_shm_size: int = 64 << 20
    default_stop_timeout: int = 10
    default_ulimits: tuple[Ulimit, ...] = ()
    init: bool = False
    init_path: str = ""
    no_new_privileges: bool = False
    seccomp_profile: str = "builtin"
    metrics_addr: str = ""
    log_level: str = "info"
    log_format: str = "text"
    debug: bool = False
    labels: tuple[str, ...] = ()
    features: tuple[tuple[str, bool], ...] = ()
    experimental: bool = False
    cdi_spec_dirs: tuple[str, ...] = ()
    shutdown_timeout: int = 15
    log_driver: str = "json-file"
    log_opts: tuple[str, ...] = ()
    without_effect: tuple[str, ...] = ()  # what the log says about options that were taken and do nothing

    @property
    def log_config(self) -> LogConfig:
        """Of containers that ask for no other."""
        return LogConfig(type=self.log_driver, config=dict(option.partition("=")[::2] for option in self.log_opts))

    @property
    def uses_tls(self) -> bool:
        return bool(self.tls or self.tlsverify)


_ALIASES = {"host-gateway-ip": "host-gateway-ips"}  # dockerd's older keys, for one value
_BY_KEY: dict[str, Option | Foreign] = {row.key: row for row in (*OPTIONS, *FOREIGN)}


def parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(
        prog="naru daemon",
        description="Run the engine. Flags are dockerd's wherever dockerd has one.",
        allow_abbrev=False,
    )
    out.add_argument(
        "--config-file", default=DEFAULT_CONFIG_FILE, metavar="PATH", help="daemon.json to read (%(default)s)"
    )
    out.add_argument("-v", "--version", action="store_true", help="print the version and exit")
    out.add_argument("--validate", action="store_true", help="validate the configuration and exit")
    shown = {each.name: text_of(each.default) for each in fields(Config)}
    for option in OPTIONS:
        default = f" (default {shown[option.field]})" if shown[option.field] else ""
        _add_flag(out, option, option.field, option.help + default)
    for foreign in FOREIGN:
        _add_flag(out, foreign, foreign.key, argparse.SUPPRESS)
    return out


def _add_flag(out: argparse.ArgumentParser, row: Option | Foreign, name: str, text: str) -> None:
    if not row.flags:
        return
    if row.kind.word == "bool":
        out.add_argument(*row.flags, dest=name, nargs="?", const="true", metavar="BOOL", help=text)
    else:
        action = "append" if row.kind.many else "store"
        out.add_argument(*row.flags, dest=name, action=action, metavar=row.kind.word, help=text.replace("%", "%%"))


def text_of(default: object) -> str:
    """A default as the help and the manual show it; "" for none."""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return ", ".join(str(item) for item in default)
    return "" if default is None else str(default)


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    return parser().parse_args(list(argv))


def load(arguments: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> Config:
    """Raises InvalidArgument that names the option, and the file or flag it came from."""
    path = arguments.config_file
    from_file = _read_file(path)
    values: dict[str, Any] = {}
    for option in OPTIONS:
        given = getattr(arguments, option.field, None)
        in_file = from_file.get(option.key)
        if given is not None and in_file is not None and not option.kind.many:
            raise InvalidArgument(
                f"unable to configure the daemon with file {path}: the following directives are specified both as a flag and in "
                f"the configuration file: {option.key}: (from flag: {given}, from file: {in_file})"
            )
        value = _file_value(path, option, in_file) if in_file is not None else None
        if given is not None:
            flagged = _flag_value(option, given)
            value = (*(value or ()), *flagged) if option.kind.many else flagged
        if value is not None:
            values[option.field] = value
    if arguments.default_registry is None and environment.get("NARU_DEFAULT_REGISTRY"):
        values["default_registry"] = environment["NARU_DEFAULT_REGISTRY"]
    config = Config(**values, without_effect=_without_effect(arguments, path, from_file))
    check(config)
    return config


def _flag_value(row: Option | Foreign, given: Any) -> Any:
    texts = given if isinstance(given, list) else [given]
    out = []
    for text in texts:
        try:
            out.append(row.kind.from_flag(text))
        except ValueError as error:
            raise InvalidArgument(f'invalid argument "{text}" for "{row.flags[-1]}" flag: {error}') from error
    return tuple(out) if row.kind.many else out[-1]


def _file_value(path: str, row: Option | Foreign, value: Any) -> Any:
    try:
        return row.kind.from_file(value)
    except ValueError as error:
        raise InvalidArgument(f"unable to configure the daemon with file {path}: {row.key}: {error}") from error


def _without_effect(arguments: argparse.Namespace, path: str, from_file: Mapping[str, Any]) -> tuple[str, ...]:
    """What is said about dockerd's options that do nothing here. Raises InvalidArgument for those that must not be ignored."""
    notes = []
    for row in FOREIGN:
        given, in_file = getattr(arguments, row.key, None), from_file.get(row.key)
        found = [_flag_value(row, given)] if given is not None else []
        found += [_file_value(path, row, in_file)] if in_file is not None else []
        for value in found:
            if row.harmless and value not in row.harmless:
                raise InvalidArgument(f"{row.key}={text_of(value)} is not supported: {row.why}")
            notes.append(f"{row.key} has no effect: {row.why}")
    return tuple(notes)


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
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"unable to configure the daemon with file {path}: invalid JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidArgument(f"unable to configure the daemon with file {path}: not a JSON object")
    for old, new in _ALIASES.items():
        if old in value:
            value.setdefault(new, [value.pop(old)])
    if unknown := [key for key in value if key not in _BY_KEY]:
        raise InvalidArgument(
            f"unable to configure the daemon with file {path}: the following directives don't match any configuration option: {', '.join(unknown)}"
        )
    return value


def table_of(bridge: str) -> str:
    """The name of the nftables table of the daemon with this default bridge."""
    return "naru" if bridge == "naru0" else f"naru-{bridge}"
