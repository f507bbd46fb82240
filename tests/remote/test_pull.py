from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from handmade import FAST, RawServer, Seen, client, layer, reply

from naru.content.blobs import ContentStore, Ingest
from naru.errors import DataLoss, Internal, InvalidArgument, NaruError, NotFound, Unavailable, Unsupported
from naru.oci.digest import Digest
from naru.oci.image import OCI_MANIFEST, Descriptor
from naru.oci.reference import parse
from naru.remote.auth import Credentials
from naru.remote.hosts import RegistryConfig
from naru.remote.transport import Limits

BODY = b'{"schemaVersion":2}'
DATA = bytes(range(256)) * 12_000  # 3 MB


def manifest(body: bytes = BODY, **headers: str) -> bytes:
    return reply(200, body, **{"content_type": OCI_MANIFEST, **headers})


def resolve(
    answer: Callable[[Seen], bytes | AsyncIterator[bytes]], suffix: str = ":1", limits: Limits = FAST
) -> tuple[Descriptor, bytes]:
    async def main() -> tuple[Descriptor, bytes]:
        async with RawServer(answer) as server, client(limits=limits) as registry:
            return await registry.resolve(parse(f"{server.host}/a/b{suffix}"), None)

    return asyncio.run(main())


def fetch(
    content: ContentStore, answer: Callable[[Seen], bytes | AsyncIterator[bytes]], descriptor: Descriptor | None = None
) -> list[Seen]:
    async def main() -> list[Seen]:
        counted: list[int] = []
        wanted = descriptor or layer(DATA)
        async with RawServer(answer) as server, client() as registry:
            with content.ingest() as ingest:
                await registry.fetch_blob(parse(f"{server.host}/a/b"), wanted, ingest, counted.append, None)
                ingest.commit(wanted.digest, wanted.size, durable=False)
            assert sum(counted) == wanted.size
            return server.seen

    return asyncio.run(main())


def test_a_manifest_is_resolved_with_all_media_types_accepted() -> None:
    seen: list[Seen] = []

    def answer(request: Seen) -> bytes:
        seen.append(request)
        return manifest(docker_content_digest=Digest.of(BODY))

    assert resolve(answer) == (Descriptor(OCI_MANIFEST, Digest.of(BODY), len(BODY)), BODY)
    assert seen[0].target == "/v2/a/b/manifests/1"
    assert seen[0].headers["accept"].count("vnd.") == 4


@pytest.mark.parametrize(
    ("answer", "suffix", "kind", "text"),
    [
        (manifest(docker_content_digest=Digest.of(b"other")), ":1", DataLoss, "expected digest"),
        (manifest(), f"@{Digest.of(b'other')}", DataLoss, "expected digest"),
        (manifest(docker_content_digest="sha256:../x"), ":1", InvalidArgument, "invalid checksum digest format"),
        (manifest(b"x" * (4 << 20) + b"x"), ":1", Unavailable, "larger than"),
        (manifest(content_type="text/html"), ":1", Unsupported, "media type"),
        (manifest(content_length="100"), ":1", Unavailable, "unexpected EOF"),
        (reply(404, {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}), ":nope", NotFound, 'failed to resolve reference ".*/a/b:nope": .*/a/b:nope: not found'),
        (reply(500, b"x"), ":1", Unavailable, "unexpected status code 500"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", ":1", Unavailable, "malformed HTTP response"),
        (b"", ":1", Unavailable, "unexpected EOF"),
    ],
)  # fmt: skip
def test_bad_manifests_are_refused(answer: bytes, suffix: str, kind: type[NaruError], text: str) -> None:
    with pytest.raises(kind, match=text):
        resolve(lambda _: answer, suffix)


def test_an_endless_or_dripping_manifest_ends() -> None:
    async def endless(_: Seen) -> AsyncIterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Type: x/y\r\n\r\n"
        while True:
            yield b"x" * 65536

    async def silent(_: Seen) -> AsyncIterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nx"
        await asyncio.Event().wait()

    with pytest.raises(Unavailable, match="larger than"):
        resolve(endless)
    with pytest.raises(Unavailable, match="deadline exceeded"):
        resolve(silent, limits=Limits(answer_s=0.05, retries=0))


def test_a_host_where_nobody_listens() -> None:
    async def main() -> None:
        async with client() as registry:
            await registry.resolve(parse("127.0.0.1:9/x:1"), None)

    with pytest.raises(Internal) as caught:
        asyncio.run(main())
    assert str(caught.value) == (
        'failed to resolve reference "127.0.0.1:9/x:1": failed to do request: '
        'Head "https://127.0.0.1:9/v2/x/manifests/1": dial tcp 127.0.0.1:9: connect: connection refused'
    )


def test_a_token_server_that_is_not_there_is_told_as_such() -> None:
    challenge = reply(401, www_authenticate='Bearer realm="http://127.0.0.1:9/token",service="s"')
    with pytest.raises(Internal, match=r'failed to do request: Get "http://127.0.0.1:9/token": dial tcp 127.0.0.1:9'):
        resolve(lambda _: challenge)


def test_a_blob_is_fetched(content: ContentStore) -> None:
    assert len(fetch(content, lambda _: reply(200, DATA))) == 1
    assert content.read(Digest.of(DATA), 1 << 30) == DATA
    fetch(content, lambda _: reply(200, b""), layer(b""))


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (reply(200, DATA[::-1]), DataLoss, "the bytes have digest"),
        (reply(200, DATA[:-1]), DataLoss, "the registry has 3071999 bytes, expected 3072000"),
        (reply(200, DATA + b"x"), DataLoss, "the registry has 3072001 bytes"),
        (reply(200, DATA[:100], content_length=str(len(DATA))), Unavailable, "EOF"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + DATA + b"x", DataLoss, "more than the expected"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + DATA[:100], Unavailable, "got 100 of 3072000"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", Unavailable, "EOF|malformed"),
        (reply(206, DATA, content_range="bytes 5-10/20"), DataLoss, "another range"),
        (reply(404), NotFound, "blob unknown"),
        (reply(416), DataLoss, "fewer"),
    ],
)  # fmt: skip
def test_lies_about_blobs_leave_nothing(
    content: ContentStore, left_overs: Callable[[], list[str]], answer: bytes, kind: type[NaruError], text: str
) -> None:
    with pytest.raises(kind, match=text):
        fetch(content, lambda _: answer)
    assert left_overs() == []


