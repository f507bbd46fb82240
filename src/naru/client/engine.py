"""`Client`: requests to one daemon, by the Engine API's rules for versions, queries and errors.

The methods for the API's objects are in groups beside this file (`containers`, `execs`, `images`, `networks`,
`volumes`, `system`), each loaded when it is first used. No version is negotiated beforehand: requests go out under a
fixed version, and the daemon that finds it too new or too old says which one it wants.
"""

from __future__ import annotations

import os

from naru import errors
from naru.client import jsontext
from naru.client.dial import connect
from naru.client.http import Closed, Connection, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from naru.client.checkpoints import Checkpoints
    from naru.client.containers import Containers
    from naru.client.endpoint import Endpoint
    from naru.client.execs import Execs
    from naru.client.http import Response, Stream
    from naru.client.images import Images
    from naru.client.networks import Networks
    from naru.client.system import System
    from naru.client.volumes import Volumes

API_VERSION = "1.51"  # the newest whose answers this client was written for
USER_AGENT = "Naru-Client/0.1.0 (linux)"

_KINDS: dict[int, type[errors.NaruError]] = {
    400: errors.InvalidArgument,
    401: errors.Unauthenticated,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    501: errors.Unsupported,
    503: errors.Unavailable,
}


def query_string(values: Mapping[str, Any]) -> str:
    """`?a=1&…` by the API's conventions: true is 1; None, false and "" are left out; lists repeat; objects are JSON."""
    pairs: list[str] = []
    for name, value in values.items():
        if value is None or value is False or value == "" or value == {}:
            continue
        for one in value if isinstance(value, (list, tuple)) else (value,):
            text = "1" if one is True else jsontext.encode(one) if isinstance(one, dict) else str(one)
            pairs.append(f"{name}={quote(text)}")
    return "?" + "&".join(pairs) if pairs else ""


def failure(response: Response) -> errors.NaruError:
    """The error that an answer of status 400 or more means; reads the answer."""
    body = response.read()
    try:
        value = jsontext.decode(body)
        message = value["message"]
    except (ValueError, TypeError, KeyError):
        message = body.decode(errors="replace").strip() or f"{response.status} {response.reason}"
    return _KINDS.get(response.status, errors.Internal)(f"Error response from daemon: {str(message).strip()}")


