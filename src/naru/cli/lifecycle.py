"""Verbs that move containers from state to state: stop, restart, kill, pause, unpause, rm, wait."""

from __future__ import annotations

from naru.cli.session import each
from naru.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from naru.cli.grammar import Args
    from naru.cli.session import Session

HELP = {
    "stop": """\
Usage:  naru stop [OPTIONS] CONTAINER [CONTAINER...]

Options:
  -s, --signal string   Signal to send to the container
  -t, --timeout int     Seconds to wait before killing it
Hidden:
      --time int        = --timeout
""",
    "restart": """\
Usage:  naru restart [OPTIONS] CONTAINER [CONTAINER...]

Options:
  -s, --signal string   Signal to send to the container
  -t, --timeout int     Seconds to wait before killing it
Hidden:
      --time int        = --timeout
""",
    "kill": """\
Usage:  naru kill [OPTIONS] CONTAINER [CONTAINER...]

Options:
  -s, --signal string   Signal to send to the container (default KILL)
""",
    "pause": "Usage:  naru pause CONTAINER [CONTAINER...]\n",
    "unpause": "Usage:  naru unpause CONTAINER [CONTAINER...]\n",
    "rm": """\
Usage:  naru rm [OPTIONS] CONTAINER [CONTAINER...]

Options:
  -f, --force     Kill the container first, if it runs
  -l, --link      Remove the link of this name
  -v, --volumes   Remove its anonymous volumes
""",
    "wait": "Usage:  naru wait CONTAINER [CONTAINER...]\n",
}


def _timeout(args: Args) -> int | None:
    if args.has("timeout"):
        return args.number("timeout")
    return args.number("time") if args.has("time") else None


def stop(session: Session, args: Args) -> int:
    timeout_s, signal, containers = _timeout(args), args.text("signal"), session.client.containers
    return each(session, args.words, lambda name: containers.stop(name, signal=signal, timeout_s=timeout_s))


def restart(session: Session, args: Args) -> int:
    timeout_s, signal, containers = _timeout(args), args.text("signal"), session.client.containers
    return each(session, args.words, lambda name: containers.restart(name, signal=signal, timeout_s=timeout_s))


def kill(session: Session, args: Args) -> int:
    signal, containers = args.text("signal"), session.client.containers
    return each(session, args.words, lambda name: containers.kill(name, signal=signal))


def pause(session: Session, args: Args) -> int:
    return each(session, args.words, session.client.containers.pause)


def unpause(session: Session, args: Args) -> int:
    return each(session, args.words, session.client.containers.unpause)


def rm(session: Session, args: Args) -> int:
    force, volumes, link, containers = args.on("force"), args.on("volumes"), args.on("link"), session.client.containers
    missing = []

    def one(name: str) -> None:
        name = name.strip("/") if not link else name
        try:
            containers.remove(name, force=force, volumes=volumes, link=link)
        except NotFound:
            missing.append(name)
            raise

    code = each(session, args.words, one)
    return 0 if force and len(missing) == len(args.words) else code


def wait(session: Session, args: Args) -> int:
    containers = session.client.containers
    return each(session, args.words, lambda name: session.line(str(containers.wait(name).wait())), echo=False)
