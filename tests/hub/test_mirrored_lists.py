"""Lists of a namespace that is a copy: tags and referrers are those of the registry that it copies."""

from __future__ import annotations

import pytest
from handmade import reply
from shelf import Shelf, bearer, copying

from naru.hub.server import Settings
from naru.oci.digest import Digest
from naru.oci.image import OCI_INDEX, OCI_MANIFEST, Descriptor, dump_json


async def test_its_tags_are_those_of_upstream(hub_settings: Settings) -> None:
    shelf = Shelf()
    for number in range(5):
        shelf.image(f"v{number}")
    async with copying(hub_settings, shelf) as peer:
        token = await bearer(peer)
        path = "/v2/copy/app/tags/list"
        answer = await peer.ask("GET", path, token)  # of a repository that nobody has pulled from yet
        assert answer.json == {"name": "copy/app", "tags": ["v0", "v1", "v2", "v3", "v4"]}
        assert "Link" not in answer.headers
        answer = await peer.ask("GET", f"{path}?n=2&last=v0", token)
        assert answer.json["tags"] == ["v1", "v2"]
        assert answer.headers["Link"] == f'<{path}?n=2&last=v2>; rel="next"'
        assert (await peer.ask("GET", f"{path}?n=0", token)).json["tags"] == []
        assert (await peer.ask("GET", f"{path}?n=x", token)).code == "PAGINATION_NUMBER_INVALID"
        assert (await peer.ask("GET", path)).status == 401  # a token is wanted, though anybody gets one
        await peer.ask("GET", "/v2/copy/app/manifests/v3", token)
        shelf.spoil = lambda seen: reply(503)
        answer = await peer.ask("GET", path, token)  # what there is here
        assert (answer.json["tags"], answer.headers["Warning"][:6]) == (["v3"], "299 - ")
        count = len(shelf.server.seen)
        assert (await peer.ask("GET", path, token)).json["tags"] == ["v3"]
        assert len(shelf.server.seen) == count  # it is left alone for a while


async def test_tags_of_what_nobody_has_and_upstream_does_not_say(hub_settings: Settings) -> None:
    shelf = Shelf(spoil=lambda seen: reply(503))
    async with copying(hub_settings, shelf) as peer:
        answer = await peer.ask("GET", "/v2/copy/app/tags/list", await bearer(peer))
        assert (answer.status, answer.code) == (503, "UNAVAILABLE")
        shelf.spoil = lambda seen: reply(404)
        answer = await peer.ask("GET", "/v2/copy/other/tags/list", await bearer(peer, "copy/other"))
        assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")


@pytest.mark.parametrize("knows_referrers", [True, False])
async def test_its_referrers_are_those_of_upstream(hub_settings: Settings, knows_referrers: bool) -> None:
    """A signature can be verified through a copy, before anybody has fetched it."""
    shelf = Shelf()
    subject, signature, sbom = shelf.image("1"), shelf.image("", b"signature"), shelf.image("", b"sbom")
    listed = [
        {**Descriptor(OCI_MANIFEST, digest, len(shelf.manifests[digest][1])).to_json(), "artifactType": kind}
        for digest, kind in ((signature, "a/signature"), (sbom, "a/sbom"))
    ]
    if knows_referrers:
        shelf.referrers = listed
    else:
        raw = dump_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed})
        shelf.manifests[f"sha256-{subject.hex}"] = OCI_INDEX, raw
    async with copying(hub_settings, shelf) as peer:
        token = await bearer(peer)
        answer = await peer.ask("GET", f"/v2/copy/app/referrers/{subject}", token)
        assert (answer.json["manifests"], answer.headers["Content-Type"]) == (listed, OCI_INDEX)
        answer = await peer.ask("GET", f"/v2/copy/app/referrers/{subject}?artifactType=a/sbom", token)
        assert [one["digest"] for one in answer.json["manifests"]] == [sbom]
        assert answer.headers["OCI-Filters-Applied"] == "artifactType"
        assert (await peer.ask("GET", f"/v2/copy/app/manifests/{sbom}", token)).status == 200
        nobody = Digest.of(b"nobody")
        if not knows_referrers:
            answer = await peer.ask("GET", f"/v2/copy/app/referrers/{nobody}", token)
            assert (answer.status, answer.json["manifests"]) == (200, [])
