"""What a container takes over from its image: the client's config over the image's, field by field. Pure."""

from __future__ import annotations

import posixpath

from naru.oci.image import Json
from naru.wire.container import Config, Healthcheck
from naru.wire.decode import from_builtins, replace_struct

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def merge_image(config: Config, run: Json) -> Config:
    """The container's config over the image's (OCI image config `config` object in Docker's field names)."""
    base = from_builtins({k: v for k, v in run.items() if v is not None and k in _INHERITED}, Config)
    env = list(config.env or [])
    given = {entry.partition("=")[0] for entry in env}
    env += [entry for entry in base.env or [] if entry.partition("=")[0] not in given]
    if not any(entry.startswith("PATH=") for entry in env):
        env.append(_PATH)
    entrypoint, command = config.entrypoint, config.cmd
    if entrypoint is None or entrypoint == []:
        if entrypoint is None and not command:
            command = base.cmd
        entrypoint = base.entrypoint if entrypoint is None else []
    if entrypoint == [""]:
        entrypoint = None
    health = config.healthcheck
    if health is None or not health.test:
        inherited = base.healthcheck
        if inherited is not None:
            health = (
                replace_struct(inherited, **{k: v for k, v in _durations(health).items() if v}) if health else inherited
            )
    return replace_struct(
        config,
        env=env,
        entrypoint=entrypoint,
        cmd=command,
        user=config.user or base.user,
        working_dir=_clean(config.working_dir or base.working_dir),
        labels={**(base.labels or {}), **(config.labels or {})},
        exposed_ports={**(base.exposed_ports or {}), **(config.exposed_ports or {})} or config.exposed_ports,
        volumes={**(base.volumes or {}), **(config.volumes or {})} or config.volumes,
        stop_signal=config.stop_signal or base.stop_signal,
        healthcheck=health,
        shell=config.shell or base.shell,
        on_build=config.on_build,
    )


def _clean(path: str) -> str:
    return posixpath.normpath(path) if path else ""


_INHERITED = {
    "Env",
    "Cmd",
    "Entrypoint",
    "User",
    "WorkingDir",
    "Labels",
    "ExposedPorts",
    "Volumes",
    "StopSignal",
    "Healthcheck",
    "Shell",
}


def _durations(health: Healthcheck | None) -> dict[str, int]:
    if health is None:
        return {}
    return {
        "interval": health.interval,
        "timeout": health.timeout,
        "start_period": health.start_period,
        "start_interval": health.start_interval,
        "retries": health.retries,
    }
