"""From words to a verb and from what comes of it to an exit code.

Owns the global flags, the look-up in `verbs.py`, --help, and the last word on errors: everything that a verb raises ends
here as a line on stderr. Exit codes are Docker's: 1, 125 for bad flags, and whatever `run` and `exec` say.
"""

from __future__ import annotations

import sys

from naru.cli import grammar
from naru.cli.session import Exit, Session
from naru.cli.verbs import ALIASES, GROUPS, SUBGROUPS, VERBS
from naru.errors import NaruError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

GLOBALS = """\
Usage:  naru [OPTIONS] COMMAND [ARG...]

Options:
      --config string      Folder of the client's configuration (default ~/.docker)
  -c, --context string     Context that names the daemon (overrides DOCKER_HOST and the current context)
  -D, --debug              Show where an error comes from
  -H, --host list          Daemon to connect to: unix://PATH, tcp://HOST[:PORT] or ssh://[USER@]HOST
      --tls                Use TLS; implied by --tlsverify
      --tlscacert string   Trust only certificates signed by this CA (default ~/.docker/ca.pem)
      --tlscert string     The client's certificate (default ~/.docker/cert.pem)
      --tlskey string      The client's key (default ~/.docker/key.pem)
      --tlsverify          Use TLS and verify the daemon
  -v, --version            Print the version and quit
Hidden:
  -l, --log-level string   Accepted for Docker's sake
"""


def main(argv: Sequence[str]) -> int:
    """Run the command; its exit code. Nothing is raised but what a bug raises."""
    debug = False
    try:
        options = grammar.parse(grammar.Grammar(GLOBALS), argv)
        debug = options.on("debug")
        return _dispatch(options)
    except grammar.Help:
        from naru.cli.manual import overview

        sys.stdout.write(overview())
        return 0
    except grammar.UsageError as error:
        sys.stderr.write(f"{error}\n\nRun 'naru --help' for more information\n")
        return error.exit_code
    except Exit as end:
        if end.message:
            sys.stdout.flush()
            sys.stderr.write(f"{end.message}\n")
        return end.code
    except NaruError as error:
        if debug:
            raise
        sys.stdout.flush()
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # nobody reads what we print
        return 141


def _dispatch(options: grammar.Args) -> int:
    words = options.words
    if options.on("version"):
        from naru import __version__

        sys.stdout.write(f"Naru version {__version__}\n")
        return 0
    if not words or words[0] == "help":
        return _help(words[1:])
    name, rest = _find(words)
    if name in GROUPS or name in SUBGROUPS:
        from naru.cli.manual import group

        sys.stdout.write(group(name))
        return 0
    return _run(name, " ".join(words[: len(words) - len(rest)]), rest, _session(options))


def _find(words: Sequence[str]) -> tuple[str, list[str]]:
    """The canonical name of the verb (or a group's name, if it stands alone) and the words after it. Raises Exit."""
    first, rest = words[0], list(words[1:])
    if first not in GROUPS:
        if first in VERBS:
            return first, rest
        raise _unknown(first, "")
    name = first
    while name in GROUPS or name in SUBGROUPS:
        if not rest or rest[0] in ("--help", "-h"):
            return name, []
        outer, name, rest = name, f"{name} {rest[0]}", rest[1:]
    canonical = ALIASES.get(name, name)
    if canonical not in VERBS:
        raise _unknown(name, outer)
    return canonical, rest


def _unknown(name: str, group: str) -> Exit:
    usage = f"Usage:  naru {group}\n\n" if group else ""
    return Exit(
        1,
        f"naru: unknown command: naru {name}\n\n{usage}Run 'naru {group + ' ' if group else ''}--help' for more information",
    )


def _session(options: grammar.Args) -> Session:
    hosts = options.items("host")
    if len(hosts) > 1:
        raise grammar.UsageError("specify only one -H", 1)
    tls = None
    if any(options.has(name) for name in ("tls", "tlsverify", "tlscacert", "tlscert", "tlskey")):
        from naru.client.endpoint import Tls, config_dir

        found = Tls.in_folder(
            options.text("config") or config_dir(), verify=options.on("tlsverify") or not options.on("tls")
        )
        tls = Tls(
            options.text("tlscacert", found.ca), options.text("tlscert", found.cert), options.text("tlskey", found.key),
            verify=found.verify,
        )  # fmt: skip
    return Session(
        host=hosts[0] if hosts else "", context=options.text("context"), config=options.text("config"), tls=tls
    )


def load(name: str) -> tuple[ModuleType, str]:
    """The module of a verb and the verb's help text."""
    module = __import__(f"naru.cli.{VERBS[name][0]}", fromlist=["HELP"])
    return module, module.HELP[name]


def _run(name: str, spoken: str, argv: Sequence[str], session: Session) -> int:
    module, text = load(name)
    syntax = grammar.Grammar(text)
    try:
        args = grammar.parse(syntax, argv)
        grammar.check_count(syntax, f"naru {spoken}", args.words)
        code: int = getattr(module, name.replace(" ", "_").replace("-", "_") + ("_" if name == "import" else ""))(
            session, args
        )
    except grammar.Help:
        from naru.cli.manual import verb

        sys.stdout.write(verb(name))
        return 0
    except grammar.UsageError as error:
        sys.stdout.flush()
        sys.stderr.write(
            f"{error}\n\nUsage:  {syntax.usage}\n\n{error.advice} 'naru {spoken} --help' for more information\n"
        )
        return error.exit_code
    return code


def _help(words: Sequence[str]) -> int:
    from naru.cli import manual

    if not words:
        sys.stdout.write(manual.overview())
        return 0
    name, _ = _find(words)
    sys.stdout.write(manual.group(name) if name in GROUPS or name in SUBGROUPS else manual.verb(name))
    return 0
