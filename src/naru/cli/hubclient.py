"""A hub as its command line sees it: where it is, who one is there, a request and its answer; and what all its verbs share.

Where: `--hub`, NARU_HUB, or where one has logged in last (`naruHub` of config.json). Who: what config.json, or a credential helper,
keeps for that host: the same as for pulls and pushes. Spoken over `client/http.py`, which takes less time to load than `http.client`.
"""

from __future__ import annotations

import os
import time

from naru.cli.listing import FORMAT_HELP, Columns, render
from naru.cli.units import human_duration, read_rfc3339
from naru.client import auth, jsontext
from naru.client.http import Connection, quote
from naru.errors import Conflict, Forbidden, InvalidArgument, NaruError, NotFound, Unauthenticated, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    from naru.cli.grammar import Args
    from naru.cli.session import Session

    Json = dict[str, Any]

API = "/api/v1"
CONFIG_KEY = "naruHub"
_KINDS: dict[int, type[NaruError]] = {
    400: InvalidArgument, 401: Unauthenticated, 403: Forbidden, 404: NotFound, 409: Conflict,
}  # fmt: skip
_HUB_FLAG = ("--hub string", "Address of the hub (default is $NARU_HUB, or where one has logged in last)")
FORMAT = ("--format string", FORMAT_HELP)
QUIET = ("-q, --quiet", "Only show names")


def usage(line: str, *flags: tuple[str, str], about: str = "") -> str:
    """The help text of a verb, `--hub` among its flags; `about`: what more there is to say than `verbs` does."""
    titles = [
        (flag if flag.startswith("-") and flag[1] != "-" else f"    {flag}", text) for flag, text in (*flags, _HUB_FLAG)
    ]
    titles.sort(key=lambda one: one[0].partition("--")[2])
    width = max(len(title) for title, _ in titles) + 3
    options = "".join([f"  {title.ljust(width)}{text}\n" for title, text in titles])
    paragraphs = (f"Usage:  naru hub {line}", *((about,) if about else ()), f"Options:\n{options}")
    return "\n\n".join(paragraphs)


def address(text: str) -> str:
    """The hub's address with a scheme: without one it is https, but http on this very machine. Raises InvalidArgument."""
    scheme, separator, host = text.partition("://")
    if not separator:
        name = text.rpartition(":")[0].strip("[]") or text
        scheme, host = "http" if name in ("localhost", "::1") or name.startswith("127.") else "https", text
    host = host.removesuffix("/")
    if scheme not in ("http", "https") or not host or "/" in host or "@" in host:
        raise InvalidArgument(f"hub {text!r}: must be http://HOST[:PORT] or https://HOST[:PORT]")
    return f"{scheme}://{host}"


