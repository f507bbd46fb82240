from __future__ import annotations

import json
from pathlib import Path

import pytest
from landing import Landing, landing

from naru.errors import InvalidArgument, NotFound
from naru.hub import browse
from naru.hub.catalog import referrers
from naru.hub.services import people
from naru.oci.image import OCI_MANIFEST, Descriptor, dump_json
from naru.registry.access import Caller

STEPS = [
    ("/bin/sh -c #(nop) ADD file:1 in / ", 3000),
    ('/bin/sh -c #(nop)  CMD ["sh"]', 0),
    ("RUN /bin/sh -c apk add curl # buildkit", 500),
]


async def _filled(here: Landing) -> None:
    await here.person("ana")
    await here.hub.do(await here.who("ana"), people.create_organization, "acme")


async def test_an_image(tmp_path: Path) -> None:
    async with landing(tmp_path) as here:
        await _filled(here)
        digest = await here.push("acme/web", "v1", STEPS, annotations={"a": "b"})
        found = await browse.detail(here.hub, await here.who("ana"), "acme/web", "v1")
        assert (found.digest, found.tags, found.parts, found.is_index) == (digest, ("v1",), (), False)
        assert found.image is not None and found.image.platform == "linux/amd64"
        assert [step.size_bytes for step in found.image.steps] == [3000, None, 500]
        assert "RUN apk add curl" in found.image.dockerfile
        assert found.image.size_bytes == 3500 and found.annotations == {"a": "b"}
        same = await browse.detail(here.hub, await here.who("ana"), "acme/web", digest)
        assert same.image == found.image


async def test_an_index_by_platform(tmp_path: Path) -> None:
    async with landing(tmp_path) as here:
        await _filled(here)
        arm = await here.push("acme/web", "", STEPS, "linux/arm64")
        amd = await here.push("acme/web", "", STEPS, "linux/amd64")
        await here.index("acme/web", "v1", [(arm, "linux/arm64"), (amd, "linux/amd64")])
        ana = await here.who("ana")
        for platform, chosen in (("", amd), ("linux/arm64", arm), ("linux/riscv64", amd), (str(arm), arm)):
            found = await browse.detail(here.hub, ana, "acme/web", "v1", platform)
            assert found.image is not None and found.image.digest == chosen, platform
        assert [part.platform for part in found.parts] == ["linux/arm64", "linux/amd64"]
        assert found.total_bytes == sum(part.size_bytes or 0 for part in found.parts)


