"""What `info` and `version` show of the daemon's configuration: one frozen value, replaced whole when that is reloaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from naru.api.app import MIN_VERSION
from naru.api.parameters import Version
from naru.remote.hosts import RegistryConfig

Json = dict[str, Any]
LOOPBACK = ("::1/128", "127.0.0.0/8")


@dataclass(frozen=True, slots=True)
class Shown:
    id: str = ""
    labels: tuple[str, ...] = ()
    debug: bool = False
    experimental: bool = False
    min_version: Version = MIN_VERSION
    runtimes: tuple[tuple[str, str, tuple[str, ...]], ...] = ()  # (label, path, arguments)
    default_runtime: str = "runc"
    runtime_program: str = "crun"  # of our own runtime
    init_path: str = ""
    seccomp: str = "builtin"  # or unconfined, or the profile's path
    no_new_privileges: bool = False
    private_cgroupns: bool = False
    apparmor: bool = False
    remapped: bool = False  # containers have user namespaces
    pools: tuple[tuple[str, int], ...] = ()
    cdi_spec_dirs: tuple[str, ...] = ()

    def runtimes_json(self) -> Json:
        out: Json = {}
        for label, path, arguments in self.runtimes:
            out[label] = {"path": path, **({"runtimeArgs": list(arguments)} if arguments else {})}
        return out

    def security_options(self) -> list[str]:
        return [
            *(["name=apparmor"] if self.apparmor else []),
            f"name=seccomp,profile={self.seccomp}",
            *(["name=userns"] if self.remapped else []),
            *(["name=cgroupns"] if self.private_cgroupns else []),
            *(["name=no-new-privileges"] if self.no_new_privileges else []),
        ]

    def warnings(self) -> list[str] | None:
        return ["WARNING: daemon is not using the default seccomp profile"] if self.seccomp != "builtin" else None


def registry_json(config: RegistryConfig) -> Json:
    """`RegistryConfig` of `info`: insecure registries by CIDR, by name, and the mirrors of docker.io."""
    mirrors = [mirror if "://" in mirror else f"https://{mirror}" for mirror in config.mirrors]
    mirrors = [mirror.rstrip("/") + "/" for mirror in mirrors]
    entries = config.insecure or ()
    loopback = LOOPBACK if config.insecure is None else ()
    index: Json = {"docker.io": {"Mirrors": mirrors or None, "Name": "docker.io", "Official": True, "Secure": True}}
    for name in entries:
        if "/" not in name:
            index[name] = {"Mirrors": [], "Name": name, "Official": False, "Secure": False}
    return {
        "IndexConfigs": index,
        "InsecureRegistryCIDRs": [*loopback, *(entry for entry in entries if "/" in entry)],
        "Mirrors": mirrors or None,
    }