class HubClient:
    def __init__(self, session: Session, url: str, credentials: Json) -> None:
        """`credentials` as `client/auth.py` has them, {} for nobody."""
        self.url = address(url)
        self.host = self.url.partition("://")[2]
        self._session = session
        self._authorization = _authorization(credentials)
        self._connection: Connection | None = None

    def ask(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """The JSON that answers, None if there is none; in a query, what is empty is left out. Raises the error of its status."""
        given = "&".join(
            [f"{name}={_escaped(value)}" for name, value in query.items() if value not in ("", None, False)]
        )
        target = f"{API}{path}?{given}" if given else f"{API}{path}"
        status, data = self._exchange(method, target, body)
        try:
            answer = jsontext.decode(data) if data else None
        except ValueError as error:
            raise Unavailable(f"{self.url} is no hub: it answered {status}, and no JSON") from error
        if status >= 400:
            message = str((isinstance(answer, dict) and answer.get("message")) or f"{self.url} answered {status}")
            if status == 401 and not self._authorization:
                message += f" (naru hub login {self.url})"
            raise _KINDS.get(status, Unavailable)(message)
        return answer

    def every(self, path: str, **query: Any) -> Iterator[Json]:
        """Of a list, page by page."""
        page = self.ask("GET", path, page_size=100, **query)
        while True:
            yield from page["results"]
            if not page["next"]:
                return
            following = str(page["next"]).partition(API)[2]
            page = self.ask("GET", following)

    def _exchange(self, method: str, target: str, body: Any) -> tuple[int, bytes]:
        headers = {"Host": self.host, "Accept": "application/json", "User-Agent": "naru"}
        if self._authorization:
            headers["Authorization"] = self._authorization
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = jsontext.encode(body).encode()
        connection = self._connection or self._connect()
        connection.send(method, target, headers, data)
        response = connection.receive(method)
        received = response.read()
        self._connection = connection if response.reusable else None
        return response.status, received

    def _connect(self) -> Connection:
        from naru.client.dial import connect
        from naru.client.endpoint import Endpoint, Tls

        secure = self.url.startswith("https")
        tls = (self._session.tls or Tls()) if secure else None
        port = "" if ":" in self.host.rpartition("]")[2] else ":443" if secure else ":80"
        try:
            return Connection(connect(Endpoint(f"tcp://{self.host}{port}", tls)))
        except Unavailable as error:
            why = str(error.__cause__ or error)
            raise Unavailable(f"cannot reach the hub at {self.url}: {why}") from error


def _authorization(credentials: Json) -> str:
    from binascii import b2a_base64

    if credentials.get("identitytoken"):
        return f"Bearer {credentials['identitytoken']}"
    if credentials.get("password"):
        pair = f"{credentials.get('username', '')}:{credentials['password']}"
        return "Basic " + b2a_base64(pair.encode(), newline=False).decode()
    return ""


def _escaped(value: Any) -> str:
    return "true" if value is True else quote(str(value))


def where(session: Session, args: Args) -> str:
    """The hub that is meant. Raises InvalidArgument."""
    found = args.text("hub") or os.environ.get("NARU_HUB", "") or str(session.config().get(CONFIG_KEY) or "")
    if not found:
        raise InvalidArgument("which hub? Say --hub URL, set NARU_HUB, or log in: naru hub login URL")
    return address(found)


def hub(session: Session, args: Args) -> HubClient:
    url = where(session, args)
    return HubClient(session, url, auth.find(session.config_dir, auth.normal_server(url)))


# what verbs share


def repository_path(name: str) -> str:
    """`/repositories/NAMESPACE/NAME`, unmistakable whatever words are in the name. Raises InvalidArgument."""
    namespace, slash, rest = name.partition("/")
    if not (namespace and slash and rest):
        raise InvalidArgument(f"repository {name!r}: is named NAMESPACE/NAME")
    return f"/repositories/{part(namespace)}/{part(rest)}"


def part(text: str) -> str:
    """One part of a path, whatever is in it. Raises InvalidArgument for none."""
    if text in ("", ".", ".."):
        raise InvalidArgument(f"{text!r}: is no name")
    return quote(text).replace("/", "%2F")


def place_path(place: str) -> str:
    """Of a repository, or of an account."""
    return repository_path(place) if "/" in place else f"/accounts/{part(place)}"


def ago(text: str | None) -> str:
    """How long since this time of the API's."""
    if not text:
        return "Never"
    return f"{human_duration(time.time() - read_rfc3339(text) / 1e9)} ago"


def moment(text: str) -> str:
    """When something is to end, as the API takes it, of `30d`, `2030-01-31` or a whole time. Raises ValueError."""
    days = text.removesuffix("d")
    if text.endswith("d") and days.isdecimal() and len(days) < 6:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + int(days) * 86400))
    read_rfc3339(text)
    return text if "T" in text else f"{text}T00:00:00Z"


def yes_or_no(value: Any) -> str:
    return "yes" if value else "no"


def show(session: Session, args: Args, found: Any, *columns: tuple[str, str, Callable[[Json], Any]]) -> int:
    """A list as --format wants it: each column has a name, a heading, and what is in it. The first is all that --quiet shows."""
    records = list(found)
    fields: Mapping[str, Callable[[Any], Any]] = {name: _plain(get) for name, _, get in columns}
    if args.has("quiet") and args.on("quiet"):
        first = fields[columns[0][0]]
        session.out("".join([f"{first(record)}\n" for record in records]))
        return 0
    headers = {name: heading for name, heading, _ in columns}
    session.out(render(records, Columns(fields, headers, tuple(fields), "hubContext"), args.text("format")))
    return 0


def plain(text: str, more: str = "") -> str:
    """What others have written, without what would end a line or command the terminal; `more` is let through."""
    if text.isprintable():
        return text
    return "".join([one if one.isprintable() or one in "\u00a0\u200d" or one in more else "\ufffd" for one in text])


def _plain(get: Callable[[Json], Any]) -> Callable[[Any], Any]:
    return lambda record: plain(str(get(record)))


def key(name: str) -> Callable[[Json], Any]:
    """A column of what the API says under this name."""
    return lambda record: str(record[name])


def give(body: Json, args: Args, **flags: str) -> Json:
    """The body with the values of those flags that were given: field=flag."""
    for field, flag in flags.items():
        if args.has(flag):
            body[field] = args.text(flag)
    return body


def numbered(client: HubClient, path: str, names: Sequence[str]) -> Iterator[tuple[str, int]]:
    """The number of each of a list's entries that are meant by name, or by number. Raises NotFound."""
    there = {str(one["name"]): int(one["id"]) for one in client.every(path)}
    for name in names:
        if name not in there and not name.isdecimal():
            raise NotFound(f"{name}: not found")
        yield name, there.get(name) or int(name)
