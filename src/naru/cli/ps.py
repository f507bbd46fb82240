"""`naru ps`, and containers as rows of a list."""

from __future__ import annotations

import time

from naru.cli.listing import FORMAT_HELP, Columns, render
from naru.cli.session import filters
from naru.cli.table import shorten
from naru.cli.units import decimal_size, human_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from naru.cli.grammar import Args
    from naru.cli.session import Session

    Json = dict[str, Any]

HELP = {
    "ps": f"""\
Usage:  naru ps [OPTIONS]

Options:
  -a, --all             Show all containers (default shows just running)
  -f, --filter filter   Show those that match only (e.g. "status=exited", "label=key=value")
      --format string   {FORMAT_HELP}
  -n, --last int        Show n last created containers, in whatever state
  -l, --latest          Show the latest created container, in whatever state
      --no-trunc        Don't truncate output
  -q, --quiet           Only display container IDs
  -s, --size            Display total file sizes
"""
}

HEADERS = {
    "ID": "CONTAINER ID", "Names": "NAMES", "Image": "IMAGE", "Command": "COMMAND", "CreatedAt": "CREATED AT",
    "RunningFor": "CREATED", "Ports": "PORTS", "State": "STATE", "Status": "STATUS", "Size": "SIZE", "Labels": "LABELS",
    "Mounts": "MOUNTS", "LocalVolumes": "LOCAL VOLUMES", "Networks": "NETWORKS", "Platform": "PLATFORM",
}  # fmt: skip
_DEFAULT = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t") + '"'


def labels_text(labels: Json | None) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items()))


def names_text(container: Json, truncate: bool) -> str:
    names = [name.removeprefix("/") for name in container.get("Names") or []]
    return ",".join([name for name in names if "/" not in name] if truncate else names)


def image_text(container: Json, truncate: bool) -> str:
    image = str(container.get("Image") or "")
    if not image:
        return "<no image>"
    if truncate and image.startswith("sha256:"):
        return image[7:19]
    return image


def go_time(seconds: float) -> str:
    """Local time as Go prints it: `2006-01-02 15:04:05 -0700 MST`."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(seconds)).replace("GMT", "UTC")


def size_text(container: Json) -> str:
    text = decimal_size(container.get("SizeRw") or 0, 3)
    virtual = container.get("SizeRootFs") or 0
    return f"{text} (virtual {decimal_size(virtual, 3)})" if virtual > 0 else text


def _mounts(container: Json, truncate: bool) -> str:
    names = [mount.get("Name") or mount.get("Source") or "" for mount in container.get("Mounts") or []]
    return ",".join(shorten(name, 15) if truncate else name for name in names)


class Platform:
    """Prints as `linux/amd64`, is an object in JSON."""

    def __init__(self, container: Json) -> None:
        self._value: Json = (container.get("ImageManifestDescriptor") or {}).get("platform") or {}

    def as_dict(self) -> Json:
        return dict(sorted(self._value.items()))

    def __str__(self) -> str:
        return "/".join(str(self._value[key]) for key in ("os", "architecture", "variant") if self._value.get(key))


def ports_text(ports: list[Json]) -> str:
    """Mappings, sorted; runs of ports that keep their number are joined (`0.0.0.0:80-82->80-82/tcp`)."""
    if not ports:
        return ""
    runs: dict[tuple[str, str], list[tuple[int, int]]] = {}
    mapped: list[str] = []
    ordered = sorted(ports, key=lambda p: (p["PrivatePort"], p.get("IP") or "", p.get("PublicPort") or 0, p["Type"]))
    for port in ordered:
        private, public, ip = port["PrivatePort"], port.get("PublicPort") or 0, port.get("IP") or ""
        if ":" in ip:
            ip = f"[{ip}]"
        if ip and public != private:
            mapped.append(f"{ip}:{public}->{private}/{port['Type']}")
            continue
        found = runs.setdefault((ip, port["Type"]), [])
        if found and found[-1][1] == private - 1:
            found[-1] = (found[-1][0], private)
        elif not found or found[-1][1] != private:
            found.append((private, private))
    out = []
    for (ip, kind), ranges in runs.items():
        for first, last in ranges:
            text = str(first) if first == last else f"{first}-{last}"
            out.append(f"{ip}:{text}->{text}/{kind}" if ip else f"{text}/{kind}")
    return ", ".join(out + mapped)


def columns(*, now_s: float, truncate: bool = True, default: tuple[str, ...] = _DEFAULT) -> Columns:
    def command(container: Json) -> str:
        text = str(container.get("Command") or "")
        return quoted(shorten(text, 20) if truncate else text)

    fields: dict[str, Any] = {
        "ID": lambda c: c["Id"][:12] if truncate else c["Id"],
        "Names": lambda c: names_text(c, truncate),
        "Image": lambda c: image_text(c, truncate),
        "Command": command,
        "CreatedAt": lambda c: go_time(c["Created"]),
        "RunningFor": lambda c: human_duration(now_s - c["Created"]) + " ago",
        "Ports": lambda c: ports_text(c.get("Ports") or []),
        "State": lambda c: c.get("State") or "",
        "Status": lambda c: c.get("Status") or "",
        "Size": size_text,
        "Labels": lambda c: labels_text(c.get("Labels")),
        "Label": lambda c: lambda name: (c.get("Labels") or {}).get(name, ""),
        "Mounts": lambda c: _mounts(c, truncate),
        "LocalVolumes": lambda c: str(sum(m.get("Driver") == "local" for m in c.get("Mounts") or [])),
        "Networks": lambda c: ",".join(sorted((c.get("NetworkSettings") or {}).get("Networks") or {})),
        "Platform": Platform,
    }
    return Columns(fields, HEADERS, default, "ContainerContext")


def ps(session: Session, args: Args) -> int:
    limit = 1 if args.on("latest") else args.number("last", -1)
    form = args.text("format")
    if not form and not args.on("quiet"):
        form = str(session.config().get("psFormat") or "")
    size = args.on("size") or (".Size" in form)
    found = session.client.containers.list(
        all=args.on("all") or limit > 0, limit=max(limit, 0), size=size, filters=filters(args)
    )
    truncate = not args.on("no-trunc")
    if args.on("quiet") and (not form or form.startswith("table")):
        session.out("".join([(c["Id"][:12] if truncate else c["Id"]) + "\n" for c in found]))
        return 0
    default = (*_DEFAULT, "Size") if args.on("size") else _DEFAULT
    session.out(render(found, columns(now_s=time.time(), truncate=truncate, default=default), form))
    return 0
