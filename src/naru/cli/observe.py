"""Looking at one container: top, port, diff."""

from __future__ import annotations

from naru.cli.table import align
from naru.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from naru.cli.grammar import Args
    from naru.cli.session import Session

HELP = {
    "top": "Usage:  naru top CONTAINER [ps OPTIONS]\n",
    "port": "Usage:  naru port CONTAINER [PRIVATE_PORT[/PROTO]]\n",
    "diff": "Usage:  naru diff CONTAINER\n",
}
_CHANGES = "CAD"  # by the API's number: modified, added, deleted


def top(session: Session, args: Args) -> int:
    found = session.client.containers.top(args.words[0], " ".join(args.words[1:]))
    session.out(align([found["Titles"], *(found["Processes"] or [])], minimum=20, padding=1))
    return 0


def port(session: Session, args: Args) -> int:
    name, *wanted = args.words
    ports = session.client.containers.inspect(name)["NetworkSettings"].get("Ports") or {}
    if wanted:
        key = wanted[0] if "/" in wanted[0] else f"{wanted[0]}/tcp"
        if not ports.get(key):
            raise NotFound(f"Error: No public port '{key}' published for {name}")
        session.out("".join([_address(binding) + "\n" for binding in ports[key]]))
        return 0
    for key in sorted(ports, key=lambda key: (int(key.partition("/")[0]), key)):
        for binding in ports[key] or []:
            session.line(f"{key} -> {_address(binding)}")
    return 0


def _address(binding: dict[str, str]) -> str:
    ip = binding.get("HostIp") or ""
    return f"[{ip}]:{binding['HostPort']}" if ":" in ip else f"{ip}:{binding['HostPort']}"


def diff(session: Session, args: Args) -> int:
    changes = session.client.containers.changes(args.words[0])
    session.out("".join([f"{_CHANGES[change['Kind']]} {change['Path']}\n" for change in changes]))
    return 0
