"""Images and tar archives: import, load, save; and their names: tag, rmi."""

from __future__ import annotations

import os
import sys

from naru.cli import outfile
from naru.cli.progress import show
from naru.cli.references import split
from naru.cli.session import each
from naru.errors import InvalidArgument, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from naru.cli.grammar import Args
    from naru.cli.session import Session

HELP = {
    "import": """\
Usage:  naru import [OPTIONS] file|URL|- [REPOSITORY[:TAG]]

Options:
  -c, --change list       Apply a Dockerfile instruction to the image
  -m, --message string    Commit message
      --platform string   Platform of the image
""",
    "load": """\
Usage:  naru load [OPTIONS]

Options:
  -i, --input string      Read from a tar archive, instead of STDIN
      --platform string   Load this platform only
  -q, --quiet             Suppress the progress
""",
    "save": """\
Usage:  naru save [OPTIONS] IMAGE [IMAGE...]

Options:
  -o, --output string     Write to a file, instead of STDOUT
      --platform string   Save this platform only
""",
    "tag": "Usage:  naru tag SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]\n",
    "rmi": """\
Usage:  naru rmi [OPTIONS] IMAGE [IMAGE...]

Options:
  -f, --force              Remove it even if stopped containers use it or it has several names
      --no-prune           Keep its untagged parents
      --platform strings   Remove this platform only
""",
}


def import_(session: Session, args: Args) -> int:
    source, *target = args.words
    name, tag, _ = split(target[0]) if target else ("", "", "")
    remote = source.startswith(("http://", "https://"))
    body: bytes | Iterable[bytes] = b"" if remote else outfile.read(source)
    objects = session.client.images.import_(
        body,
        source if remote else "-",
        repo=name,
        tag=tag,
        message=args.text("message"),
        changes=args.items("change"),
        platform=args.text("platform"),
    )
    show(objects, out=sys.stdout)
    return 0


def load(session: Session, args: Args) -> int:
    path = args.text("input")
    if not path and os.isatty(0):
        raise InvalidArgument("requested load from stdin, but stdin is empty")
    quiet = args.on("quiet") or not os.isatty(1)
    objects = session.client.images.load(outfile.read(path), quiet=quiet, platform=args.text("platform"))
    show(objects, out=sys.stdout)
    return 0


def save(session: Session, args: Args) -> int:
    outfile.check(args.text("output"), "save")
    outfile.write(session.client.images.save(args.words, platform=args.text("platform")), args.text("output"))
    return 0


def tag(session: Session, args: Args) -> int:
    source, target = args.words
    name, tag_text, digest = split(target)
    if digest:
        raise InvalidArgument("refusing to create a tag with a digest reference")
    session.client.images.tag(source, name, tag_text or "latest")
    return 0


def rmi(session: Session, args: Args) -> int:
    force, platforms, missing = args.on("force"), args.items("platform"), []

    def one(name: str) -> None:
        try:
            answer = session.client.images.remove(name, force=force, no_prune=args.on("no-prune"), platforms=platforms)
        except NotFound:
            missing.append(name)
            raise
        for item in answer:
            session.line(f"Deleted: {item['Deleted']}" if item.get("Deleted") else f"Untagged: {item['Untagged']}")

    code = each(session, args.words, one, echo=False)
    return 0 if force and len(missing) == len(args.words) else code
