"""`naru system df`."""

from __future__ import annotations

import time

from naru.cli import images, ps, volumes
from naru.cli.listing import FORMAT_HELP, Columns, render
from naru.cli.units import decimal_size, human_duration, read_rfc3339
from naru.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from naru.cli.grammar import Args
    from naru.cli.session import Session

    Json = dict[str, Any]

HELP = {
    "system df": f"""\
Usage:  naru system df [OPTIONS]

Options:
      --format string   {FORMAT_HELP}
  -v, --verbose         Show every image, container, volume and cache entry
"""
}

_HEADERS = {"Type": "TYPE", "TotalCount": "TOTAL", "Active": "ACTIVE", "Size": "SIZE", "Reclaimable": "RECLAIMABLE"}
_CACHE_HEADERS = {
    "ID": "CACHE ID", "CacheType": "CACHE TYPE", "Size": "SIZE", "CreatedSince": "CREATED", "LastUsedSince": "LAST USED",
    "UsageCount": "USAGE", "Shared": "SHARED",
}  # fmt: skip
_ACTIVE_STATES = ("running", "paused", "restarting")


def _share(part: int, whole: int) -> str:
    return f"{decimal_size(part)} ({part * 100 // whole}%)" if whole > 0 else decimal_size(part)


def _row(kind: str, total: int, active: int, size: int, reclaimable: str) -> Json:
    return {
        "Type": kind,
        "TotalCount": str(total),
        "Active": str(active),
        "Size": decimal_size(size),
        "Reclaimable": reclaimable,
    }


def summary(usage: Json) -> list[Json]:
    """The four rows of `system df`, of the daemon's answer. Pure."""
    found, containers = usage.get("Images") or [], usage.get("Containers") or []
    stored, cache = usage.get("Volumes") or [], usage.get("BuildCache") or []
    layers = usage.get("LayersSize") or 0
    used = sum(
        i["Size"] - i["SharedSize"] for i in found if i["Containers"] > 0 and -1 not in (i["Size"], i["SharedSize"])
    )
    sizes = [(c.get("SizeRw") or 0, c.get("State") in _ACTIVE_STATES) for c in containers]
    written = sum(size for size, _ in sizes)
    volume_sizes = [
        (max((v.get("UsageData") or {}).get("Size", 0), 0), (v.get("UsageData") or {}).get("RefCount", 0))
        for v in stored
    ]
    held = sum(size for size, _ in volume_sizes)
    own = [entry for entry in cache if not entry.get("Shared")]
    return [
        _row("Images", len(found), sum(i["Containers"] > 0 for i in found), layers, _share(layers - used, layers)),
        _row(
            "Containers", len(sizes), sum(active for _, active in sizes), written,
            _share(sum(size for size, active in sizes if not active), written),
        ),
        _row(
            "Local Volumes", len(stored), sum(links > 0 for _, links in volume_sizes), held,
            _share(sum(size for size, links in volume_sizes if links == 0), held),
        ),
        _row(
            "Build Cache", len(cache), sum(bool(entry.get("InUse")) for entry in cache), sum(entry["Size"] for entry in own),
            decimal_size(sum(entry["Size"] for entry in own if not entry.get("InUse"))),
        ),
    ]  # fmt: skip


def system_df(session: Session, args: Args) -> int:
    form = args.text("format")
    if args.on("verbose") and form not in ("", "table"):
        raise InvalidArgument("the verbose and the format options conflict")
    usage = session.client.system.disk_usage()
    if args.on("verbose"):
        session.out(_verbose(usage, time.time()))
        return 0
    fields: dict[str, Any] = {name: _getter(name) for name in _HEADERS}
    session.out(render(summary(usage), Columns(fields, _HEADERS, tuple(_HEADERS), "diskUsageContext"), form))
    return 0


def _getter(name: str) -> Any:
    return lambda record: record[name]


def _verbose(usage: Json, now_s: float) -> str:
    shown = ("Repository", "Tag", "ID", "CreatedSince", "Size", "SharedSize", "UniqueSize", "Containers")
    image_columns = images.columns(now_s=now_s, truncate=True, default=shown)
    container_columns = ps.columns(
        now_s=now_s, default=("ID", "Image", "Command", "LocalVolumes", "Size", "RunningFor", "Status", "Names")
    )
    container_columns = Columns(
        {**container_columns.fields, "Size": lambda c: decimal_size(c.get("SizeRw") or 0, 3)},
        container_columns.headers,
        container_columns.default,
    )
    cache = usage.get("BuildCache") or []

    def since(text: str | None) -> str:
        return human_duration(now_s - read_rfc3339(text) / 1e9) + " ago" if text else ""

    cache_fields: dict[str, Any] = {
        "ID": lambda e: e["ID"][:12],
        "CacheType": lambda e: e["Type"],
        "Size": lambda e: decimal_size(e["Size"], 3),
        "CreatedSince": lambda e: since(e.get("CreatedAt")),
        "LastUsedSince": lambda e: since(e.get("LastUsedAt")),
        "UsageCount": lambda e: str(e.get("UsageCount", 0)),
        "Shared": lambda e: "true" if e.get("Shared") else "false",
    }
    size = sum(entry["Size"] for entry in cache if not entry.get("Shared"))
    parts = [
        "Images space usage:\n\n" + render(images.rows(usage.get("Images") or [], digests=False), image_columns),
        "Containers space usage:\n\n" + render(usage.get("Containers") or [], container_columns),
        "Local Volumes space usage:\n\n"
        + render(usage.get("Volumes") or [], Columns(volumes.FIELDS, volumes.HEADERS, ("Name", "Links", "Size"))),
        f"Build cache usage: {decimal_size(size)}\n\n"
        + render(cache, Columns(cache_fields, _CACHE_HEADERS, tuple(_CACHE_HEADERS))),
    ]
    return "\n".join(parts)
