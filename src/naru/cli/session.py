"""What every verb is given: where to print, which configuration, and the daemon, connected to when first asked for."""

from __future__ import annotations

import sys

from naru.errors import NaruError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from naru.client.endpoint import Endpoint, Tls
    from naru.client.engine import Client


class Exit(Exception):
    """End with this code, after this line on stderr (printed at the end, when the terminal is itself again)."""

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(code, message)
        self.code, self.message = code, message


class Session:
    """One run of the command. `host`, `context` and `tls` are the global flags ("" or None if not given)."""

    def __init__(self, *, host: str = "", context: str = "", config: str = "", tls: Tls | None = None) -> None:
        from naru.client.endpoint import config_dir

        self.host, self.context, self.tls = host, context, tls
        self.config_dir = config or config_dir()
        self._client: Client | None = None

    def endpoint(self) -> Endpoint:
        """Raises InvalidArgument, NotFound."""
        from naru.client.endpoint import resolve

        return resolve(host=self.host, context=self.context, tls=self.tls, config=self.config_dir)

    @property
    def client(self) -> Client:
        if self._client is None:
            from naru.client.engine import Client

            try:
                endpoint = self.endpoint()
            except NaruError as error:
                raise type(error)(f"Failed to initialize: unable to resolve docker endpoint: {error}") from error
            self._client = Client(endpoint)
        return self._client

    def second_client(self) -> Client:
        """One more connection to the same daemon, for what must be said while the first is busy."""
        from naru.client.engine import Client

        return Client(self.client.endpoint, api_version=self.client.version)

    def config(self) -> dict[str, Any]:
        from naru.client.config import load

        return load(self.config_dir)

    def out(self, text: str) -> None:
        """Print text as it is, without a newline of our own."""
        sys.stdout.write(text)

    def line(self, text: str) -> None:
        sys.stdout.write(text + "\n")

    def warn(self, text: str) -> None:
        """A line on stderr."""
        sys.stdout.flush()
        sys.stderr.write(text + "\n")

    def flush(self) -> None:
        sys.stdout.flush()


def each(session: Session, names: Iterable[str], action: Any, *, echo: bool = True) -> int:
    """Do action(name) for every name, printing the names done; a failure is reported and does not stop the others.

    Returns the exit code: 1 if any failed.
    """
    code = 0
    for name in names:
        try:
            action(name)
        except NaruError as error:
            session.warn(str(error))
            code = 1
            continue
        if echo:
            session.line(name)
            session.flush()
    return code


def filters(args: Any, name: str = "filter") -> dict[str, list[str]]:
    """--filter key=value, repeated, as the API wants it. Raises UsageError."""
    found: dict[str, list[str]] = {}
    for item in args.items(name):
        key, equals, value = item.partition("=")
        if not equals:
            raise args.refuse(name, item, "bad format of filter (expected name=value)")
        found.setdefault(key.strip().lower(), []).append(value.strip())
    return found
