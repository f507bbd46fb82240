"""What every handler is given: the request, what it asks for, who asks, and the registry's parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from naru.oci.image import Json, dump_json
from naru.registry.access import Access, Action, Caller, Want
from naru.registry.errors import Refusal
from naru.registry.metrics import Metrics
from naru.registry.routes import Route
from naru.registry.storage import Storage
from naru.registry.uploads import Uploads


@dataclass(frozen=True, slots=True)
class Registry:
    storage: Storage
    uploads: Uploads
    access: Access
    metrics: Metrics
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Context:
    request: web.Request
    route: Route
    caller: Caller
    registry: Registry

    @property
    def storage(self) -> Storage:
        return self.registry.storage

    def may(self, action: Action, repository: str) -> bool:
        return self.registry.access.may(self.caller, Want(action, repository))

    def pullable(self, read: Callable[[str, int], Sequence[str]], after: str, count: int) -> list[str]:
        """The first `count` names after this one that the caller may pull, of what `read(after, limit)` gives in order: a page is
        filled up by reading on."""
        found: list[str] = []
        while len(found) < count and (names := read(after, count)):
            found += [name for name in names if self.may(Action.PULL, name)]
            after = names[-1]
        return found[:count]

    def query(self, name: str) -> str | None:
        return self.request.query.get(name)


def json_answer(
    document: Json, *, content_type: str = "application/json", headers: dict[str, str] | None = None
) -> web.Response:
    return web.Response(body=dump_json(document), content_type=content_type, headers=headers)


def demand(registry: Registry, caller: Caller, want: Want) -> None:
    """Raises Refusal: UNAUTHORIZED, with a challenge, if logging in (or a token for more) could help; else DENIED."""
    if registry.access.may(caller, want):
        return
    challenge = registry.access.challenge(caller, (want,))
    if challenge:
        raise Refusal("UNAUTHORIZED", headers={"WWW-Authenticate": challenge})
    raise Refusal("DENIED")