class Client:
    """A daemon at an endpoint; connects at the first request and keeps one idle connection. Not for several threads."""

    def __init__(self, endpoint: Endpoint, *, api_version: str | None = None) -> None:
        self.endpoint = endpoint
        self._pinned = api_version or os.environ.get("DOCKER_API_VERSION") or ""
        self.version = self._pinned or API_VERSION
        self._agreed = bool(self._pinned)
        self._idle: Connection | None = None
        self._groups: dict[str, Any] = {}

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        if self._idle is not None:
            self._idle.close()
            self._idle = None

    def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        accept: tuple[int, ...] = (),
    ) -> Response:
        """The answer's head, its body still to be read. Raises the kind for status ≥ 400 (unless in accept), Unavailable."""
        if body is not None and not isinstance(body, bytes) and not self._agreed:
            self.negotiate()  # a body that can be sent only once must not be sent to learn the version
        suffix = path + query_string(query or {})
        while True:
            response = self._send(method, f"/v{self.version}{suffix}", body, headers)
            if response.status < 400 or response.status in accept:
                self._agreed = True
                return response
            error = failure(response)
            self._keep(response)
            wanted = self._wanted_version(str(error))
            if not wanted:
                raise error
            self.version, self._agreed = wanted, True

    def negotiate(self) -> None:
        """Settle the API version by a ping (HEAD /_ping); true afterwards: the daemon knows it."""
        response = self._send("HEAD", "/_ping", None, None)
        offered = response.headers.get("api-version", "")
        self._finish(response)
        if offered and not self._pinned and _number(offered) < _number(self.version):
            self.version = offered
        self._agreed = True

    def _wanted_version(self, message: str) -> str:
        """The version that a refusal of ours asks for; "" if that is not what it says, or if there is no choice."""
        if self._agreed or "client version" not in message:
            return ""
        for marker in (
            "Maximum supported API version is ",
            "Minimum supported API version is ",
            "server API version: ",
        ):
            _, found, rest = message.partition(marker)
            if found:
                return rest.split(",")[0].split(")")[0].strip().rstrip(".")
        return ""

    def _send(
        self, method: str, target: str, body: bytes | Iterable[bytes] | None, headers: Mapping[str, str] | None
    ) -> Response:
        host = "api.moby.localhost" if self.endpoint.scheme != "tcp" else self.endpoint.address
        fields = {"Host": host, "User-Agent": USER_AGENT, **(headers or {})}
        connection, self._idle = self._idle or Connection(connect(self.endpoint)), None
        try:
            connection.send(method, target, fields, body)
            try:
                return connection.receive(method)
            except Closed:
                if not connection.answered or not (body is None or isinstance(body, bytes)):
                    raise
            connection.close()  # an idle connection that the daemon has left meanwhile: once more, on a fresh one
            connection = Connection(connect(self.endpoint))
            connection.send(method, target, fields, body)
            return connection.receive(method)
        except BaseException:
            connection.close()
            raise

    def _keep(self, response: Response) -> None:
        if response.reusable and self._idle is None:
            self._idle = response.connection
        else:
            response.close()

    def _finish(self, response: Response) -> bytes:
        return b"".join(self.stream(response))

    def fetch(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        value: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send `value` as JSON (None: no body) and return the answer's JSON (None if it has no body)."""
        fields = dict(headers or {})
        body = None
        if value is not None:
            fields["Content-Type"] = "application/json"
            body = jsontext.encode(value).encode()
        answer = self._finish(self.call(method, path, query, body, fields))
        try:
            return jsontext.decode(answer) if answer.strip() else None
        except ValueError as error:
            raise errors.Internal(f"the daemon's answer to {method} {path} is {error}") from error

    def stream(self, response: Response) -> Iterator[bytes]:
        """The body of an answer piece by piece; the connection is kept or closed at the end, however it comes."""
        try:
            yield from response.pieces()
        except BaseException:
            response.close()
            raise
        self._keep(response)

    def values(self, response: Response) -> Iterator[Any]:
        """The JSON values of a streamed answer as they come (progress, events, stats)."""
        return jsontext.decode_stream(self.stream(response))

    def upgrade(self, path: str, query: Mapping[str, Any] | None = None, value: Any = None) -> Stream:
        """POST that turns the connection into a raw stream (Engine API, "Attach": 101 UPGRADED, or 200 of old daemons)."""
        body = b"" if value is None else jsontext.encode(value).encode()
        headers = {"Connection": "Upgrade", "Upgrade": "tcp"} | (
            {"Content-Type": "application/json"} if value is not None else {}
        )
        return self.call("POST", path, query, body, headers).stream()

    def _group(self, name: str, module: str, kind: str) -> Any:
        if name not in self._groups:
            found = __import__(f"naru.client.{module}", fromlist=[kind])
            self._groups[name] = getattr(found, kind)(self)
        return self._groups[name]

    @property
    def containers(self) -> Containers:
        group: Containers = self._group("containers", "containers", "Containers")
        return group

    @property
    def checkpoints(self) -> Checkpoints:
        group: Checkpoints = self._group("checkpoints", "checkpoints", "Checkpoints")
        return group

    @property
    def execs(self) -> Execs:
        group: Execs = self._group("execs", "execs", "Execs")
        return group

    @property
    def images(self) -> Images:
        group: Images = self._group("images", "images", "Images")
        return group

    @property
    def networks(self) -> Networks:
        group: Networks = self._group("networks", "networks", "Networks")
        return group

    @property
    def volumes(self) -> Volumes:
        group: Volumes = self._group("volumes", "volumes", "Volumes")
        return group

    @property
    def system(self) -> System:
        group: System = self._group("system", "system", "System")
        return group


def _number(version: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in version.split("."))
    except ValueError as error:
        raise errors.Unavailable(f"the daemon offers API version {version!r}") from error
