"""`naru inspect` and the inspect verbs of containers, images, networks and volumes."""

from __future__ import annotations

from naru.cli.session import Exit
from naru.client.jsontext import encode, pretty
from naru.errors import InvalidArgument, NaruError, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from naru.cli.grammar import Args
    from naru.cli.session import Session
    from naru.client.engine import Client

_FORMAT = "  -f, --format string     Format: 'json' or a Go template for each\n"
_PLATFORM = "      --platform string   Platform, if the image has several\n"
_SIZE = "  -s, --size              Show file sizes too\n"
HELP = {
    "inspect": f"Usage:  naru inspect [OPTIONS] NAME|ID [NAME|ID...]\n\nOptions:\n{_FORMAT}{_SIZE}"
    "      --type string       Only containers, images, networks or volumes: container, image, network, volume\n",
    "container inspect": f"Usage:  naru container inspect [OPTIONS] CONTAINER [CONTAINER...]\n\nOptions:\n{_FORMAT}{_SIZE}",
    "image inspect": f"Usage:  naru image inspect [OPTIONS] IMAGE [IMAGE...]\n\nOptions:\n{_FORMAT}{_PLATFORM}",
    "network inspect": "Usage:  naru network inspect [OPTIONS] NETWORK [NETWORK...]\n\nOptions:\n"
    f"{_FORMAT}  -v, --verbose           Show more, for finding faults\n",
    "volume inspect": f"Usage:  naru volume inspect [OPTIONS] VOLUME [VOLUME...]\n\nOptions:\n{_FORMAT}",
}
_TEMPLATE_UNREADABLE = 64  # Docker's exit code for it

# in the order in which a name without --type is looked up
_KINDS: dict[str, Callable[[Client, str, bool], Any]] = {
    "container": lambda client, name, size: client.containers.inspect(name, size=size),
    "image": lambda client, name, size: client.images.inspect(name),
    "network": lambda client, name, size: client.networks.inspect(name),
    "volume": lambda client, name, size: client.volumes.inspect(name),
}


def show(session: Session, names: Sequence[str], find: Callable[[str], Any], form: str) -> int:
    """Print find(name) for every name, as a JSON list or by the template; names not found are reported at the end."""
    render = _renderer(form)
    found: list[Any] = []
    failures: list[NaruError] = []
    for name in names:
        try:
            found.append(find(name))
        except NaruError as error:
            failures.append(error)
    text = render(found)
    session.out(text or ("" if form and not failures else "\n" if form else "[]\n"))
    for failure in failures:
        session.warn(str(failure))
    return 1 if failures else 0


def _renderer(form: str) -> Callable[[list[Any]], str]:
    if not form:
        return lambda values: pretty(values) + "\n" if values else ""
    if form == "json":
        return lambda values: encode(values) + "\n" if values else ""
    from naru.cli.template import Template
    from naru.cli.template_functions import TemplateError

    try:
        template = Template(form.replace("\\t", "\t").replace("\\n", "\n"))
    except TemplateError as error:
        raise Exit(_TEMPLATE_UNREADABLE, f"template parsing error: template: :1: {error}") from error

    def each(values: list[Any]) -> str:
        try:
            return "".join([template.render(value) + "\n" for value in values])
        except TemplateError as error:
            raise InvalidArgument(f"template parsing error: template: {error}") from error

    return each


def inspect(session: Session, args: Args) -> int:
    kind, size = args.text("type"), args.on("size")
    if kind and kind not in _KINDS:
        known = ", ".join(f'"{name}"' for name in _KINDS)
        raise InvalidArgument(f'unknown type: "{kind}": must be one of {known}')

    def find(name: str) -> Any:
        for look_up in [_KINDS[kind]] if kind else _KINDS.values():
            try:
                return look_up(session.client, name, size)
            except NotFound:
                if kind:
                    raise
            except InvalidArgument:
                if kind or look_up is _KINDS["container"]:
                    raise  # an ambiguous prefix; the others refuse names that cannot be theirs
        raise NotFound(f"Error: No such object: {name}")

    return show(session, args.words, find, args.text("format"))


def container_inspect(session: Session, args: Args) -> int:
    client, size = session.client, args.on("size")
    return show(session, args.words, lambda name: client.containers.inspect(name, size=size), args.text("format"))


def image_inspect(session: Session, args: Args) -> int:
    client, platform = session.client, args.text("platform")
    return show(session, args.words, lambda name: client.images.inspect(name, platform=platform), args.text("format"))


def network_inspect(session: Session, args: Args) -> int:
    client, verbose = session.client, args.on("verbose")
    return show(session, args.words, lambda name: client.networks.inspect(name, verbose=verbose), args.text("format"))


def volume_inspect(session: Session, args: Args) -> int:
    return show(session, args.words, session.client.volumes.inspect, args.text("format"))
