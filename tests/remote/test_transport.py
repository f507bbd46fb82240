"""Authorization, redirects, patience: what `transport` and `tokens` promise, over real sockets."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from handmade import FAST, RawServer, Seen, client, layer, reply

from naru.content.blobs import ContentStore
from naru.errors import Forbidden, Internal, NaruError, Unauthenticated, Unavailable
from naru.oci.digest import Digest
from naru.oci.image import OCI_MANIFEST
from naru.oci.reference import parse
from naru.registry.server import Settings, running
from naru.remote.auth import Credentials
from naru.remote.hosts import RegistryConfig
from naru.remote.tokens import Key
from naru.remote.transport import Request, Transport

BODY = b'{"schemaVersion":2}'
ME = Credentials("me", "hush")
OK = reply(200, BODY, content_type=OCI_MANIFEST)


def basic(request: Seen) -> bytes:
    return OK if request.authorization == ME.basic() else reply(401, www_authenticate='Basic realm="r"')


def resolve(answer: Callable[[Seen], bytes], credentials: Credentials | None, times: int = 1) -> list[Seen]:
    async def main() -> list[Seen]:
        async with RawServer(answer) as server, client() as registry:
            for _ in range(times):
                await registry.resolve(parse(f"{server.host}/a:1"), credentials)
            return server.seen

    return asyncio.run(main())


def test_basic_is_sent_when_asked_for_and_remembered() -> None:
    assert [s.authorization for s in resolve(basic, ME, times=2)] == ["", ME.basic(), ME.basic()]


@pytest.mark.parametrize(
    ("credentials", "text"),
    [(None, "no basic auth credentials"), (Credentials("me", "wrong"), "unauthorized: authentication required")],
)
def test_basic_refused(credentials: Credentials | None, text: str) -> None:
    with pytest.raises(Unauthenticated, match=text):
        resolve(basic, credentials)


def test_a_registry_token_is_sent_as_it_is() -> None:
    seen = resolve(lambda _: OK, Credentials(registry_token="abc"))
    assert [s.authorization for s in seen] == ["Bearer abc"]


class TokenServer(RawServer):
    """A registry that wants `Bearer good`, and its token server on another port."""

    def __init__(self, token_answer: Callable[[Seen], bytes]) -> None:
        super().__init__(self.registry)
        self.tokens = RawServer(token_answer)

    async def __aenter__(self) -> TokenServer:
        await self.tokens.__aenter__()
        await super().__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await super().__aexit__(*exc)
        await self.tokens.__aexit__(*exc)

    def registry(self, request: Seen) -> bytes:
        if request.authorization == "Bearer good":
            return OK
        challenge = f'Bearer realm="{self.tokens.url}/token?x=1",service="reg",scope="repository:a:pull"'
        return reply(401, {"errors": [{"code": "UNAUTHORIZED"}]}, www_authenticate=challenge)


GOOD = reply(200, {"token": "good", "expires_in": 300})


def with_tokens(
    token_answer: Callable[[Seen], bytes], credentials: Credentials | None, times: int = 1
) -> tuple[list[Seen], list[Seen]]:
    async def main() -> tuple[list[Seen], list[Seen]]:
        async with TokenServer(token_answer) as server, client() as registry:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(times):
                    tasks.create_task(registry.resolve(parse(f"{server.host}/a:1"), credentials))
            return server.seen, server.tokens.seen

    return asyncio.run(main())


@pytest.mark.parametrize("credentials", [None, ME])
def test_a_token_is_fetched_once_for_all_who_wait_for_it(credentials: Credentials | None) -> None:
    _, asked = with_tokens(lambda _: GOOD, credentials, times=5)
    (request,) = asked
    query = parse_qs(urlsplit(request.target).query)
    assert query["x"] == ["1"] and query["service"] == ["reg"] and query["scope"] == ["repository:a:pull"]
    assert request.authorization == (credentials.basic() if credentials else "")
    assert query.get("account") == (["me"] if credentials else None)


def test_an_identity_token_is_exchanged_by_post() -> None:
    _, (request,) = with_tokens(lambda _: GOOD, Credentials("<token>", identity_token="refresh me"))
    form = parse_qs(request.body.decode())
    assert request.method == "POST" and not request.authorization
    assert form["grant_type"] == ["refresh_token"] and form["refresh_token"] == ["refresh me"]


@pytest.mark.parametrize(
    ("token_answer", "kind", "text"),
    [
        (reply(401, {"details": "incorrect username or password"}), Unauthenticated, "incorrect username or password"),
        (reply(200, {}), Unauthenticated, "did not include a token"),
        (reply(200, b"x" * (1 << 20) + b"x"), Unavailable, "larger than"),
        (reply(500), Unavailable, "unexpected status code 500"),
        (reply(302, location="http://169.254.169.254/"), Unavailable, "unexpected status code 302"),
        (reply(200, {"token": "bad"}), NaruError, "unauthorized"),
    ],
)
def test_bad_token_servers(token_answer: bytes, kind: type[NaruError], text: str) -> None:
    def refuse(group: BaseException) -> BaseException:
        return group.exceptions[0] if isinstance(group, ExceptionGroup) else group

    with pytest.raises(ExceptionGroup) as caught:
        with_tokens(lambda _: token_answer, ME)
    error = refuse(caught.value)
    assert isinstance(error, kind) and text in str(error)


def test_credentials_do_not_go_to_a_realm_of_another_site() -> None:
    challenge = 'Bearer realm="http://collector.example/token",service="s"'
    with pytest.raises(Forbidden, match=r"collector\.example, another site"):
        resolve(lambda _: reply(401, www_authenticate=challenge), ME)


def test_redirects_are_followed_without_authorization() -> None:
    async def main() -> None:
        async with RawServer(lambda _: OK) as store:

            def registry(request: Seen) -> bytes:
                return (
                    basic(request) if basic(request) != OK else reply(307, location=f"{store.url}/blob%2Fx?sig=a%2Bb")
                )

            async with RawServer(registry) as server, client() as opened:
                _, body = await opened.resolve(parse(f"{server.host}/a:1"), ME)
                assert body == BODY
            assert [s.target for s in store.seen] == ["/blob%2Fx?sig=a%2Bb"]  # signatures do not survive a re-encoding
            assert not store.seen[0].authorization and "cookie" not in store.seen[0].headers

    asyncio.run(main())


@pytest.mark.parametrize(
    ("location", "text"),
    [
        ("/again", "stopped after 5 redirects"),
        ("file:///etc/passwd", "invalid location"),
        ("http://[bad", "invalid location"),
        ("http://h:port/", "invalid location"),
        ("http://h:99999/", "invalid location"),
    ],
)
def test_redirects_that_lead_nowhere(location: str, text: str) -> None:
    with pytest.raises(Unavailable, match=text):
        resolve(lambda _: reply(302, location=location), None)


def test_429_is_waited_for() -> None:
    answers = [reply(429, retry_after="0"), reply(503), OK]
    assert len(resolve(lambda _: answers.pop(0), None)) == 3


def test_429_for_too_long_or_too_often_is_told() -> None:
    body = {"errors": [{"code": "TOOMANYREQUESTS", "message": "You have reached your pull rate limit"}]}
    with pytest.raises(Unavailable, match="toomanyrequests: You have reached your pull rate limit"):
        resolve(lambda _: reply(429, body, retry_after="3600"), None)
    with pytest.raises(Unavailable, match="toomanyrequests"):
        resolve(lambda _: reply(429, body, retry_after="0"), None)


def test_foreign_layer_urls_are_not_followed(content: ContentStore) -> None:
    """The descriptor a blob is fetched by has no place for them: one request, to the registry."""

    async def main() -> None:
        async with RawServer(lambda _: reply(404)) as server, client() as registry:
            with content.ingest() as ingest, pytest.raises(NaruError):
                await registry.fetch_blob(parse(f"{server.host}/a"), layer(b"x"), ingest, lambda n: None, None)
            assert [s.target for s in server.seen] == [f"/v2/a/blobs/{Digest.of(b'x')}"]

    asyncio.run(main())


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    openssl = shutil.which("openssl")
    assert openssl is not None
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    command = [
        openssl,
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=x",
    ]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def test_schemes(tls: ssl.SSLContext) -> None:
    """A loopback registry may speak TLS with any certificate; once insecure registries are listed, it must be a good one."""

    async def manifest(request: web.Request) -> web.Response:
        return web.Response(body=BODY, headers={"Content-Type": OCI_MANIFEST})

    async def main() -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", manifest)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        ref = parse(f"127.0.0.1:{runner.addresses[0][1]}/a:1")
        try:
            async with client() as registry:
                assert (await registry.resolve(ref, None))[1] == BODY
            async with client(RegistryConfig(insecure=())) as registry:
                with pytest.raises(Internal, match="tls: failed to verify certificate: x509"):
                    await registry.resolve(ref, None)
        finally:
            await runner.cleanup()

    asyncio.run(main())


def test_a_plain_registry_is_refused_where_tls_is_a_must(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            running(Settings("127.0.0.1:0", str(tmp_path))) as served,
            client(RegistryConfig(insecure=())) as registry,
        ):
            with pytest.raises(Internal, match="http: server gave HTTP response to HTTPS client"):
                await registry.resolve(parse(f"{served.address}/a:1"), None)

    asyncio.run(main())


def test_a_peer_that_drips_is_not_waited_for_by_who_takes_what_there_is() -> None:
    """Each byte is passed on as it comes, and still a piece has only its time."""

    async def drip() -> AsyncIterator[bytes]:
        yield reply(200, content_length="1000")
        for _ in range(1000):
            yield b"x"
            await asyncio.sleep(0.05)

    async def main() -> None:
        limits = replace(FAST, piece_s=0.5, linger_s=0.01)
        async with RawServer(lambda _: drip()) as server:
            transport = Transport(RegistryConfig(), "naru-test", limits)
            at = await transport.server(transport.config.endpoints(server.host, push=False)[0])
            request = Request("GET", at.repository("a/blobs/x"), Key(at.url, (), None))
            taken = []
            begun_s = asyncio.get_running_loop().time()
            try:
                with pytest.raises(Unavailable):
                    async with transport.exchange(at, request) as response:
                        async for piece in transport.pieces(response, request):
                            taken.append(piece)
            finally:
                await transport.close()
            assert len(taken) > 3 and asyncio.get_running_loop().time() - begun_s < 5

    asyncio.run(main())
