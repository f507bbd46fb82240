"""Removing what is not used: container, image, volume, network, builder and system prune."""

from __future__ import annotations

import os
import sys

from naru.cli.session import Exit, filters
from naru.cli.units import decimal_size
from naru.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from naru.cli.grammar import Args
    from naru.cli.session import Session

    Json = dict[str, Any]

_FILTER = '      --filter filter   Only what matches (e.g. "until=24h", "label=key=value")\n'
_FORCE = "  -f, --force           Do not ask\n"
HELP = {
    "container prune": f"Usage:  naru container prune [OPTIONS]\n\nOptions:\n{_FILTER}{_FORCE}",
    "image prune": "Usage:  naru image prune [OPTIONS]\n\nOptions:\n"
    f"  -a, --all             All unused images, not just dangling ones\n{_FILTER}{_FORCE}",
    "volume prune": "Usage:  naru volume prune [OPTIONS]\n\nOptions:\n"
    f"  -a, --all             All unused volumes, not just anonymous ones\n{_FILTER}{_FORCE}",
    "network prune": f"Usage:  naru network prune [OPTIONS]\n\nOptions:\n{_FILTER}{_FORCE}",
    "builder prune": "Usage:  naru builder prune [OPTIONS]\n\nOptions:\n"
    f"  -a, --all             All unused build cache, not just dangling one\n{_FILTER}{_FORCE}",
    "system prune": "Usage:  naru system prune [OPTIONS]\n\nOptions:\n"
    f"  -a, --all             All unused images, not just dangling ones\n{_FILTER}{_FORCE}"
    "      --volumes         Anonymous volumes too\n",
}
_SURE = "Are you sure you want to continue? [y/N] "


def _confirm(session: Session, args: Args, warning: str) -> None:
    """Raises Exit unless the user says yes (or --force)."""
    if args.on("force"):
        return
    session.out(f"WARNING! {warning}\n{_SURE}")
    session.flush()
    answer = sys.stdin.readline() if os.isatty(0) or not sys.stdin.closed else ""
    if answer.strip().lower() not in ("y", "yes"):
        raise Exit(0)


def _wanted(session: Session, args: Args, **more: str) -> dict[str, list[str]]:
    """--filter, and `pruneFilters` of config.json."""
    found = filters(args)
    for item in session.config().get("pruneFilters") or []:
        key, _, value = str(item).partition("=")
        if key not in more and value not in found.setdefault(key, []):
            found[key].append(value)
    return {**{key: [value] for key, value in more.items()}, **found}


def _report(session: Session, heading: str, lines: list[str]) -> None:
    if lines:
        session.out(f"{heading}:\n" + "\n".join(lines) + "\n\n")


def _image_lines(answer: Json) -> list[str]:
    items = answer.get("ImagesDeleted") or []
    return [f"deleted: {item['Deleted']}" if item.get("Deleted") else f"untagged: {item['Untagged']}" for item in items]


def _space(session: Session, size_bytes: int) -> None:
    session.line(f"Total reclaimed space: {decimal_size(size_bytes)}")


def container_prune(session: Session, args: Args) -> int:
    wanted = _wanted(session, args)
    _confirm(session, args, "This will remove all stopped containers.")
    answer = session.client.containers.prune(wanted)
    _report(session, "Deleted Containers", answer.get("ContainersDeleted") or [])
    _space(session, answer["SpaceReclaimed"])
    return 0


def image_prune(session: Session, args: Args) -> int:
    everything = args.on("all")
    wanted = _wanted(session, args, dangling="false" if everything else "true")
    warning = "This will remove all images without at least one container associated to them."
    _confirm(session, args, warning if everything else "This will remove all dangling images.")
    answer = session.client.images.prune(wanted)
    _report(session, "Deleted Images", _image_lines(answer))
    _space(session, answer["SpaceReclaimed"])
    return 0


def volume_prune(session: Session, args: Args) -> int:
    everything = args.on("all")
    wanted = _wanted(session, args, **({"all": "true"} if everything else {}))
    kind = "all" if everything else "anonymous"
    _confirm(session, args, f"This will remove {kind} local volumes not used by at least one container.")
    answer = session.client.volumes.prune(wanted)
    _report(session, "Deleted Volumes", answer.get("VolumesDeleted") or [])
    _space(session, answer["SpaceReclaimed"])
    return 0


def network_prune(session: Session, args: Args) -> int:
    wanted = _wanted(session, args)
    _confirm(session, args, "This will remove all custom networks not used by at least one container.")
    answer = session.client.networks.prune(wanted)
    _report(session, "Deleted Networks", answer.get("NetworksDeleted") or [])
    return 0


def builder_prune(session: Session, args: Args) -> int:
    wanted = _wanted(session, args)
    kind = "all build cache" if args.on("all") else "all dangling build cache"
    _confirm(session, args, f"This will remove {kind}.")
    answer = session.client.system.prune_build_cache(all=args.on("all"), filters=wanted)
    _report(session, "Deleted build cache objects", answer.get("CachesDeleted") or [])
    _space(session, answer["SpaceReclaimed"])
    return 0


def system_prune(session: Session, args: Args) -> int:
    everything, volumes, client = args.on("all"), args.on("volumes"), session.client
    wanted = _wanted(session, args)
    if volumes and "until" in wanted:
        raise InvalidArgument('ERROR: The "until" filter is not supported with "--volumes"')
    removed = ["all stopped containers", "all networks not used by at least one container"]
    removed += ["all anonymous volumes not used by at least one container"] if volumes else []
    removed += ["all images without at least one container associated to them" if everything else "all dangling images"]
    removed += ["all build cache" if everything else "unused build cache"]
    if wanted:
        listed = [f"{key}={value}" for key, values in wanted.items() for value in values]
        removed[-1] += "\n\n  Items to be pruned will be filtered with:\n  - " + "\n  - ".join(listed)
    _confirm(session, args, "This will remove:\n  - " + "\n  - ".join(removed) + "\n")
    dangling = {**wanted, "dangling": ["false" if everything else "true"]}
    build = {key: values for key, values in wanted.items() if key == "until"}
    steps: list[tuple[str, Callable[[], Json], Callable[[Json], list[str]]]] = [
        ("Deleted Containers", lambda: client.containers.prune(wanted), lambda a: a.get("ContainersDeleted") or []),
        ("Deleted Networks", lambda: client.networks.prune(wanted), lambda a: a.get("NetworksDeleted") or []),
        ("Deleted Images", lambda: client.images.prune(dangling), _image_lines),
        (
            "Deleted build cache objects",
            lambda: client.system.prune_build_cache(all=everything, filters=build),
            lambda a: a.get("CachesDeleted") or [],
        ),
    ]
    if volumes:
        steps.insert(
            2, ("Deleted Volumes", lambda: client.volumes.prune(wanted), lambda a: a.get("VolumesDeleted") or [])
        )
    space = 0
    for heading, do, lines in steps:
        answer = do()
        space += answer.get("SpaceReclaimed") or 0
        _report(session, heading, lines(answer))
    _space(session, space)
    return 0
