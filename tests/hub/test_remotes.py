"""What a hub asks of another registry, and where that may lead it."""

from __future__ import annotations

import asyncio
import datetime
import os
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from handmade import Answer, RawServer, Seen, reply
from shelf import Shelf, until

from naru.errors import DataLoss, Forbidden, InvalidArgument, NotFound, Unavailable
from naru.hub.peers.remotes import IMPATIENT, Remote
from naru.hub.places import Place
from naru.oci.digest import Digest
from naru.oci.image import OCI_INDEX, OCI_LAYER, OCI_MANIFEST, Descriptor
from naru.registry.server import Settings, running
from naru.remote.answers import Limited
from naru.remote.transport import Limits

MIB = 1 << 20


class Kept:
    """A sink."""

    def __init__(self) -> None:
        self.data = bytearray()

    @property
    def size_bytes(self) -> int:
        return len(self.data)

    def write(self, data: bytes | memoryview) -> None:
        self.data += data


def layer(data: bytes) -> Descriptor:
    return Descriptor(OCI_LAYER, Digest.of(data), len(data))


@pytest.mark.parametrize(
    ("location", "allow_private", "text"),
    [
        ("http://169.254.169.254/latest/meta-data", True, "link-local"),
        ("http://[::ffff:169.254.169.254]/", True, "link-local"),
        ("http://[fd00:ec2::254]/", True, "cloud"),
        ("http://0.0.0.0:1/", True, "this host"),
        ("file:///etc/passwd", True, "invalid location"),
    ],
)
async def test_where_a_redirect_does_not_lead(location: str, allow_private: bool, text: str) -> None:
    async with RawServer(lambda _: reply(307, location=location)) as server:
        async with Remote(Place(server.url), allow_private, IMPATIENT) as remote:
            with pytest.raises((Unavailable, Forbidden), match=text):
                await remote.manifest("a", "1")


async def test_a_registry_in_the_hubs_own_network() -> None:
    async with RawServer(lambda _: reply(200)) as server:
        for host in (server.host, server.host.replace("127.0.0.1", "localhost")):
            async with Remote(Place(f"http://{host}"), False, IMPATIENT) as remote:
                with pytest.raises(Unavailable, match="loopback"):
                    await remote.head("a", "1")
        assert server.seen == []


async def test_a_redirect_goes_without_the_password() -> None:
    blob = os.urandom(1000)
    async with RawServer(lambda _: reply(200, blob)) as store:

        def registry(seen: Seen) -> Answer:
            if not seen.authorization:
                return reply(401, www_authenticate='Basic realm="x"')
            return reply(307, location=f"http://localhost:{store.host.partition(':')[2]}/presigned?key=1")

        async with RawServer(registry) as server, Remote(Place(server.url, "me", "secret"), True) as remote:
            kept = Kept()
            await remote.fetch_blob("a", layer(blob), kept, lambda _: None)
            assert bytes(kept.data) == blob
            assert store.seen[0].authorization == "" and server.seen[-1].authorization.startswith("Basic ")


async def test_a_token_server_of_another_site_does_not_see_the_password() -> None:
    def registry(_: Seen) -> Answer:
        return reply(401, www_authenticate='Bearer realm="http://192.168.250.1/token",service="x"')

    async with RawServer(registry) as server, Remote(Place(server.url, "me", "secret"), True, IMPATIENT) as remote:
        with pytest.raises(Forbidden, match="another site"):
            await remote.head("a", "1")


async def test_what_is_said_of_refusals() -> None:
    answers: dict[str, bytes] = {
        "a": reply(429, retry_after="12"), "b": reply(404), "c": reply(403), "d": reply(500), "e": reply(200, b"{}"),
        "f": reply(200, b"{}", content_type=OCI_MANIFEST, docker_content_digest=Digest.of(b"other")),
        "g": reply(200, b"x" * (5 * MIB), content_type=OCI_MANIFEST),
        "h": reply(200, b"{}", content_type=OCI_MANIFEST, docker_content_digest="md5:1"),
    }  # fmt: skip
    async with RawServer(lambda seen: answers[seen.target[-1]]) as server:
        async with Remote(Place(server.url), True, Limits(retries=0)) as remote:
            with pytest.raises(Limited) as limited:
                await remote.manifest("a", "a")
            assert limited.value.retry_after == "12"
            for reference, kind in (
                ("b", NotFound), ("c", Forbidden), ("d", Unavailable), ("e", InvalidArgument), ("f", DataLoss),
                ("g", Unavailable), ("h", InvalidArgument),
            ):  # fmt: skip
                with pytest.raises(kind):
                    await remote.manifest("a", reference)


async def test_lists_are_read_page_by_page_on_the_path_that_was_asked() -> None:
    def registry(seen: Seen) -> Answer:
        if "last=b" in seen.target:
            return reply(200, {"tags": ["c"]}, link='<http://169.254.169.254/steal>; rel="prev"')
        return reply(200, {"tags": ["a", "b"]}, link='<http://169.254.169.254/steal?n=2&last=b>; rel="next"')

    async with RawServer(registry) as server, Remote(Place(server.url), True) as remote:
        assert await remote.tags("x/y") == ["a", "b", "c"]
        assert [seen.target for seen in server.seen] == ["/v2/x/y/tags/list?n=1000", "/v2/x/y/tags/list?n=2&last=b"]
    for wrong in ({"tags": "abc"}, {"tags": [1]}, []):
        async with (
            RawServer(lambda _, wrong=wrong: reply(200, wrong)) as server,
            Remote(Place(server.url), True) as remote,
        ):
            with pytest.raises(InvalidArgument):
                await remote.tags("x")
    async with RawServer(lambda _: reply(200, {"tags": None})) as server, Remote(Place(server.url), True) as remote:
        assert await remote.tags("x") == []


