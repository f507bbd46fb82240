"""`naru run` and `naru create`.

The order is Docker's: create, attach, wait, start, so that not a byte and not an exit can be missed. An image that is not
there is pulled when create says so.
"""

from __future__ import annotations

import os
import sys

from naru.cli.foreground import Foreground, check_terminal, detach_keys
from naru.cli.references import with_default_tag
from naru.cli.runhelp import HELP
from naru.cli.session import Exit
from naru.errors import InvalidArgument, NaruError, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from naru.cli.grammar import Args
    from naru.cli.session import Session
    from naru.client.containers import Exit as End

    Json = dict[str, Any]

__all__ = ["HELP", "create", "run"]

_PULL = ("always", "missing", "never")
# words in the error of start: exit code (Docker's CLI decides by them, and scripts by the code)
_START_FAILURES = (
    ("executable file not found", 127),
    ("no such file or directory", 127),
    ("permission denied", 126),
    ("is a directory", 126),
)


def _failure(verb: str, error: NaruError, code: int = 125) -> Exit:
    return Exit(code, f"naru: {error}\n\nRun 'naru {verb} --help' for more information")


def create(session: Session, args: Args) -> int:
    from naru.cli import runflags

    try:
        body = runflags.container(args, detach=False)
        with _IdFile(args.text("cidfile")) as id_file:
            session.line(_create(session, args, body, id_file))
    except InvalidArgument as error:
        if "from daemon" in str(error):
            raise
        raise _failure("create", error) from error
    return 0


class _IdFile:
    """--cidfile: made before the container, so that it cannot fail afterwards; gone if no id came to be written."""

    def __init__(self, path: str) -> None:
        self._path, self._fd = path, -1
        self.written = False

    def __enter__(self) -> _IdFile:
        if self._path:
            try:
                self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            except FileExistsError as error:
                raise InvalidArgument(
                    f"container ID file found, make sure the other container isn't running or delete {self._path}"
                ) from error
            except OSError as error:
                raise InvalidArgument(
                    f"failed to create the container ID file: open {self._path}: {(error.strerror or '').lower()}"
                ) from error
        return self

    def write(self, container: str) -> None:
        if self._fd >= 0:
            os.write(self._fd, container.encode())
        self.written = True

    def __exit__(self, *exc: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            if not self.written:
                os.unlink(self._path)


def _create(session: Session, args: Args, body: Json, id_file: _IdFile) -> str:
    """The new container's id; pulls the image if that is wanted or needed."""
    policy = args.text("pull", "missing")
    if policy not in _PULL:
        raise InvalidArgument(f'invalid pull option: \'{policy}\': must be one of "always", "missing" or "never"')
    containers = session.client.containers
    options = {
        "name": args.text("name"),
        "platform": args.text("platform") or os.environ.get("DOCKER_DEFAULT_PLATFORM", ""),
    }
    if policy == "always":
        _pull(session, args, body["Image"])
    try:
        created = containers.create(body, **options)
    except NotFound as error:
        if policy != "missing" or "No such image" not in str(error):
            raise
        if not args.on("quiet"):
            session.warn(f"Unable to find image '{with_default_tag(body['Image'])}' locally")
        _pull(session, args, body["Image"])
        created = containers.create(body, **options)
    id_file.write(created["Id"])
    for warning in created.get("Warnings") or []:
        session.warn(f"WARNING: {warning}")
    return str(created["Id"])


def _pull(session: Session, args: Args, image: str) -> None:
    from naru.cli.transfer import pull_image

    pull_image(session, image, platform=args.text("platform"), quiet=args.on("quiet"), out=sys.stderr)


def run(session: Session, args: Args) -> int:
    from naru.cli import runflags

    detach = args.on("detach")
    if not detach:
        check_terminal(tty=args.on("tty"), stdin=args.on("interactive"))
    try:
        body = runflags.container(args, detach=detach)
        if body["Tty"]:
            from naru.cli.terminal import size

            body["HostConfig"]["ConsoleSize"] = list(size(1))
        keys = detach_keys(session, args.text("detach-keys")) if body["Tty"] or args.has("detach-keys") else b""
        with _IdFile(args.text("cidfile")) as id_file:
            container = _create(session, args, body, id_file)
    except NaruError as error:
        raise _failure("run", error) from error
    if detach:
        _start(session, container, None)
        session.line(container)
        return 0
    return _run_attached(session, args, body, container, keys)


def _start(session: Session, container: str, end: End | None) -> None:
    """Raises Exit with Docker's code for the kind of failure."""
    try:
        session.client.containers.start(container)
    except NaruError as error:
        code = next((code for words, code in _START_FAILURES if words in str(error).lower()), 125)
        failure = _failure("run", error, code)
        if end is not None:
            end.close()
        raise failure from error


def _run_attached(session: Session, args: Args, body: Json, container: str, keys: bytes) -> int:
    containers = session.client.containers
    keys_text = args.text("detach-keys")
    try:
        stream = containers.attach(
            container,
            stdin=body["AttachStdin"],
            stdout=body["AttachStdout"],
            stderr=body["AttachStderr"],
            detach_keys=keys_text,
        )
        end = containers.wait(container, condition="removed" if args.on("rm") else "next-exit")
    except NaruError as error:
        raise _failure("run", error) from error
    foreground = Foreground(
        session,
        stream,
        tty=body["Tty"],
        stdin=body["AttachStdin"],
        keys=keys,
        resize=lambda rows, columns: containers.resize(container, rows, columns),
        kill=(lambda signal: containers.kill(container, signal=signal)) if args.on("sig-proxy") else None,
    )
    if not foreground.run(started=lambda: _start(session, container, end)):
        return 0
    try:
        return end.wait()
    except NaruError as error:
        raise _failure("run", error) from error
