"""`naru info`."""

from __future__ import annotations

from naru import __version__
from naru.cli.units import binary_size
from naru.cli.version import formatted
from naru.errors import NaruError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from naru.cli.grammar import Args
    from naru.cli.session import Session

    Json = dict[str, Any]

HELP = {
    "info": """\
Usage:  naru info [OPTIONS]

Options:
  -f, --format string   Format: 'json' or a Go template
"""
}


def _yes(value: Any) -> str:
    return "true" if value else "false"


def server_lines(info: Json) -> list[str]:
    """What `info` prints of a daemon, line by line, without the indentation of the whole. Pure."""
    swarm = (info.get("Swarm") or {}).get("LocalNodeState") or "inactive"
    plugins = info.get("Plugins") or {}
    lines = [
        f"Containers: {info.get('Containers', 0)}",
        f" Running: {info.get('ContainersRunning', 0)}",
        f" Paused: {info.get('ContainersPaused', 0)}",
        f" Stopped: {info.get('ContainersStopped', 0)}",
        f"Images: {info.get('Images', 0)}",
        f"Server Version: {info.get('ServerVersion', '')}",
        f"Storage Driver: {info.get('Driver', '')}",
        *[f" {name}: {value}" for name, value in info.get("DriverStatus") or []],
        f"Logging Driver: {info.get('LoggingDriver', '')}",
        f"Cgroup Driver: {info.get('CgroupDriver', '')}",
        f"Cgroup Version: {info.get('CgroupVersion', '')}",
        "Plugins:",
        *[
            f" {kind}: {' '.join(plugins[kind])}"
            for kind in ("Volume", "Network", "Authorization", "Log")
            if plugins.get(kind)
        ],
        *(["CDI spec directories:", *[f" {path}" for path in info["CDISpecDirs"]]] if info.get("CDISpecDirs") else []),
        f"Swarm: {swarm}",
        f"Runtimes: {' '.join(info.get('Runtimes') or {})}",
        f"Default Runtime: {info.get('DefaultRuntime', '')}",
        f"Init Binary: {info.get('InitBinary', '')}",
    ]
    for name, key in (("containerd", "ContainerdCommit"), ("runc", "RuncCommit"), ("init", "InitCommit")):
        if info.get(key) is not None:
            lines.append(f"{name} version: {info[key].get('ID', '')}")
    lines += _security(info.get("SecurityOptions") or [])
    for title, key in (
        ("Kernel Version", "KernelVersion"),
        ("Operating System", "OperatingSystem"),
        ("OSType", "OSType"),
    ):
        lines.append(f"{title}: {info.get(key, '')}")
    lines += [
        f"Architecture: {info.get('Architecture', '')}",
        f"CPUs: {info.get('NCPU', 0)}",
        f"Total Memory: {binary_size(info.get('MemTotal', 0))}",
        f"Name: {info.get('Name', '')}",
        f"ID: {info.get('ID', '')}",
        f"Docker Root Dir: {info.get('DockerRootDir', '')}",
        f"Debug Mode: {_yes(info.get('Debug'))}",
    ]
    for title, key in (("HTTP Proxy", "HttpProxy"), ("HTTPS Proxy", "HttpsProxy"), ("No Proxy", "NoProxy")):
        if info.get(key):
            lines.append(f"{title}: {info[key]}")
    if info.get("Labels"):
        lines += ["Labels:", *[f" {label}" for label in info["Labels"]]]
    lines.append(f"Experimental: {_yes(info.get('ExperimentalBuild'))}")
    lines += _registries(info.get("RegistryConfig") or {})
    lines.append(f"Live Restore Enabled: {_yes(info.get('LiveRestoreEnabled'))}")
    return lines


def _registries(registries: Json) -> list[str]:
    lines: list[str] = []
    indexes = [name for name, index in (registries.get("IndexConfigs") or {}).items() if not index.get("Secure", True)]
    insecure = [*indexes, *(registries.get("InsecureRegistryCIDRs") or [])]
    for title, values in (("Insecure Registries", insecure), ("Registry Mirrors", registries.get("Mirrors") or [])):
        if values:
            lines += [f"{title}:", *[f" {value}" for value in values]]
    return lines


def _security(options: list[str]) -> list[str]:
    lines = ["Security Options:"] if options else []
    for option in options:
        fields = dict(field.partition("=")[::2] for field in option.split(","))
        lines.append(f" {fields.pop('name', option)}")
        lines += [f"  {key.capitalize()}: {value}" for key, value in fields.items()]
    return lines


def info(session: Session, args: Args) -> int:
    server: Json = {}
    failure: NaruError | None = None
    try:
        server = session.client.system.info()
    except NaruError as error:
        failure = error
    client = {"Version": __version__, "Context": session.endpoint().context, "Debug": False}
    if args.text("format"):
        session.out(formatted({**server, "ClientInfo": client}, args.text("format")))
    else:
        session.out(
            f"Client:\n Version:    {__version__}\n Context:    {client['Context']}\n Debug Mode: false\n\nServer:\n"
        )
        session.out("".join([f" {line}\n" for line in server_lines(server)]) if server else "")
        if server.get("Warnings"):
            session.warn("\n" + "\n".join(server["Warnings"]))
    if failure is not None:
        raise failure
    return 0
