"""`naru logs`."""

from __future__ import annotations

import time

from naru.cli.outfile import write_all
from naru.cli.units import read_moment
from naru.client.stdcopy import STDERR, Demultiplexer
from naru.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from naru.cli.grammar import Args
    from naru.cli.session import Session

HELP = {
    "logs": """\
Usage:  naru logs [OPTIONS] CONTAINER

Options:
      --details        Show the log's extra attributes
  -f, --follow         Go on with what is printed from now on
      --since string   From this time (2013-01-02T13:23:37Z) or this long ago (42m)
  -n, --tail string    Number of lines from the end, or "all"
  -t, --timestamps     Show when each line was printed
      --until string   Up to this time (2013-01-02T13:23:37Z) or this long ago (42m)
"""
}


def moment(args: Args, name: str) -> str:
    """The value of --since or --until in unix seconds, "" if not given. Raises InvalidArgument."""
    text = args.text(name)
    if not text:
        return ""
    try:
        return read_moment(text, now_ns=time.time_ns(), local_offset_s=-time.timezone)
    except ValueError as error:
        raise InvalidArgument(f'invalid value for "{name}": {error}') from error


def logs(session: Session, args: Args) -> int:
    (name,) = args.words
    found = session.client.containers.inspect(name)
    pieces = session.client.containers.logs(
        found["Id"],
        follow=args.on("follow"),
        since=moment(args, "since"),
        until=moment(args, "until"),
        timestamps=args.on("timestamps"),
        details=args.on("details"),
        tail=args.text("tail", "all"),
    )
    session.flush()
    frames = None if found["Config"].get("Tty") else Demultiplexer()
    for piece in pieces:
        if frames is None:
            write_all(1, piece)
        else:
            _show(frames.feed(piece))
    return 0


def _show(payloads: Iterator[tuple[int, bytes]]) -> None:
    """Print payloads; a run of one stream is one write."""
    run: list[bytes] = []
    current = 1
    try:
        for kind, payload in payloads:
            fd = 2 if kind == STDERR else 1
            if fd != current:
                write_all(current, b"".join(run))
                run, current = [], fd
            run.append(payload)
    finally:
        write_all(current, b"".join(run))
