"""Another registry, as the hub speaks to it: to copy from it, and to copy to it. The client is `naru.remote`'s; what is added is the question
that a hub has to ask, since its users say where that registry is: may it be connected to (`webhooktargets`)?

The address is asked about when the connection is made, for every name and every redirect; nothing that was resolved before is trusted.
Specification: distribution-spec "Pull", "Push", "Content Discovery".
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from urllib.parse import parse_qsl, urlencode

from yarl import URL

from naru import __version__
from naru.errors import (
    DataLoss,
    Forbidden,
    Internal,
    InvalidArgument,
    NaruError,
    NotFound,
    Unauthenticated,
    Unavailable,
    Unsupported,
)
from naru.hub.places import Place, registry_url
from naru.hub.webhooktargets import check_target
from naru.oci.digest import Digest
from naru.oci.image import INDEXES, MANIFEST_LIMIT_BYTES, MANIFESTS, OCI_INDEX, Descriptor, Index, load_json
from naru.oci.reference import Reference
from naru.remote import pull, push
from naru.remote.answers import ERROR_LIMIT_BYTES, Limited, clean, refusal, retry_after_s
from naru.remote.auth import repository_scope
from naru.remote.hosts import Endpoint, RegistryConfig
from naru.remote.tokens import Key
from naru.remote.transport import Answer, Limits, Request, Server, Transport

USER_AGENT = f"naru-hub/{__version__}"
_ACCEPT = ", ".join((*MANIFESTS, *INDEXES))
_LIST_BYTES = 16 << 20
_PAGES, _LISTED, _NAME_CHARACTERS = 10_000, 1_000_000, 512
_NEXT = re.compile(r'<([^<>]*)>[^<]*?;\s*rel="?next\b', re.IGNORECASE)  # RFC 8288, 3
# of one who has a copy of what it asks for: one short second try, and no waiting; what broke half-way is taken up again
IMPATIENT = Limits(connect_s=5.0, answer_s=20.0, linger_s=0.1, retries=3, retry_after_s=0.3)


@dataclass(frozen=True, slots=True)
class Head:
    """What is known of a manifest without its bytes; `digest` None: the registry does not say."""

    media_type: str
    digest: Digest | None


@dataclass(frozen=True, slots=True)
class Fetched:
    media_type: str
    digest: Digest
    raw: bytes


@dataclass(frozen=True, slots=True)
class _Alone(RegistryConfig):
    """One registry, by exactly the scheme that was said; a certificate must be good."""

    endpoint: Endpoint = field(default_factory=lambda: Endpoint(""))

    def endpoints(self, host: str, *, push: bool) -> tuple[Endpoint, ...]:
        return (self.endpoint,)


class Remote:
    """Use it in an `async with`, or `close` it. All verbs raise NotFound, Forbidden (not allowed there), Unavailable (`answers.Limited` for
    429), DataLoss for bytes that are not what they should be."""

    def __init__(self, place: Place, allow_private: bool, limits: Limits | None = None) -> None:
        """Raises InvalidArgument."""
        url = URL(registry_url(place.url))
        self.host = url.raw_authority
        self._credentials = place.credentials
        self._allow_private = allow_private
        config = _Alone(endpoint=Endpoint(self.host, (url.scheme,)))
        self._transport = Transport(config, USER_AGENT, limits or Limits(), check=self._check)

    async def __aenter__(self) -> Remote:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._transport.close()

    def _check(self, address: str) -> None:
        bare = address.partition("%")[0]
        try:
            check_target(f"http://[{bare}]/" if ":" in bare else f"http://{bare}/", [address], self._allow_private)
        except Forbidden as error:
            raise Forbidden(str(error).partition(": ")[2]) from error

    def _ref(self, path: str, reference: str | Digest = "") -> Reference:
        if isinstance(reference, Digest):
            return Reference(self.host, path, None, reference)
        return Reference(self.host, path, reference or None)

    # reading

    async def head(self, path: str, reference: str | Digest) -> Head:
        """What a tag names; Docker Hub does not count this as a pull."""
        answer = await self._manifest("HEAD", path, reference)
        stated = answer.headers.get("docker-content-digest")
        return Head(_media_type(answer), Digest.parse(stated) if stated else None)

    async def manifest(self, path: str, reference: str | Digest) -> Fetched:
        """Verified, as far as there is something to verify it with. Raises also InvalidArgument for a media type nobody knows."""
        answer = await self._manifest("GET", path, reference)
        stated = answer.headers.get("docker-content-digest")
        digest = reference if isinstance(reference, Digest) else Digest.parse(stated) if stated else None
        digest = digest or Digest.of(answer.body)
        if (found := Digest.of(answer.body, digest.algorithm)) != digest:
            raise DataLoss(f"{self.host}/{path}: manifest {digest}: the bytes have digest {found}")
        media_type = _media_type(answer)
        if media_type not in (*MANIFESTS, *INDEXES):
            raise InvalidArgument(f"{self.host}/{path}: unsupported media type {clean(media_type, 200)!r}")
        return Fetched(media_type, digest, answer.body)

    async def _manifest(self, method: str, path: str, reference: str | Digest) -> Answer:
        return await self._ask(
            method, f"{path}/manifests/{reference}", repository_scope(path), MANIFEST_LIMIT_BYTES, {"Accept": _ACCEPT}
        )

    async def blob_size(self, path: str, digest: Digest) -> int:
        answer = await self._ask("HEAD", f"{path}/blobs/{digest}", repository_scope(path), 0)
        length = answer.headers.get("content-length", "")
        if not (length.isascii() and length.isdigit() and len(length) < 17):
            raise Unavailable(f"{self.host}/{path}: does not say how large blob {digest} is")
        return int(length)

    async def fetch_blob(
        self, path: str, descriptor: Descriptor, sink: pull.Growing, on_bytes: Callable[[int], None]
    ) -> None:
        """All of it is in the sink when this returns; the digest is the caller's to verify."""
        with _translated(self.host):
            await pull.fetch_blob(self._transport, self._ref(path), descriptor, sink, on_bytes, self._credentials)

    async def referrers(self, path: str, digest: Digest) -> list[Descriptor]:
        """Nothing, where the registry has nothing to say; one that does not know the question has them under a tag, perhaps
        (distribution-spec "Referrers Tag Schema")."""
        for place in (f"referrers/{digest}", f"manifests/{digest.algorithm}-{digest.hex[:64]}"):
            try:
                found: list[Descriptor] = []
                async for answer in self._pages(f"{path}/{place}", repository_scope(path), "", {"Accept": OCI_INDEX}):
                    found += Index.parse(answer.body).manifests
                    self._check_count(len(found), path)
                return found
            except (NotFound, InvalidArgument, Unsupported):
                continue
        return []

    async def tags(self, path: str) -> list[str]:
        return await self._list(f"{path}/tags/list", "tags", repository_scope(path))

    async def tags_page(self, path: str, limit: int, after: str) -> tuple[list[str], str]:
        """At most so many (as far as the registry heeds that) after this one, and what to go on after, "" at the end."""
        query = urlencode({"n": str(limit), **({"last": after} if after else {})})
        answer = await self._ask("GET", f"{path}/tags/list?{query}", repository_scope(path), _LIST_BYTES)
        found, following = self._names(answer, "tags"), _next_page(answer)
        return found, (dict(parse_qsl(following)).get("last") or found[-1]) if following and found else ""

    async def repositories(self) -> list[str]:
        """All that the catalog shows."""
        return await self._list("_catalog", "repositories", "registry:catalog:*")

    async def _list(self, path: str, field_name: str, scope: str) -> list[str]:
        found: list[str] = []
        async for answer in self._pages(path, scope, urlencode({"n": 1000})):
            names = self._names(answer, field_name)
            found += names
            self._check_count(len(found), path)
            if not names:
                break
        return found

    def _names(self, answer: Answer, field_name: str) -> list[str]:
        names = load_json(answer.body, f"{self.host}: {field_name}").get(field_name) or []
        if not isinstance(names, list) or not all(map(_is_name, names)):
            raise InvalidArgument(f"{self.host}: {field_name} is no list of names")
        return names

    async def _pages(
        self, path: str, scope: str, query: str, headers: dict[str, str] | None = None
    ) -> AsyncIterator[Answer]:
        """A list, as far as the registry says that it goes on. Raises InvalidArgument if that is for ever."""
        for _ in range(_PAGES):
            answer = await self._ask("GET", f"{path}?{query}" if query else path, scope, _LIST_BYTES, headers)
            yield answer
            query = _next_page(answer)
            if not query:
                return
        self._check_count(_LISTED + 1, path)

    def _check_count(self, listed: int, path: str) -> None:
        if listed > _LISTED:
            raise InvalidArgument(f"{self.host}/{path}: the list has no end")

    # writing

    async def push_blob(
        self,
        path: str,
        descriptor: Descriptor,
        open_blob: Callable[[], int | push.Readable],
        on_bytes: Callable[[int], None],
        mount_from: str = "",
    ) -> str:
        """How it came there: "exists", "mounted" or "pushed". `open_blob` must not block."""
        source = self._ref(mount_from) if mount_from else None
        with _translated(self.host):
            return await push.push_blob(
                self._transport, self._ref(path), descriptor, open_blob, on_bytes, self._credentials, source
            )

    async def push_manifest(self, path: str, reference: str | Digest, media_type: str, raw: bytes) -> None:
        with _translated(self.host):
            await push.push_manifest(self._transport, self._ref(path, reference), raw, media_type, self._credentials)

    # asking

    async def _server(self) -> Server:
        (endpoint,) = self._transport.config.endpoints(self.host, push=False)
        return await self._transport.server(endpoint)

    async def _ask(
        self, method: str, path: str, scope: str, limit_bytes: int, headers: dict[str, str] | None = None
    ) -> Answer:
        with _translated(self.host):
            server = await self._server()
            key = Key(server.url, (scope,), self._credentials)
            request = Request(method, server.repository(path), key, headers or {})
            answer = await self._transport.small(server, request, limit_bytes if method == "GET" else 0)
            if answer.status != 200:
                raise _refused(answer, str(request))
            return answer


def _media_type(answer: Answer) -> str:
    return answer.headers.get("content-type", "").partition(";")[0].strip().lower()


def _next_page(answer: Answer) -> str:
    """The query of the Link header's rel="next", "" if there is none: where it leads is the path that was asked, whatever it says."""
    found = _NEXT.search(answer.headers.get("link", ""))
    return found[1].partition("?")[2] if found else ""


def _is_name(value: object) -> bool:
    """It may be one: no registry has one that is longer, or half a character."""
    return isinstance(value, str) and len(value) <= _NAME_CHARACTERS and value.isprintable()


def _refused(answer: Answer, what: str) -> NaruError:
    error = refusal(answer.status, answer.body[:ERROR_LIMIT_BYTES], what)
    if isinstance(error, Limited):
        wished = retry_after_s(answer.headers.get("retry-after", ""), time.time())
        error.retry_after = str(int(wished)) if wished is not None else ""
    return error


@contextmanager
def _translated(host: str) -> Iterator[None]:
    """One who is not known there is not allowed; whatever else the client says in Docker's words is a registry that is not available."""
    try:
        yield
    except Unauthenticated as error:
        raise Forbidden(f"{host}: {error}") from error
    except Internal as error:
        raise Unavailable(str(error)) from error
