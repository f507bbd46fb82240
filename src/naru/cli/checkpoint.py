"""`naru checkpoint`: create, ls, rm. The daemon has to be experimental, as Docker's."""

from __future__ import annotations

from naru.cli.listing import Columns, render

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from naru.cli.grammar import Args
    from naru.cli.session import Session

HELP = {
    "checkpoint create": """\
Usage:  naru checkpoint create [OPTIONS] CONTAINER CHECKPOINT

Options:
      --checkpoint-dir string   Directory of your own to keep the checkpoint in
      --leave-running           Let the container run on
""",
    "checkpoint ls": """\
Usage:  naru checkpoint ls [OPTIONS] CONTAINER

Options:
      --checkpoint-dir string   Directory of your own to look in
""",
    "checkpoint rm": """\
Usage:  naru checkpoint rm [OPTIONS] CONTAINER CHECKPOINT

Options:
      --checkpoint-dir string   Directory of your own that the checkpoint is in
""",
}

FIELDS: dict[str, Any] = {"Name": lambda checkpoint: checkpoint["Name"]}
HEADERS = {"Name": "CHECKPOINT NAME"}


def checkpoint_create(session: Session, args: Args) -> int:
    container, name = args.words
    session.client.checkpoints.create(
        container, name, directory=args.text("checkpoint-dir"), exit=not args.on("leave-running")
    )
    session.line(name)
    return 0


def checkpoint_ls(session: Session, args: Args) -> int:
    (container,) = args.words
    found = session.client.checkpoints.list(container, directory=args.text("checkpoint-dir"))
    session.out(render(found, Columns(FIELDS, HEADERS, ("Name",))))
    return 0


def checkpoint_rm(session: Session, args: Args) -> int:
    container, name = args.words
    session.client.checkpoints.remove(container, name, directory=args.text("checkpoint-dir"))
    return 0
