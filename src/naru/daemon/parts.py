"""The configuration as each part of the daemon takes it: one function for each of their own values."""

from __future__ import annotations

import shutil

from naru.containers.defaults import Defaults
from naru.containers.runtimes import Program
from naru.daemon.config import Config
from naru.errors import InvalidArgument
from naru.networks.records import OPTION_BINDING, OPTION_ICC, OPTION_MASQUERADE, OPTION_MTU
from naru.oci.image import dump_json, load_json
from naru.remote.hosts import RegistryConfig
from naru.wire.container import Ulimit

_PROFILE_LIMIT_BYTES = 1 << 20


def registry_config(config: Config) -> RegistryConfig:
    """Raises InvalidArgument."""
    return RegistryConfig(
        mirrors=config.registry_mirrors, insecure=config.insecure_registries, default_registry=config.default_registry,
        attempts=config.max_download_attempts or 5,
    )  # fmt: skip


def bridge_options(config: Config) -> dict[str, str]:
    """Driver options of the default bridge."""
    return {
        OPTION_ICC: str(config.icc).lower(), OPTION_MASQUERADE: str(config.ip_masq).lower(), OPTION_BINDING: config.ip,
        OPTION_MTU: str(config.mtu or 1500),
    }  # fmt: skip


def address_blocks(config: Config) -> list[tuple[str, int]]:
    return [(pool.base, pool.size) for pool in config.default_address_pools]


def own_runtime(config: Config) -> str:
    """The runtime that Docker's clients know as runc: a name or a path; crun if the default is one of the user's."""
    named = {runtime.name for runtime in config.runtimes}
    return "crun" if config.default_runtime in named else config.default_runtime


def runtime_programs(config: Config) -> dict[str, Program]:
    return {each.name: Program(shutil.which(each.path) or each.path, each.arguments) for each in config.runtimes}


def container_defaults(config: Config) -> Defaults:
    """Raises InvalidArgument for a seccomp profile that cannot be read."""
    return Defaults(
        shm_bytes=config.default_shm_size,
        ipc_mode=config.default_ipc_mode,
        cgroupns_mode=config.default_cgroupns_mode,
        ulimits=tuple(Ulimit(name=each.name, soft=each.soft, hard=each.hard) for each in config.default_ulimits),
        stop_timeout_s=config.default_stop_timeout,
        init=config.init,
        init_path=config.init_path,
        no_new_privileges=config.no_new_privileges,
        seccomp=_seccomp(config.seccomp_profile),
        dns=config.dns,
        dns_search=config.dns_search,
        dns_options=config.dns_options,
        host_gateway=next((ip for ip in config.host_gateway_ips if ":" not in ip), ""),
        cdi_folders=config.cdi_spec_dirs,
    )


def _seccomp(profile: str) -> str:
    if profile in ("", "builtin"):
        return ""
    if profile == "unconfined":
        return profile
    try:
        with open(profile, "rb") as file:
            return dump_json(load_json(file.read(_PROFILE_LIMIT_BYTES), "seccomp profile")).decode()
    except OSError as error:
        raise InvalidArgument(f"opening seccomp profile ({profile}) failed: {error.strerror}") from error
