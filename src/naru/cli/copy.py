"""`naru cp`: files between here and a container, as tar archives through the daemon.

Where things land is decided as cp(1) does, by what stands at the destination and by trailing slashes (docs.docker.com,
"docker container cp"): `planned` is that decision, pure; everything else moves bytes.
"""

from __future__ import annotations

import os
import sys

from naru.errors import InvalidArgument, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from naru.cli.grammar import Args
    from naru.cli.session import Session

    Json = dict[str, Any]

HELP = {
    "cp": """\
Usage:  naru cp [OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-

        naru cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH

Options:
  -a, --archive       Keep owner and group
  -L, --follow-link   Follow a symbolic link at the source
  -q, --quiet         Say nothing of the progress
"""
}
_GO_DIRECTORY, _GO_LINK = 1 << 31, 1 << 27  # bits of Go's os.FileMode, which the API answers with


def split(text: str) -> tuple[str, str]:
    """(container, path); the container is "" for a path here."""
    if text.startswith(("/", ".")) or text == "-":
        return "", text
    container, colon, path = text.partition(":")
    if not colon or "/" in container:
        return "", text
    return container, path


def planned(
    source_name: str, source_is_dir: bool, contents_only: bool, target: str, target_kind: str
) -> tuple[str, str]:
    """(folder to unpack into, new name of the top entry; "" for the folder's contents). target_kind: dir, file or "" (nothing).

    Raises InvalidArgument where cp(1) would refuse.
    """
    folder, base = os.path.split(target.rstrip("/")) if target.rstrip("/") else ("/", "")
    if target_kind == "dir":
        return (target, "" if contents_only else source_name)
    if source_is_dir and target_kind == "file":
        raise InvalidArgument("cannot copy directory")
    if not source_is_dir and target.endswith("/"):
        raise InvalidArgument("no such directory" if not target_kind else "not a directory")
    return (folder or ".", base)


def cp(session: Session, args: Args) -> int:
    (source_container, source), (target_container, target) = (split(word) for word in args.words)
    if source_container and target_container:
        raise InvalidArgument("copying between containers is not supported")
    if not source_container and not target_container:
        raise InvalidArgument("must specify at least one container source")
    for path in (source, target):
        if not path:
            raise InvalidArgument(f"{'source' if path is source else 'destination'} can not be empty")
    if source_container:
        return _from_container(session, args, source_container, source, target)
    return _to_container(session, args, source, target_container, target)


def _contents_only(path: str) -> bool:
    return path in (".", "/") or path.endswith("/.")


def _from_container(session: Session, args: Args, container: str, path: str, target: str) -> int:
    containers = session.client.containers
    path = path if path.startswith("/") else f"/{path}"
    asked = os.path.basename(path.rstrip("/"))
    if args.on("follow-link"):
        stat = containers.archive_stat(container, path)
        if stat["mode"] & _GO_LINK and stat.get("linkTarget"):
            path = stat["linkTarget"]
    stat, pieces = containers.archive_get(container, path)
    if target == "-":
        from naru.cli import outfile

        if os.isatty(1):
            raise InvalidArgument("cowardly refusing to copy to a terminal: redirect")
        outfile.write(pieces, "")
        return 0
    from naru.cli import copytar

    kind = "dir" if os.path.isdir(target) else "file" if os.path.lexists(target) else ""
    is_dir = bool(stat["mode"] & _GO_DIRECTORY)
    if path.endswith("/") and not path.endswith("//") and is_dir is False:
        raise InvalidArgument(f"{path}: not a directory")
    folder, name = planned(asked or stat["name"], is_dir, _contents_only(path), target, kind)
    if not os.path.isdir(folder):
        raise InvalidArgument(f'invalid output path: directory "{os.path.abspath(folder)}" does not exist')
    size = copytar.unpack(pieces, folder, stat["name"], name, keep_owner=args.on("archive"))
    _say(args, size, f"to {os.path.abspath(target)}")
    return 0


def _to_container(session: Session, args: Args, path: str, container: str, target: str) -> int:
    containers = session.client.containers
    target = target if target.startswith("/") else f"/{target}"
    stat = _target_stat(session, container, target)
    if stat is not None and stat["mode"] & _GO_LINK and stat.get("linkTarget"):
        target = stat["linkTarget"]
        stat = _target_stat(session, container, target)
    kind = "" if stat is None else "dir" if stat["mode"] & _GO_DIRECTORY else "file"
    if path == "-":
        from naru.cli import outfile

        if kind != "dir":
            raise InvalidArgument(f'destination "{container}:{target}" must be a directory')
        containers.archive_put(
            container, target, outfile.read("-"), no_overwrite_dir_non_dir=True, copy_uid_gid=args.on("archive")
        )
        return 0
    if not os.path.lexists(path):
        raise NotFound(f"lstat {os.path.abspath(path)}: no such file or directory")
    from naru.cli import copytar

    if args.on("follow-link") or path.endswith("/"):
        real = os.path.realpath(path)
    else:
        real = os.path.join(
            os.path.realpath(os.path.dirname(os.path.abspath(path))), os.path.basename(os.path.abspath(path))
        )
    is_dir = os.path.isdir(real) and not os.path.islink(real)
    folder, name = planned(
        os.path.basename(os.path.abspath(path)), is_dir, _contents_only(path) and is_dir, target, kind
    )
    total = [0]

    def counted() -> Iterator[bytes]:
        for piece in copytar.pack(real, name):
            total[0] += len(piece)
            yield piece

    containers.archive_put(container, folder, counted(), no_overwrite_dir_non_dir=True, copy_uid_gid=args.on("archive"))
    _say(args, total[0], f"to {container}:{target}")
    return 0


def _target_stat(session: Session, container: str, path: str) -> Json | None:
    try:
        return session.client.containers.archive_stat(container, path)
    except NotFound as error:
        if "No such container" in str(error):
            raise
        return None


def _say(args: Args, size_bytes: int, where: str) -> None:
    if args.on("quiet") or not os.isatty(2):
        return
    from naru.cli.units import decimal_size

    sys.stderr.write(f"Successfully copied {decimal_size(size_bytes, 3)} {where}\n")
