"""`naru attach` and `naru start`: being there while a container runs that exists already."""

from __future__ import annotations

from naru.cli.foreground import Foreground, check_terminal, detach_keys, detached
from naru.cli.session import each
from naru.errors import Conflict, InvalidArgument, NaruError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from naru.cli.grammar import Args
    from naru.cli.session import Session

HELP = {
    "attach": """\
Usage:  naru attach [OPTIONS] CONTAINER

Options:
      --detach-keys string   Keys that detach from the container (default "ctrl-p,ctrl-q")
      --no-stdin             Do not attach STDIN
      --sig-proxy            Send the signals that we get to the container (default true)
""",
    "start": """\
Usage:  naru start [OPTIONS] CONTAINER [CONTAINER...]

Options:
  -a, --attach                  Attach STDOUT and STDERR, and forward signals
      --checkpoint string       Start from this checkpoint
      --checkpoint-dir string   Directory of your own that the checkpoint is in
      --detach-keys string      Keys that detach from the container (default "ctrl-p,ctrl-q")
  -i, --interactive             Attach the container's STDIN
""",
}


def attach(session: Session, args: Args) -> int:
    (name,) = args.words
    client = session.client
    found = client.containers.inspect(name)
    state = found["State"]
    if not state.get("Running"):
        raise Conflict("You cannot attach to a stopped container, start it first")
    for problem in ("Paused", "Restarting"):
        if state.get(problem):
            raise Conflict(
                f"You cannot attach to a {problem.lower()} container, "
                + ("unpause it first" if problem == "Paused" else "wait until it is running")
            )
    tty = bool(found["Config"].get("Tty"))
    stdin = bool(found["Config"].get("OpenStdin")) and not args.on("no-stdin")
    check_terminal(tty=tty, stdin=stdin)
    end = client.containers.wait(found["Id"])
    stream = client.containers.attach(found["Id"], stdin=stdin, detach_keys=args.text("detach-keys"))
    beside = session.second_client().containers
    foreground = Foreground(
        session,
        stream,
        tty=tty,
        stdin=stdin,
        keys=detach_keys(session, args.text("detach-keys")),
        resize=lambda rows, columns: beside.resize(found["Id"], rows, columns),
        kill=None if tty or not args.on("sig-proxy") else lambda signal: beside.kill(found["Id"], signal=signal),
    )
    if not foreground.run():
        raise detached()
    return end.wait()


def start(session: Session, args: Args) -> int:
    if args.on("attach") or args.on("interactive"):
        if len(args.words) > 1:
            raise InvalidArgument("you cannot start and attach multiple containers at once")
        return _start_attached(session, args)
    if args.has("checkpoint") and len(args.words) > 1:
        raise InvalidArgument("you cannot restore multiple containers at once")
    containers = session.client.containers
    failed: list[str] = []

    def one(name: str) -> None:
        try:
            containers.start(name, checkpoint=args.text("checkpoint"), checkpoint_dir=args.text("checkpoint-dir"))
        except NaruError:
            failed.append(name)
            raise

    if each(session, args.words, one):
        session.warn(f"Error: failed to start containers: {', '.join(failed)}")
        return 1
    return 0


def _start_attached(session: Session, args: Args) -> int:
    (name,) = args.words
    containers = session.client.containers
    found = containers.inspect(name)
    tty = bool(found["Config"].get("Tty"))
    stdin = args.on("interactive") and bool(found["Config"].get("OpenStdin"))
    check_terminal(tty=tty, stdin=stdin)
    removed = bool(found["HostConfig"].get("AutoRemove"))
    stream = containers.attach(found["Id"], stdin=stdin, detach_keys=args.text("detach-keys"))
    try:
        end = containers.wait(found["Id"], condition="removed" if removed else "next-exit")
    except BaseException:
        stream.close()
        raise
    beside = session.second_client().containers

    def begin() -> None:
        beside.start(found["Id"], checkpoint=args.text("checkpoint"), checkpoint_dir=args.text("checkpoint-dir"))

    foreground = Foreground(
        session,
        stream,
        tty=tty,
        stdin=stdin,
        keys=detach_keys(session, args.text("detach-keys")),
        resize=lambda rows, columns: beside.resize(found["Id"], rows, columns),
        kill=None if tty else lambda signal: beside.kill(found["Id"], signal=signal),
    )
    return end.wait() if foreground.run(started=begin) else 0
