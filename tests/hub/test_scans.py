"""Scanning, by an adapter of our own that speaks Harbor's scanner API and really pulls what it scans."""

from __future__ import annotations

import dataclasses
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import web
from peer import Peer
from shelf import until
from test_retain import as_user, push_index

from naru.errors import Conflict, Forbidden, InvalidArgument, NotFound
from naru.hub import audit
from naru.hub.catalog import repositories
from naru.hub.jobs import Job, Retry
from naru.hub.peers import deliveries, scans
from naru.hub.peers.scanner import Metadata, parse_metadata, parse_report, parse_sbom
from naru.hub.peers.scanning import Scanning
from naru.hub.server import Settings, make_app, opened_hub
from naru.hub.services import policies, repos
from naru.oci.digest import Digest
from naru.oci.image import OCI_LAYER, OCI_MANIFEST
from naru.registry.database import Connection, Row

VULNERABILITY = "application/vnd.security.vulnerability.report; version=1.1"
HARBOR = "application/vnd.scanner.adapter.vuln.report.harbor+json; version=1.0"
SBOM = "application/vnd.security.sbom.report+json; version=1.0"


class Adapter:
    """`script` answers the report's requests, first to last, before the true report; what was pulled is in `pulled`."""

    def __init__(self, *, sbom: bool = True, typed: bool = True) -> None:
        self.sbom, self.typed = sbom, typed
        self.script: list[web.Response] = []
        self.requests: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str, str]] = []  # method, path, Accept
        self.pulled: dict[str, list[str]] = {}
        self.vulnerabilities: list[dict[str, Any]] = []
        self.metadata_status = 200

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_get("/api/v1/metadata", self._metadata)
        app.router.add_post("/api/v1/scan", self._scan)
        app.router.add_get("/api/v1/scan/{id}/report", self._report)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    async def _metadata(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Basic c2Nhbjpt"
        if self.metadata_status != 200:
            return web.Response(status=self.metadata_status, text="<html>")
        kinds = [("vulnerability", [VULNERABILITY if self.typed else HARBOR], {})]
        if self.sbom:
            kinds.append(("sbom", [SBOM], {"sbom_media_types": ["application/vnd.cyclonedx+json"]}))
        capabilities = [
            {
                **({"type": kind} if self.typed else {}), "consumes_mime_types": [OCI_MANIFEST],
                "produces_mime_types": produces, "additional_attributes": more,
            }
            for kind, produces, more in kinds
        ]  # fmt: skip
        about = {"name": "Testy", "vendor": "Naru", "version": "1"}
        return web.json_response({"scanner": about, "capabilities": capabilities, "properties": {"a": "b"}})

    async def _scan(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.requests.append(body)
        where, what = body["registry"], body["artifact"]
        headers = {"Authorization": where["authorization"], "Accept": what["mime_type"]}
        base = f"{where['url']}/v2/{what['repository']}"
        pulled = self.pulled.setdefault(what["digest"], [])
        async with aiohttp.ClientSession(headers=headers) as session:
            async with session.get(f"{base}/manifests/{what['digest']}") as answer:
                assert answer.status == 200, answer
                manifest = await answer.json(content_type=None)
            for part in (manifest["config"], *manifest["layers"]):
                async with session.get(f"{base}/blobs/{part['digest']}") as answer:
                    assert Digest.of(await answer.read()) == part["digest"]
                    pulled.append(part["digest"])
        return web.json_response({"id": f"scan/{len(self.requests)} ?"}, status=202)

    async def _report(self, request: web.Request) -> web.Response:
        accept = request.headers["Accept"]
        self.asked.append((request.method, request.match_info["id"], accept))
        if self.script:
            return self.script.pop(0)
        if accept == SBOM:
            assert request.query["sbom_media_type"] == "application/vnd.cyclonedx+json"
            return web.json_response(
                {"media_type": "application/vnd.cyclonedx+json", "sbom": {"bomFormat": "CycloneDX"}}
            )
        return web.json_response({"severity": "High", "vulnerabilities": self.vulnerabilities})


def wait(after: str = "1") -> web.Response:
    return web.Response(status=302, headers={"Refresh-After": after, "Location": "/elsewhere"})


@asynccontextmanager
async def found(settings: Settings) -> AsyncIterator[Peer]:
    """As `peering`, of a hub that knows where it is; its jobs are done when a test says so, whatever they wait for."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    async with opened_hub(dataclasses.replace(settings, url=f"http://127.0.0.1:{port}")) as hub:
        runner = web.AppRunner(make_app(hub), access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
                yield Peer(hub, f"127.0.0.1:{port}", session)
        finally:
            await runner.cleanup()


def hurry(c: Connection) -> None:
    c.run("UPDATE job SET due_at = 0 WHERE kind = 'scan' AND leased_until = 0")


async def settle(peer: Peer, name: str, digest: Digest) -> scans.Scan:
    """The scan, when it is over; its job does not wait for what it would wait for."""
    repository = await peer.hub.database.read(repositories.get, name)

    async def over() -> scans.Scan | None:
        await peer.hub.database.write(hurry)
        peer.hub.workers.wake()
        scan = await peer.hub.database.read(scans.find, repository.id, digest)
        return scan if scan is not None and scan.status not in (scans.WAITING, scans.RUNNING) else None

    found = await until(over)
    assert found is not None
    return found


async def test_what_is_pushed_is_scanned(hub_settings: Settings) -> None:
    adapter = Adapter()
    adapter.vulnerabilities = [
        {"id": "CVE-1", "severity": "High"}, {"id": "CVE-2", "severity": "Low"}, {"id": "CVE-3", "severity": "Low"},
        {"id": "CVE-4", "severity": "Whatever"}, {"id": "CVE-5"},
    ]  # fmt: skip
    async with adapter.serving() as url, found(hub_settings) as peer:
        root, ann = await peer.user("root", is_admin=True), await peer.user("ann")
        outbound = peer.hub.outbound
        await peer.hub.do(await as_user(peer, root), policies.add_scanner, outbound, "testy", url, "Basic c2Nhbjpt")
        adapter.script = [wait(), wait("soon"), wait("-5")]
        digest = await peer.push("ann/web", "1", ann)
        who = await as_user(peer, ann)
        hook = await peer.hub.do(who, repos.create_webhook, outbound, "ann/web", "w", "http://127.0.0.1:9/", ["scan"])
        scan = await settle(peer, "ann/web", digest)
        assert (scan.status, scan.severity, scan.message) == ("finished", "High", "")
        assert dict(scan.counts) == {"High": 1, "Low": 2, "Unknown": 2}
        assert [one["id"] for one in json.loads(scan.report)["vulnerabilities"]] == [f"CVE-{n}" for n in range(1, 6)]
        assert json.loads(scan.sbom) == {"bomFormat": "CycloneDX"}
        assert [len(parts) for parts in adapter.pulled.values()] == [2]  # config and layer, of a private repository
        (request,) = adapter.requests
        assert request["artifact"] == {"repository": "ann/web", "digest": digest, "mime_type": OCI_MANIFEST, "tag": "1"}
        claims = jwt.decode(
            request["registry"]["authorization"].removeprefix("Bearer "), options={"verify_signature": False}
        )
        assert claims["access"] == [{"type": "repository", "name": "ann/web", "actions": ["pull"]}]
        assert 600 <= claims["exp"] - time.time() <= 1800
        assert {one["type"] for one in request["enabled_capabilities"]} == {"vulnerability", "sbom"}
        assert adapter.asked[0] == ("GET", "scan/1 ?", VULNERABILITY)  # the id, however it is written
        (told, *_) = await peer.hub.database.read(deliveries.of_webhook, hook.id)
        assert told.event == "scan" and '"severity":"High"' in told.body
        page, _ = await peer.hub.read(who, repos.tags, "ann/web")
        assert page[0].severity == "High"
        (listed,) = await peer.hub.read(who, policies.scans_of, "ann/web", "1")
        assert listed.severity == "High" and listed.report == ""
        await peer.push("ann/web", "again", ann)
        assert len(adapter.requests) == 1  # the same image


async def test_an_index_is_scanned_image_by_image_when_somebody_asks(hub_settings: Settings) -> None:
    adapter = Adapter(sbom=False, typed=False)
    async with adapter.serving() as url, found(hub_settings) as peer:
        root, ann, bob = await peer.user("root", is_admin=True), await peer.user("ann"), await peer.user("bob")
        who = await as_user(peer, ann)
        one, two = await peer.push("ann/web", "1", ann, b"one"), await peer.push("ann/web", "2", ann, b"two")
        index = await push_index(peer, "ann/web", "all", ann, one, two)
        with pytest.raises(Conflict, match="no scanner"):
            await peer.hub.do(who, policies.scan_now, "ann/web", "all")
        admin = await as_user(peer, root)
        await peer.hub.do(admin, policies.add_scanner, peer.hub.outbound, "testy", url, "Basic c2Nhbjpt")
        await peer.hub.do(admin, policies.set_default_scanner, "")
        await peer.push("ann/web", "3", ann, b"three")
        started = await peer.hub.do(who, policies.scan_now, "ann/web", "all", scanner="testy")
        assert set(started.digests) == {one, two}
        for digest in (one, two):
            scan = await settle(peer, "ann/web", digest)
            assert (scan.severity, dict(scan.counts), scan.sbom) == ("None", {}, "")
        assert "enabled_capabilities" not in adapter.requests[0]  # which a scanner of 1.0 does not know
        assert len(await peer.hub.read(who, policies.scans_of, "ann/web", index)) == 2 == len(adapter.requests)
        assert (await peer.hub.read(who, policies.scan_report, "ann/web", "1")).status == "finished"
        for call in (policies.scan_report, policies.scans_of, policies.scan_now):
            with pytest.raises(NotFound):
                await peer.hub.database.write(call, await as_user(peer, bob), "ann/web", "1")
        for reference in ("none", "sha256:nonsense", "3", "../x", str(index)):
            with pytest.raises(NotFound):
                await peer.hub.read(who, policies.scan_report, "ann/web", reference)
        await peer.hub.do(who, repos.update, "ann/web", {"is_private": False})
        assert (await peer.hub.read(await as_user(peer, bob), policies.scan_report, "ann/web", "1")).severity == "None"
        with pytest.raises(Forbidden):
            await peer.hub.do(await as_user(peer, bob), policies.scan_now, "ann/web", "1")
        actions = [entry.action for entry in await peer.hub.database.read(audit.read)]
        assert {"scanner.add", "scanner.default", "scan.start"} <= set(actions)


@pytest.mark.parametrize(
    ("answer", "status", "message"),
    [
        (lambda: web.json_response({"error": {"message": "it broke\x00"}}, status=500), "failed", "it broke"),
        (lambda: web.Response(text="[1]"), "failed", "not a JSON object"),
        (lambda: web.Response(text='{"vulnerabilities": 5}'), "failed", "not a list"),
        (lambda: web.Response(body=b'{"a": "' + b"x" * (17 << 20) + b'"}'), "failed", "larger than"),
        (lambda: web.Response(status=404), "failed", "404"),
        (lambda: web.Response(status=501), "unsupported", "501"),
    ],
)
async def test_a_scanner_that_fails(hub_settings: Settings, answer: Any, status: str, message: str) -> None:
    adapter = Adapter()
    async with adapter.serving() as url, found(hub_settings) as peer:
        root = await peer.user("root", is_admin=True)
        admin = await as_user(peer, root)
        await peer.hub.do(admin, policies.add_scanner, peer.hub.outbound, "testy", url, "Basic c2Nhbjpt")
        adapter.script = [answer() for _ in range(20)]
        digest = await peer.push("root/web", "1", root)
        scan = await settle(peer, "root/web", digest)
        assert scan.status == status and message in scan.message and "\x00" not in scan.message
        adapter.script = []
        await peer.hub.do(admin, policies.scan_now, "root/web", "1")
        assert (await settle(peer, "root/web", digest)).status == "finished"  # and it can be asked for again
        await peer.hub.do(admin, policies.remove_scanner, "testy")
        assert await peer.hub.read(admin, policies.scans_of, "root/web", "1") == []


async def test_a_scanner_that_is_away_and_one_that_may_not_be_asked(hub_settings: Settings) -> None:
    adapter = Adapter()
    adapter.metadata_status = 503
    async with adapter.serving() as url, found(hub_settings) as peer:
        root = await peer.user("root", is_admin=True)
        admin = await as_user(peer, root)
        await peer.hub.do(admin, policies.add_scanner, peer.hub.outbound, "testy", url, "Basic c2Nhbjpt")
        digest = await peer.push("root/web", "1", root)

        def put_off(c: Connection) -> list[Row]:
            return c.rows("SELECT 1 FROM job WHERE kind = 'scan' AND error LIKE '%503%'")

        await until(lambda: peer.hub.database.read(put_off))
        adapter.metadata_status = 200
        assert (await settle(peer, "root/web", digest)).status == "finished"
        with pytest.raises(Forbidden):
            await peer.hub.do(admin, policies.add_scanner, peer.hub.outbound, "meta", "http://169.254.169.254")
        with pytest.raises(Conflict):
            await peer.hub.do(admin, policies.add_scanner, peer.hub.outbound, "testy", url)


@asynccontextmanager
async def one_scan(settings: Settings, adapter: Adapter) -> AsyncIterator[tuple[Peer, Scanning, Digest]]:
    """A hub whose scanner is the adapter, an image that waits to be scanned, and the steps of that, which a test takes itself."""
    async with adapter.serving() as url, found(settings) as peer:
        root = await peer.user("root", is_admin=True)
        digest = await peer.push("root/web", "1", root)
        await peer.hub.do(
            await as_user(peer, root), policies.add_scanner, peer.hub.outbound, "testy", url, "Basic c2Nhbjpt"
        )

        def start(c: Connection) -> None:
            profile = repositories.get(c, "root/web")
            scans.start(c, profile.id, "root/web", digest, scans.scanner(c, "testy").id, time.time())
            c.run("DELETE FROM job")

        await peer.hub.database.write(start)
        hub = peer.hub
        yield peer, Scanning(hub.registry.storage, hub.outbound, hub.authority, hub.url), digest


def step_of(digest: Digest, attempts: int = 0) -> Job:
    return Job(0, scans.JOB, "", {"repository": "root/web", "digest": digest}, attempts, "", 0.0)


async def test_a_scan_that_takes_long_outlasts_a_scanner_that_is_away(hub_settings: Settings) -> None:
    adapter = Adapter()
    async with one_scan(hub_settings, adapter) as (peer, scanning, digest):
        with pytest.raises(Retry, match="at it"):
            await scanning.run(step_of(digest))
        adapter.metadata_status = 503
        with pytest.raises(Retry, match="503") as again:
            await scanning.run(step_of(digest, 1500))  # it has been looked at so often
        assert again.value.after_s is not None and again.value.after_s < 60
        adapter.metadata_status = 200
        await scanning.run(step_of(digest, 1501))
        profile = await peer.hub.database.read(repositories.get, "root/web")
        scan = await peer.hub.database.read(scans.find, profile.id, digest)
        assert scan is not None and scan.status == "finished"


async def test_a_scan_that_has_waited_long_is_given_its_tries(hub_settings: Settings) -> None:
    adapter = Adapter()
    adapter.metadata_status = 503
    async with one_scan(hub_settings, adapter) as (peer, scanning, digest):
        await peer.hub.database.write(lambda c: c.run("UPDATE scan SET started_at = started_at - 86400"))
        with pytest.raises(Retry, match="503"):
            await scanning.run(step_of(digest))
        await scanning.run(step_of(digest, 8))
        profile = await peer.hub.database.read(repositories.get, "root/web")
        scan = await peer.hub.database.read(scans.find, profile.id, digest)
        assert scan is not None and (scan.status, "503" in scan.message) == ("failed", True)


async def test_what_was_found_for_an_earlier_scan_is_not_taken_for_the_new_one(hub_settings: Settings) -> None:
    async with one_scan(hub_settings, Adapter()) as (peer, _, digest):
        task = await peer.hub.database.read(scans.task, "root/web", digest)
        assert task is not None and "c2Nhbjpt" not in repr(task)
        await peer.hub.database.write(
            scans.start, task.repository, "root/web", digest, task.scanner.id, time.time() + 1
        )
        await peer.hub.database.write(scans.begun, task, "7", time.time())
        await peer.hub.database.write(scans.finish, task, None, "{}", "", time.time())
        await peer.hub.database.write(scans.end, task, scans.FAILED, "late", time.time())
        scan = await peer.hub.database.read(scans.find, task.repository, digest)
        assert scan is not None and (scan.status, scan.message, scan.sbom) == ("waiting", "", "")


async def test_half_a_character_from_a_scanner(hub_settings: Settings) -> None:
    adapter = Adapter()
    async with one_scan(hub_settings, adapter) as (peer, scanning, digest):
        half = '{"media_type": "application/vnd.cyclonedx+json", "sbom": {"bomFormat": "CycloneDX", "a": "\\ud800"}}'
        with pytest.raises(Retry, match="at it"):
            await scanning.run(step_of(digest))
        adapter.script = [web.Response(text='{"vulnerabilities": [{"id": "\\ud800"}]}'), web.Response(text=half)]
        await scanning.run(step_of(digest, 1))
        profile = await peer.hub.database.read(repositories.get, "root/web")
        scan = await peer.hub.database.read(scans.find, profile.id, digest)
        assert scan is not None and scan.status == "finished" and json.loads(scan.sbom)["a"] == "\ud800"


async def test_an_attestation_is_nothing_to_scan(hub_settings: Settings) -> None:
    adapter = Adapter()
    async with adapter.serving() as url, found(hub_settings) as peer:
        root = await peer.user("root", is_admin=True)
        await peer.push("root/web", "1", root, b"a statement")
        admin = await as_user(peer, root)
        await peer.hub.do(admin, policies.add_scanner, peer.hub.outbound, "testy", url, "Basic c2Nhbjpt")
        bearer = await peer.token(root, "repository:root/web:pull,push")
        pushed = await peer.ask("GET", "/v2/root/web/manifests/1", bearer)
        raw = pushed.body.replace(OCI_LAYER.encode(), b"application/vnd.in-toto+json")
        assert raw != pushed.body
        answer = await peer.ask("PUT", "/v2/root/web/manifests/attested", bearer, raw, Content_Type=OCI_MANIFEST)
        assert answer.status == 201
        scan = await settle(peer, "root/web", Digest.of(raw))
        assert scan.status == "unsupported" and adapter.requests == []


def test_what_scanners_say() -> None:
    for bad in (
        b"",
        b"[]",
        b'{"scanner": {}}',
        b'{"scanner": 1, "capabilities": []}',
        b'{"scanner":{},"capabilities":[1]}',
    ):
        with pytest.raises(InvalidArgument):
            parse_metadata(bad)
    tolerant = parse_metadata(
        b'{"scanner": {"name": null}, "capabilities": [{"consumes_mime_types": [1, "a"], "produces_mime_types": ["'
        + HARBOR.replace("; ", ";").encode()
        + b'"]}]}'
    )
    assert isinstance(tolerant, Metadata) and tolerant.can("vulnerability", "a") and not tolerant.can("sbom", "a")
    assert not tolerant.can("vulnerability", "b") and not tolerant.is_typed
    worst = parse_report(b'{"severity": "Critical", "vulnerabilities": [{"severity": "Low"}, {"severity": ["x"]}]}')
    assert (worst.severity, dict(worst.counts)) == ("Low", {"Low": 1, "Unknown": 1})
    assert parse_report(b"{}").severity == "None"
    for bad in (b'{"vulnerabilities": [1]}', b'{"vulnerabilities": {"a": 1}}', b"\xff{}", b"[" * 100_000):
        with pytest.raises(InvalidArgument):
            parse_report(bad)
    with pytest.raises(InvalidArgument):
        parse_sbom(b'{"sbom": "text"}')
