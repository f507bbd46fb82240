"""The registry client as the layers above see it: one object, eight verbs, no HTTP.

`transport`, `pull`, `push`, `login` and `search` do the work and are imported at the first verb: they load aiohttp (about 0.2 s),
which a daemon that starts must not wait for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING

from naru.content.blobs import Ingest
from naru.oci.digest import Digest
from naru.oci.image import Descriptor
from naru.oci.reference import Reference
from naru.remote.auth import Credentials
from naru.remote.hosts import RegistryConfig

if TYPE_CHECKING:
    from naru.remote.transport import Limits, Transport


class RegistryClient:
    """Talks to all registries of one configuration; any number of verbs at a time, on one event loop.

    Use it in an `async with`, or `close` it. `credentials` are those for the reference's own host (or None): they reach
    neither mirrors nor hosts that the registry redirects to.
    """

    def __init__(self, config: RegistryConfig, user_agent: str, *, limits: Limits | None = None) -> None:
        self.config = config
        self._user_agent = user_agent
        self._limits = limits
        self._opened: Transport | None = None

    async def __aenter__(self) -> RegistryClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """All connections are closed; the next verb would open new ones."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.close()

    def configure(self, config: RegistryConfig) -> None:
        """From the next question on. What is under way goes on with the hosts it has chosen."""
        self.config = config
        if self._opened is not None:
            self._opened.config = config
            self._opened.limits = replace(self._opened.limits, retries=config.retries)

    def _transport(self) -> Transport:
        if self._opened is None:
            from naru.remote.transport import Limits, Transport  # noqa: PLC0415 - see the module's docstring

            self._opened = Transport(self.config, self._user_agent, self._limits or Limits(retries=self.config.retries))
        return self._opened

    async def resolve(self, ref: Reference, credentials: Credentials | None) -> tuple[Descriptor, bytes]:
        """The manifest or index that ref names, by digest if it has one, and a descriptor true to its bytes.

        Raises NotFound, Unauthenticated, Unavailable, Unsupported (media type); DataLoss for bytes of another digest;
        Internal if no connection comes about, as in Docker.
        """
        from naru.remote import pull  # noqa: PLC0415

        return await pull.resolve(self._transport(), ref, credentials)

    async def inspect(self, ref: Reference, credentials: Credentials | None) -> Descriptor:
        """What ref names in its registry, for those who only want to look. Raises as `resolve`, in fewer words: those of
        Docker's /distribution."""
        from naru.remote import pull  # noqa: PLC0415

        return await pull.inspect(self._transport(), ref, credentials)

    async def search(self, term: str, limit: int, credentials: Credentials | None) -> list[dict[str, object]]:
        """Repositories that match `term`, or `host/term` on that host, as rows of Docker's /images/search: name,
        description, is_official, is_automated, star_count. `credentials` are those for the host searched.

        Raises InvalidArgument (limit is 1 to 100), NotFound for a registry without search, Unauthenticated, Unavailable;
        Internal if no connection comes about, as in Docker.
        """
        from naru.remote import search  # noqa: PLC0415

        return await search.search(self._transport(), term, limit, credentials)

    async def fetch_manifest(
        self, ref: Reference, digest: Digest, media_type: str, credentials: Credentials | None
    ) -> bytes:
        """The manifest with this digest in ref's repository, verified. Raises as `resolve`; InvalidArgument for another
        media type."""
        from naru.remote import pull  # noqa: PLC0415

        return await pull.fetch_manifest(self._transport(), ref, digest, media_type, credentials)

    async def fetch_blob(
        self,
        ref: Reference,
        descriptor: Descriptor,
        ingest: Ingest,
        on_bytes: Callable[[int], None],
        credentials: Credentials | None,
    ) -> None:
        """Exactly descriptor.size bytes are in ingest when this returns; the caller commits, which verifies the digest.

        `on_bytes(n)`: n more bytes have arrived. Broken connections are resumed a bounded number of times.
        Raises NotFound, Unauthenticated, Unavailable; DataLoss for more or fewer bytes than stated.
        """
        from naru.remote import pull  # noqa: PLC0415

        await pull.fetch_blob(self._transport(), ref, descriptor, ingest, on_bytes, credentials)

    async def push_blob(
        self,
        ref: Reference,
        descriptor: Descriptor,
        open_blob: Callable[[], int],
        on_bytes: Callable[[int], None],
        credentials: Credentials | None,
        mount_from: Reference | None,
    ) -> str:
        """The blob is in ref's repository when this returns how: "exists", "mounted" or "pushed".

        `open_blob` gives a fresh descriptor for each attempt, closed here. `on_bytes(n)`: n more bytes were sent, negative
        when a broken upload begins again. Raises Unauthenticated, Forbidden, Unavailable, DataLoss.
        """
        from naru.remote import push  # noqa: PLC0415

        return await push.push_blob(self._transport(), ref, descriptor, open_blob, on_bytes, credentials, mount_from)

    async def push_manifest(
        self, ref: Reference, raw: bytes, media_type: str, credentials: Credentials | None
    ) -> Digest:
        """The manifest is in ref's repository, under ref's tag if it has one, when this returns its digest.

        Raises Unauthenticated, Forbidden, Unavailable; InvalidArgument if ref has a digest that is not raw's.
        """
        from naru.remote import push  # noqa: PLC0415

        return await push.push_manifest(self._transport(), ref, raw, media_type, credentials)

    async def check_login(self, host: str, credentials: Credentials) -> str:
        """The identity token that may be kept instead of the password, or "". `host` is any server address of Docker's
        configuration. Raises Unauthenticated if the registry refuses the credentials; Unavailable, InvalidArgument;
        Internal if no connection comes about, as in Docker."""
        from naru.remote import login  # noqa: PLC0415

        return await login.check_login(self._transport(), host, credentials)
