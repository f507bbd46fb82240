"""Changing a container, or making something of it: rename, update, commit, export."""

from __future__ import annotations

from naru.cli.references import split
from naru.cli.session import each
from naru.errors import InvalidArgument, NaruError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from naru.cli.grammar import Args
    from naru.cli.session import Session

HELP = {
    "rename": "Usage:  naru rename CONTAINER NEW_NAME\n",
    "update": """\
Usage:  naru update [OPTIONS] CONTAINER [CONTAINER...]

Options:
      --blkio-weight uint16        Block IO weight, 10 to 1000, or 0 to disable
      --cpu-period int             CFS period in microseconds
      --cpu-quota int              CFS quota in microseconds
      --cpu-rt-period int          Real-time period in microseconds
      --cpu-rt-runtime int         Real-time runtime in microseconds
  -c, --cpu-shares int             Relative CPU weight
      --cpus decimal               Number of CPUs, also fractions
      --cpuset-cpus string         CPUs to run on (0-3, 0,1)
      --cpuset-mems string         Memory nodes to use (0-3, 0,1)
  -m, --memory bytes               Memory limit
      --memory-reservation bytes   Memory soft limit
      --memory-swap bytes          Limit of memory plus swap, -1 for unlimited swap
      --pids-limit int             Limit of processes, -1 for none
      --restart string             Restart policy: no, on-failure[:max], always, unless-stopped
""",
    "commit": """\
Usage:  naru commit [OPTIONS] CONTAINER [REPOSITORY[:TAG]]

Options:
  -a, --author string    Author ("John Hannibal Smith <hannibal@a-team.com>")
  -c, --change list      Apply a Dockerfile instruction to the image
  -m, --message string   Commit message
  -p, --pause            Pause the container meanwhile (default true)
""",
    "export": """\
Usage:  naru export [OPTIONS] CONTAINER

Options:
  -o, --output string   Write to a file, instead of STDOUT
""",
}


def rename(session: Session, args: Args) -> int:
    old, new = args.words
    try:
        session.client.containers.rename(old, new)
    except NaruError as error:
        session.warn(f"{error}\nError: failed to rename container named {old}")
        return 1
    return 0


def update(session: Session, args: Args) -> int:
    from naru.cli.runflags import resources

    changes = resources(args)
    if not changes:
        raise InvalidArgument("you must provide one or more flags when using this command")

    def one(name: str) -> None:
        for warning in session.client.containers.update(name, changes).get("Warnings") or []:
            session.warn(warning)

    return each(session, args.words, one)


def commit(session: Session, args: Args) -> int:
    container, *target = args.words
    name, tag, _ = split(target[0]) if target else ("", "", "")
    image = session.client.images.commit(
        container,
        repo=name,
        tag=tag,
        author=args.text("author"),
        comment=args.text("message"),
        changes=args.items("change"),
        pause=args.on("pause"),
    )
    session.line(image)
    return 0


def export(session: Session, args: Args) -> int:
    from naru.cli import outfile

    outfile.check(args.text("output"), "export")
    session.flush()
    outfile.write(session.client.containers.export(args.words[0]), args.text("output"))
    return 0