async def test_what_refers_to_it(tmp_path: Path) -> None:
    async with landing(tmp_path) as here:
        await _filled(here)
        digest = await here.push("acme/web", "v1", STEPS)
        for artifact, layer, annotations in (
            ("application/vnd.cncf.notary.signature", "application/jose+json", {}),
            ("application/vnd.dev.cosign.artifact.sig.v1+json", "application/vnd.dev.cosign.simplesigning.v1+json", {}),
            ("application/spdx+json", "application/spdx+json", {}),
            ("application/vnd.in-toto+json", "application/vnd.in-toto+json", {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"}),
            ("application/vnd.in-toto+json", "application/vnd.in-toto+json", {"predicateType": "https://spdx.dev/Document"}),
            ("application/x-mine", "text/plain", {}),
        ):  # fmt: skip
            await here.attach("acme/web", digest, artifact, layer, annotations=annotations)
        for ending in ("sig", "att", "sbom"):
            kind = {"sig": "application/vnd.dev.cosign.simplesigning.v1+json"}.get(ending, "application/octet-stream")
            await here.attach("acme/web", digest, "", kind, tag=f"sha256-{digest.hex}.{ending}")
        found = (await browse.detail(here.hub, await here.who("ana"), "acme/web", "v1")).referrers
        kinds = sorted((one.kind, one.tool) for one in found)
        assert kinds == sorted(
            [
                (referrers.SIGNATURE, "notation"), (referrers.SIGNATURE, "cosign"), (referrers.SBOM, "SPDX"),
                (referrers.ATTESTATION, "in-toto"), (referrers.SBOM, "in-toto"), (referrers.OTHER, ""),
                (referrers.SIGNATURE, "cosign"), (referrers.ATTESTATION, ""), (referrers.SBOM, ""),
            ]
        )  # fmt: skip
        provenance = [one for one in found if one.predicate.startswith("https://slsa")]
        assert [one.kind for one in provenance] == [referrers.ATTESTATION]


async def test_two_images_side_by_side(tmp_path: Path) -> None:
    async with landing(tmp_path) as here:
        await _filled(here)
        await here.push("acme/web", "v1", STEPS, run={"User": "a"})
        await here.push("acme/web", "v2", [*STEPS, ("COPY . /app # buildkit", 70)], run={"User": "b"})
        ana = await here.who("ana")
        left, right, found = await browse.comparison(here.hub, ana, "acme/web", "v1", "v2")
        assert left.reference == "v1" and right.reference == "v2"
        assert len(found.shared) == 2 and found.download_bytes == 70 and found.size_difference_bytes == 70
        assert [(one.field, one.before, one.after) for one in found.changes] == [("User", "a", "b")]
        with pytest.raises(NotFound):
            await browse.comparison(here.hub, ana, "acme/web", "v1", "nope")


async def test_what_is_not_there_or_not_to_be_seen(tmp_path: Path) -> None:
    async with landing(tmp_path) as here:
        await _filled(here)
        await here.person("eve")
        await here.push("acme/web", "v1", STEPS)
        ana, eve = await here.who("ana"), await here.who("eve")
        for who, name, reference in (
            (ana, "acme/web", "nope"), (ana, "acme/nope", "v1"), (eve, "acme/web", "v1"), (ana, "acme/web", "sha256:zz"),
            (ana, "acme/web", "sha256:" + "0" * 64), (ana, "acme/web", ""),
        ):  # fmt: skip
            with pytest.raises(NotFound):
                await browse.detail(here.hub, who, name, reference)


async def test_manifests_that_nobody_should_push(tmp_path: Path) -> None:
    """Configs that are no JSON, no objects, or lie; an index of nothing; half characters. A page comes of each."""
    async with landing(tmp_path) as here:
        await _filled(here)
        visitor, ana = await here.visitor("ana"), await here.who("ana")
        configs: list[bytes] = [
            b"not json", b"[]", b"{}", b'{"history": 5}', b'{"history": [null]}', b'{"config": 5}', b'{"rootfs": {"diff_ids": ["x"]}}',
            b'{"os": {"a": 1}, "architecture": [1], "created": 5, "config": {"Env": "x", "Labels": [1], "Cmd": {"a": "b"}}}',
            b'{"history": [{"created_by": "\\ud800 half", "empty_layer": "x"}], "config": {"Env": ["\\udfff"]}}',
            json.dumps({"history": [{"created_by": "RUN x"}] * 500}).encode(),
        ]  # fmt: skip
        for number, config in enumerate(configs):
            described = Descriptor(
                "application/vnd.oci.image.config.v1+json", await here.put("acme/odd", config), len(config)
            )
            raw = dump_json(
                {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described.to_json(), "layers": []}
            )
            await here.hub.registry.storage.put_manifest(Caller("ana"), "acme/odd", f"t{number}", OCI_MANIFEST, raw)
            found = await browse.detail(here.hub, ana, "acme/odd", f"t{number}")
            assert found.image is not None and found.image.size_bytes == 0
            answer = await visitor.get(f"/r/acme/odd/-/tags/t{number}")
            assert answer.status == 200, config[:60]
            assert (await visitor.get(f"/r/acme/odd/-/compare?from=t{number}&to=t0")).status in (200, 400)
        await here.index("acme/odd", "empty", [])
        assert (await browse.detail(here.hub, ana, "acme/odd", "empty")).image is None
        assert (await visitor.get("/r/acme/odd/-/tags/empty")).status == 200
        with pytest.raises(InvalidArgument):
            await browse.comparison(here.hub, ana, "acme/odd", "empty", "t2")
        assert (await visitor.get("/r/acme/odd/-/tags")).status == 200
