"""Finding images, and numbers for Prometheus."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

from images import SOMEBODY, put
from naru.oci.digest import Digest
from naru.oci.image import OCI_CONFIG, OCI_MANIFEST, Descriptor, Manifest, dump_json
from naru.registry.context import Registry
from naru.registry.server import Settings, opened, running


async def push(registry: Registry, repository: str, tag: str, description: str = "") -> None:
    config = b"{}"
    await put(registry.storage, registry.uploads, repository, config)
    document = json.loads(Manifest.build(Descriptor(OCI_CONFIG, Digest.of(config), 2), ()).raw)
    if description:
        document["annotations"] = {"org.opencontainers.image.description": description}
    await registry.storage.put_manifest(SOMEBODY, repository, tag, OCI_MANIFEST, dump_json(document))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    async def fill() -> None:
        async with opened(Settings("", str(tmp_path / "data"))) as registry:
            await push(registry, "team/nginx", "1.0", "an older one")
            await push(registry, "team/nginx", "latest", "A web server")
            await push(registry, "team/nginx", "z")
            await push(registry, "nginx-proxy", "b", "The last of its tags")
            await push(registry, "redis", "1")

    asyncio.run(fill())
    return tmp_path / "data"


async def get(address: str, path: str) -> tuple[int, bytes]:
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}{path}") as response:
        return response.status, await response.read()


def test_search(root: Path) -> None:
    async def main() -> None:
        async with running(Settings("127.0.0.1:0", str(root))) as served:
            status, body = await get(served.address, "/v1/search?q=NGINX&n=10")
            found = json.loads(body)
            assert (status, found["num_results"], found["query"]) == (200, 2, "nginx")
            assert [(one["name"], one["description"]) for one in found["results"]] == [
                ("nginx-proxy", "The last of its tags"), ("team/nginx", "A web server"),
            ]  # fmt: skip
            assert {"star_count": 0, "is_official": False, "is_automated": False}.items() <= found["results"][0].items()
            assert len(json.loads((await get(served.address, "/v1/search?q=&n=2"))[1])["results"]) == 2
            assert json.loads((await get(served.address, "/v1/search?q=%25"))[1])["results"] == []
            for n in ("0", "101", "x", "-1"):
                assert (await get(served.address, f"/v1/search?q=a&n={n}"))[0] == 400

    asyncio.run(main())


def test_numbers(root: Path) -> None:
    async def main() -> None:
        async with running(Settings("127.0.0.1:0", str(root), metrics="127.0.0.1:0")) as served:
            for path in ("/v2/", "/v2/", "/v2/redis/tags/list", "/v2/none/tags/list", "/nowhere"):
                await get(served.address, path)
            status, body = await get(served.metrics, "/metrics")
            lines = body.decode().splitlines()
            assert status == 200
            for line in (
                "naru_registry_repositories 3",
                "naru_registry_manifests 5",
                "naru_registry_tags 5",
                "naru_registry_blobs 1",
                "naru_registry_uploads 0",
                'naru_registry_requests_total{endpoint="base",method="GET",code="200"} 2',
                'naru_registry_requests_total{endpoint="tags",method="GET",code="404"} 1',
                'naru_registry_requests_total{endpoint="none",method="GET",code="404"} 1',
                'naru_registry_answer_seconds_count{endpoint="base"} 2',
            ):
                assert line in lines, body.decode()

    asyncio.run(main())
