"""`naru volume`: ls, create, rm (inspect and prune are with their kin)."""

from __future__ import annotations

from naru.cli.listing import FORMAT_HELP, Columns, render
from naru.cli.ps import labels_text
from naru.cli.runflags import labels
from naru.cli.session import each, filters
from naru.cli.units import decimal_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from naru.cli.grammar import Args
    from naru.cli.session import Session

    Json = dict[str, Any]

HELP = {
    "volume ls": f"""\
Usage:  naru volume ls [OPTIONS]

Options:
  -f, --filter filter   Show those that match only (e.g. "dangling=true")
      --format string   {FORMAT_HELP}
  -q, --quiet           Only display volume names
""",
    "volume create": """\
Usage:  naru volume create [OPTIONS] [VOLUME]

Options:
  -d, --driver string   Driver (default "local")
      --label list      Set metadata
  -o, --opt map         Options of the driver
""",
    "volume rm": """\
Usage:  naru volume rm [OPTIONS] VOLUME [VOLUME...]

Options:
  -f, --force   A volume that does not exist is no error
""",
}

HEADERS = {
    "Name": "VOLUME NAME", "Driver": "DRIVER", "Scope": "SCOPE", "Mountpoint": "MOUNTPOINT", "Labels": "LABELS",
    "Links": "LINKS", "Size": "SIZE", "Availability": "AVAILABILITY", "Group": "GROUP", "Status": "STATUS",
}  # fmt: skip


def _usage(volume: Json, key: str) -> Any:
    return (volume.get("UsageData") or {}).get(key, -1)


FIELDS: dict[str, Any] = {
    "Name": lambda v: v["Name"],
    "Driver": lambda v: v["Driver"],
    "Scope": lambda v: v["Scope"],
    "Mountpoint": lambda v: v["Mountpoint"],
    "Labels": lambda v: labels_text(v.get("Labels")),
    "Label": lambda v: lambda name: (v.get("Labels") or {}).get(name, ""),
    "Links": lambda v: "N/A" if v.get("UsageData") is None else str(_usage(v, "RefCount")),
    "Size": lambda v: "N/A" if v.get("UsageData") is None else decimal_size(_usage(v, "Size")),
    "Availability": lambda v: "N/A",
    "Group": lambda v: "N/A",
    "Status": lambda v: "N/A",
}


def volume_ls(session: Session, args: Args) -> int:
    form = args.text("format")
    found = sorted(session.client.volumes.list(filters(args)), key=lambda volume: str(volume["Name"]))
    if args.on("quiet") and (not form or form.startswith("table")):
        session.out("".join([f"{volume['Name']}\n" for volume in found]))
        return 0
    form = form or str(session.config().get("volumesFormat") or "")
    session.out(render(found, Columns(FIELDS, HEADERS, ("Driver", "Name"), "volumeContext"), form))
    return 0


def volume_create(session: Session, args: Args) -> int:
    config = {
        "Name": args.words[0] if args.words else "",
        "Driver": args.text("driver", "local"),
        "DriverOpts": args.pairs("opt"),
        "Labels": labels(args),
    }
    session.line(session.client.volumes.create(config)["Name"])
    return 0


def volume_rm(session: Session, args: Args) -> int:
    volumes, force = session.client.volumes, args.on("force")
    return each(session, args.words, lambda name: volumes.remove(name, force=force))
