"""The configuration of the running daemon, and what of it changes at SIGHUP.

An option is reloaded if its row in `options` says so; for the others a restart is needed, and that is logged. All of a
new configuration is checked before any of it is used: what is refused changes nothing.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, replace

from naru.api.shown import Shown
from naru.containers.engine import Engine
from naru.daemon import logs
from naru.daemon.config import Config
from naru.daemon.options import OPTIONS
from naru.daemon.parts import container_defaults, own_runtime, registry_config, runtime_programs
from naru.events import Event

log = logging.getLogger("naru.daemon")


class Live:
    def __init__(self, config: Config, engine: Engine, daemon_id: str) -> None:
        self.config = config
        self._engine = engine
        self._id = daemon_id
        self.on_change: Callable[[Shown], None] = lambda shown: None

    def reload(self, new: Config) -> None:
        """What can change does; the event `daemon reload` says what is in force then. Raises InvalidArgument, and changes nothing."""
        changed = [option for option in OPTIONS if getattr(new, option.field) != getattr(self.config, option.field)]
        merged = replace(self.config, **{o.field: getattr(new, o.field) for o in changed if o.reload})
        if own_runtime(merged) != own_runtime(self.config):
            merged = replace(merged, default_runtime=self.config.default_runtime)
            log.warning("default-runtime is the same until the daemon is restarted")
        for option in changed:
            if not option.reload:
                log.warning("%s is the same until the daemon is restarted", option.key)
        engine, registry, defaults = self._engine, registry_config(merged), container_defaults(merged)
        engine.registry.configure(registry)
        engine.images.limit(downloads=merged.max_concurrent_downloads, uploads=merged.max_concurrent_uploads)
        engine.around.defaults = defaults
        engine.around.runtime.programs.configure(runtime_programs(merged), default_label(merged))
        self.config = merged
        self.on_change(self.shown())
        engine.bus.publish(Event("daemon", "reload", self._id, time.time_ns(), self.attributes()))
        log.info("Reloaded configuration", extra={"fields": {"config": json.dumps(asdict(merged))}})
        logs.set_level(merged)

    def attributes(self) -> dict[str, str]:
        """Of the event, as dockerd's."""
        config, defaults = self.config, self._engine.around.defaults
        features = " ".join(f"{name}:{str(on).lower()}" for name, on in sorted(config.features))
        return {
            "debug": str(config.debug).lower(),
            "default-cgroupns-mode": self._cgroupns_mode(),
            "default-ipc-mode": config.default_ipc_mode,
            "default-runtime": self._engine.around.runtime.label,
            "default-shm-size": str(defaults.shm_bytes),
            "default-stop-timeout": str(config.default_stop_timeout),
            "features": f"map[{features}]",
            "insecure-registries": _listed(config.insecure_registries or ()),
            "labels": _listed(config.labels),
            "live-restore": "true",
            "max-concurrent-downloads": str(config.max_concurrent_downloads),
            "max-concurrent-uploads": str(config.max_concurrent_uploads),
            "max-download-attempts": str(config.max_download_attempts),
            "name": self._engine.host.name,
            "nri-opts": "{false   }",
            "registry-mirrors": _listed(config.registry_mirrors),
            "runtimes": " ".join(f"{each.name}:{each.path}" for each in config.runtimes),
            "shutdown-timeout": str(config.shutdown_timeout),
        }

    def shown(self) -> Shown:
        config, runtime = self.config, self._engine.around.runtime
        own = self._engine.host.programs.get(runtime.name, runtime.name)
        named = [(each.name, each.path, each.arguments) for each in config.runtimes]
        major, minor = config.min_api_version.split(".")
        return Shown(
            id=self._id, labels=config.labels, debug=config.debug or config.log_level == "debug", experimental=config.experimental,
            min_version=(int(major), int(minor)), runtimes=(("runc", own, ()), (runtime.name, own, ()), *named),
            default_runtime=runtime.label, runtime_program=runtime.name, init_path=config.init_path,
            seccomp=config.seccomp_profile or "builtin", no_new_privileges=config.no_new_privileges,
            private_cgroupns=self._cgroupns_mode() == "private", apparmor=self._engine.host.apparmor,
            remapped=self._engine.networking.remap is not None,
            pools=tuple((pool.base, pool.size) for pool in config.default_address_pools), cdi_spec_dirs=config.cdi_spec_dirs,
        )  # fmt: skip

    def _cgroupns_mode(self) -> str:
        v2 = self._engine.host.cgroup_version == 2
        return self.config.default_cgroupns_mode or ("private" if v2 else "host")


def default_label(config: Config) -> str:
    """Of the runtime of containers that name none; empty for our own."""
    return config.default_runtime if config.default_runtime != own_runtime(config) else ""


def _listed(items: tuple[str, ...]) -> str:
    return json.dumps(list(items), separators=(",", ":"), ensure_ascii=False)
