"""`naru pull` and `naru push`."""

from __future__ import annotations

import sys

from naru.cli.progress import show
from naru.cli.references import full_name, split, with_default_tag
from naru.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from naru.cli.grammar import Args
    from naru.cli.session import Session

HELP = {
    "pull": """\
Usage:  naru pull [OPTIONS] NAME[:TAG|@DIGEST]

Options:
  -a, --all-tags          Download every tag of the repository
      --platform string   Platform, if the image has several
  -q, --quiet             Print the image's name only
Hidden:
      --disable-content-trust   ignored (default true)
""",
    "push": """\
Usage:  naru push [OPTIONS] NAME[:TAG]

Options:
  -a, --all-tags          Push every tag of the repository
      --platform string   Push the manifest of this platform only
  -q, --quiet             Print the image's name only
Hidden:
      --disable-content-trust   ignored (default true)
""",
}


def credentials(session: Session, image: str) -> str:
    """X-Registry-Auth for an image's registry, "" if we have nothing for it."""
    import os

    if not os.path.exists(f"{session.config_dir}/config.json"):
        return ""
    from naru.client import auth

    return auth.header(auth.find(session.config_dir, auth.server_of(image)))


def pull_image(
    session: Session,
    image: str,
    *,
    platform: str = "",
    quiet: bool = False,
    all_tags: bool = False,
    out: TextIO | None = None,
) -> None:
    """The image is there when this returns; progress goes to out. Raises the daemon's error."""
    name, tag, digest = split(image)
    objects = session.client.images.pull(
        name, "" if all_tags else digest or tag or "latest", platform=platform, auth=credentials(session, name)
    )
    show(objects, quiet=quiet, out=out)


def pull(session: Session, args: Args) -> int:
    (image,) = args.words
    _, tag, digest = split(image)
    quiet, all_tags = args.on("quiet"), args.on("all-tags")
    if all_tags and (tag or digest):
        raise InvalidArgument("tag can't be used with --all-tags/-a")
    if not (tag or digest or all_tags or quiet):
        session.line("Using default tag: latest")
    session.flush()
    pull_image(session, image, platform=args.text("platform"), quiet=quiet, all_tags=all_tags)
    session.line(full_name(image if all_tags else with_default_tag(image)))
    return 0


def push(session: Session, args: Args) -> int:
    (image,) = args.words
    name, tag, digest = split(image)
    quiet, all_tags = args.on("quiet"), args.on("all-tags")
    if digest:
        raise InvalidArgument("cannot push a digest reference")
    if all_tags and tag:
        raise InvalidArgument("tag can't be used with --all-tags/-a")
    if not (tag or all_tags or quiet):
        session.line("Using default tag: latest")
    session.flush()
    wanted = "" if all_tags else tag or "latest"
    objects = session.client.images.push(name, wanted, platform=args.text("platform"), auth=credentials(session, name))
    show(objects, quiet=quiet, out=sys.stdout)
    if quiet:
        session.line(full_name(name if all_tags else f"{name}:{wanted}"))
    return 0