def test_an_endless_blob_ends(content: ContentStore, left_overs: Callable[[], list[str]]) -> None:
    async def endless(_: Seen) -> AsyncIterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n\r\n"
        while True:
            yield b"x" * 65536

    with pytest.raises(DataLoss, match="more than"):
        fetch(content, endless)
    assert left_overs() == []


def start_of(request: Seen) -> int:
    return int(request.headers.get("range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))


def test_a_broken_blob_is_resumed_where_it_broke(content: ContentStore) -> None:
    breaks = [700_000, 1_500_000, 2_000_000, len(DATA)]

    async def answer(request: Seen) -> AsyncIterator[bytes]:
        start, end = start_of(request), breaks.pop(0)
        content_range = f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"
        yield reply(206 if start else 200, content_length=str(len(DATA) - start), content_range=content_range)
        for at in range(start, end, 50_000):
            yield DATA[at : min(at + 50_000, end)]
            await asyncio.sleep(0)  # the client's turn: bytes still in a socket when it closes may be lost

    first, *resumed = [start_of(request) for request in fetch(content, answer)]
    assert first == 0 and resumed == sorted(resumed) and resumed[0] > 0
    assert all(start <= end for start, end in zip(resumed, (700_000, 1_500_000, 2_000_000), strict=True))


def test_a_registry_without_ranges_sends_it_all_again(content: ContentStore) -> None:
    answers = [reply(200, DATA[:2_000_000], content_length=str(len(DATA))), reply(200, DATA)]
    assert len(fetch(content, lambda _: answers.pop(0))) == 2


def test_a_full_disk_is_told_as_such(content: ContentStore) -> None:
    class Full(Ingest):
        def write(self, data: bytes | memoryview) -> None:
            raise OSError(28, "No space left on device")

    async def main() -> None:
        async with RawServer(lambda _: reply(200, DATA)) as server, client() as registry:
            with Full(content, "sha256") as ingest:
                await registry.fetch_blob(parse(f"{server.host}/a"), layer(DATA), ingest, lambda n: None, None)

    with pytest.raises(Unavailable, match=r"failed to write blob .*: no space left on device"):
        asyncio.run(main())


def test_a_blob_that_always_breaks_is_given_up(content: ContentStore) -> None:
    seen: list[Seen] = []

    def answer(request: Seen) -> bytes:
        seen.append(request)
        start = start_of(request)
        content_range = f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"
        return reply(206, DATA[start : start + 1], content_length=str(len(DATA) - start), content_range=content_range)

    with pytest.raises(Unavailable, match="EOF"):
        fetch(content, answer)
    assert len(seen) == FAST.retries + 1


def test_mirrors_are_asked_first_without_credentials_and_may_fail(content: ContentStore) -> None:
    secret = Credentials("me", "hush")

    async def main() -> None:
        def origin_answer(request: Seen) -> bytes:
            if not request.authorization:
                return reply(401, www_authenticate="Basic realm=x")
            return manifest() if "manifests" in request.target else reply(200, DATA)

        asks = reply(401, www_authenticate="Basic realm=x")
        async with (
            RawServer(lambda _: reply(404)) as empty,
            RawServer(lambda _: asks) as closed,
            RawServer(origin_answer) as origin,
        ):
            config = RegistryConfig(
                mirrors=(empty.host, f"http://{closed.host}", "127.0.0.1:9"), default_registry=origin.host
            )
            async with client(config) as registry:
                descriptor, _ = await registry.resolve(parse("alpine"), secret)
                assert descriptor.digest == Digest.of(BODY)
                with content.ingest() as ingest:
                    await registry.fetch_blob(parse("alpine"), layer(DATA), ingest, lambda n: None, secret)
                    ingest.commit(layer(DATA).digest, durable=False)
            assert next(s.target for s in empty.seen) == "/v2/library/alpine/manifests/latest"
            assert not any(s.authorization for s in (*empty.seen, *closed.seen))
            assert origin.seen[-1].authorization == secret.basic()

    asyncio.run(main())


def test_a_mirrors_not_found_counts_where_the_registry_cannot_be_reached() -> None:
    async def main() -> None:
        async with RawServer(lambda _: reply(404)) as empty:
            for mirrors, error in (((empty.host, "127.0.0.1:9"), NotFound), (("127.0.0.1:9",), Internal)):
                async with client(RegistryConfig(mirrors=mirrors, default_registry="127.0.0.1:9")) as registry:
                    with pytest.raises(error):
                        await registry.resolve(parse("alpine:3"), None)

    asyncio.run(main())