async def test_where_a_list_goes_on() -> None:
    links = {
        "a": '</v2/x/tags/list?last=a>; rel=next', "b": '</v2/x/tags/list?n=9>; rel="prev", </v2/x/tags/list?last=b>; rel="next"',
        "c": '</v2/x/tags/list?last=c>; title="x"; REL="next"', "d": '</v2/x/tags/list?last=d>; rel="nextbest"',
    }  # fmt: skip

    def registry(seen: Seen) -> Answer:
        name = "abcd"["abcd".find(seen.target[-1]) + 1]
        return reply(200, {"tags": [name]}, link=links[name])

    async with RawServer(registry) as server, Remote(Place(server.url), True) as remote:
        assert await remote.tags("x") == ["a", "b", "c", "d"]
    for name in ("x" * 600, "\ud800"):
        async with (
            RawServer(lambda _, name=name: reply(200, {"tags": [name]})) as server,
            Remote(Place(server.url), True) as remote,
        ):
            with pytest.raises(InvalidArgument):
                await remote.tags("x")


async def test_a_list_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("naru.hub.peers.remotes._LISTED", 20)
    endless = reply(200, {"tags": ["a", "b", "c"]}, link='</v2/x/tags/list?last=c>; rel="next"')
    async with RawServer(lambda _: endless) as server, Remote(Place(server.url), True) as remote:
        with pytest.raises(InvalidArgument, match="no end"):
            await remote.tags("x")
        assert len(server.seen) == 7


async def test_referrers_of_all_pages_and_of_registries_that_have_none() -> None:
    subject = Digest.of(b"image")
    pages = [[layer(bytes([number])).to_json()] for number in range(3)]

    def registry(seen: Seen) -> Answer:
        if seen.target.startswith("/v2/old/referrers/"):
            return reply(405)
        number = int(seen.target.rpartition("page=")[2]) if "page=" in seen.target else 0
        link = {"link": f'<{seen.target.partition("?")[0]}?page={number + 1}>; rel="next"'} if number < 2 else {}
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": pages[number]}
        return reply(200, index, content_type=OCI_INDEX, **link)

    async with RawServer(registry) as server, Remote(Place(server.url), True) as remote:
        found = await remote.referrers("a", subject)
        assert [one.digest for one in found] == [page[0]["digest"] for page in pages]
        found = await remote.referrers("old", Digest.of(b"image", "sha512"))
        assert len(found) == 3 and server.seen[-1].target.partition("?")[0].endswith(
            f"/manifests/sha512-{Digest.of(b'image', 'sha512').hex[:64]}"
        )


async def test_what_has_come_is_passed_on_when_no_more_comes() -> None:
    data = os.urandom(100_000)
    shelf = Shelf(gate=asyncio.Event())
    shelf.blobs[Digest.of(data)] = data
    async with shelf, Remote(Place(shelf.url), True, IMPATIENT) as remote:
        kept = Kept()
        fetching = asyncio.create_task(remote.fetch_blob("a", layer(data), kept, lambda _: None))

        async def half() -> bool:
            return len(kept.data) >= 50_000

        await until(half)
        assert not fetching.done() and shelf.gate is not None
        shelf.gate.set()
        await fetching
        assert bytes(kept.data) == data and len(shelf.asked("blobs")) == 1


async def test_one_who_has_a_copy_does_not_wait_for_long() -> None:
    async with RawServer(lambda _: reply(503)) as server, Remote(Place(server.url), True, IMPATIENT) as remote:
        begun = time.monotonic()
        with pytest.raises(Unavailable):
            await remote.head("a", "1")
        assert time.monotonic() - begun < 2 and len(server.seen) == 2


def self_signed(folder: Path) -> tuple[str, str]:
    """Files of a certificate that nobody has signed, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "registry")])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
    made = made.not_valid_after(now + datetime.timedelta(days=1))
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    files = folder / "certificate.pem", folder / "key.pem"
    for file, data in zip(files, (made.sign(key, hashes.SHA256()).public_bytes(encoding), private), strict=True):
        file.write_bytes(data)
    return str(files[0]), str(files[1])


async def test_a_certificate_that_nobody_has_signed_is_not_believed(tmp_path: Path) -> None:
    async with running(Settings("127.0.0.1:0", str(tmp_path / "data"), *self_signed(tmp_path))) as registry:
        async with Remote(Place(registry.url, "me", "secret"), True, IMPATIENT) as remote:
            with pytest.raises(Unavailable, match="certificate"):
                await remote.head("a", "1")
        async with Remote(Place(registry.url.replace("https", "http"), "me", "secret"), True, IMPATIENT) as remote:
            with pytest.raises(Unavailable):  # by http nobody is there, and https is not tried instead
                await remote.head("a", "1")
