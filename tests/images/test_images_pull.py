from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from naru.errors import DataLoss, InvalidArgument, NotFound, Unavailable
from naru.oci import reference
from naru.oci.digest import Digest
from naru.oci.image import OCI_MANIFEST, Manifest, Platform
from naru.snapshots.tarformat import Entry

pytestmark = pytest.mark.root

ALPINE = reference.parse("alpine:3.20")
ARM64, AMD64 = Platform("linux", "arm64"), Platform("linux", "amd64")


def pull(landing: Any, ref: reference.Reference = ALPINE, platform: Platform | None = None) -> Any:
    return landing.run(landing.images.pull(ref, platform, None, landing.report))


@pytest.fixture
def layers(tar: Callable[..., bytes]) -> list[bytes]:
    return [tar((Entry(f"f{n}"), os.urandom(100))) for n in range(4)]


def test_what_a_first_and_a_second_pull_say_and_leave(landing: Any, layers: list[bytes]) -> None:
    target = landing.registry.add_image(ALPINE, layers[:2])
    image = pull(landing)
    assert (image.id, [str(name) for name in image.names]) == (target.digest, ["docker.io/library/alpine:3.20"])
    assert landing.snapshots.has(image.chain_id)
    ids = [layer.digest.hex[:12] for layer in image.manifest.layers]
    lines = landing.lines()
    assert lines[:3] == ["3.20: Pulling from library/alpine", *(f"{id}: Pulling fs layer" for id in ids)]
    for id in ids:
        about = [line.partition(": ")[2] for line in lines if line.startswith(id)]
        assert list(dict.fromkeys(about)) == [
            "Pulling fs layer",
            "Downloading",
            "Download complete",
            "Extracting",
            "Pull complete",
        ]
    assert lines[-2:] == [f"Digest: {target.digest}", "Status: Downloaded newer image for alpine:3.20"]
    pull(landing)
    lines = landing.lines()
    assert not [line for line in lines if any(id in line for id in ids)]  # nothing moved: no line about a layer
    assert lines[-1] == "Status: Image is up to date for alpine:3.20"
    assert set(landing.registry.fetched.values()) == {1}
    assert landing.actions() == ["pull", "pull"]
    assert landing.db.rows("SELECT * FROM lease") == []


def test_only_the_child_for_our_platform_is_fetched(landing: Any, layers: list[bytes]) -> None:
    children = {
        p: landing.registry.add_image(ALPINE, [layers[n]], p, tagged=False) for n, p in enumerate((ARM64, AMD64))
    }
    index = landing.registry.add_index(ALPINE, children)
    image = pull(landing)
    assert image.id == index.digest
    assert image.manifest.descriptor.digest == children[AMD64].digest
    assert not landing.store.has(children[ARM64].digest)
    arm = pull(landing, platform=ARM64)
    assert arm.manifest.descriptor.digest == children[ARM64].digest
    assert landing.images.resolve("alpine:3.20").manifest.descriptor.digest == children[AMD64].digest
    with pytest.raises(NotFound, match="no matching manifest for linux/s390x in the manifest list entries"):
        pull(landing, platform=Platform("linux", "s390x"))


def test_a_tag_that_moved_leaves_the_old_image_dangling(landing: Any, layers: list[bytes]) -> None:
    old = landing.registry.add_image(ALPINE, layers[:1])
    pull(landing)
    new = landing.registry.add_image(ALPINE, layers[:2])
    pull(landing)
    assert landing.lines()[-1] == "Status: Downloaded newer image for alpine:3.20"
    assert {(image.id, len(image.names)) for image in landing.images.list()} == {(old.digest, 0), (new.digest, 1)}


def test_by_digest(landing: Any, layers: list[bytes]) -> None:
    target = landing.registry.add_image(ALPINE, layers[:1])
    ref = replace(ALPINE, tag=None, digest=target.digest)
    pull(landing, ref)
    lines = landing.lines()
    assert lines[0] == f"alpine@{target.digest}: Pulling from library/alpine"
    assert lines[-1] == f"Status: Downloaded newer image for alpine@{target.digest}"
    assert landing.images.resolve(f"alpine@{target.digest}").id == target.digest


@pytest.mark.parametrize("which", ["config", "first", "last"])
def test_a_pull_that_fails_leaves_nothing_and_the_next_one_works(landing: Any, layers: list[bytes], which: str) -> None:
    target = landing.registry.add_image(ALPINE, layers)
    manifest = Manifest.parse(landing.registry.manifests[ALPINE.name, target.digest][1])
    landing.registry.broken = {
        {"config": manifest.config, "first": manifest.layers[0], "last": manifest.layers[-1]}[which].digest
    }
    with pytest.raises(Unavailable):
        pull(landing)
    assert landing.is_empty()
    assert landing.images.list() == []
    landing.registry.broken = set()
    assert pull(landing).id == target.digest


def test_a_layer_that_is_not_what_the_config_says(landing: Any, layers: list[bytes], tar: Callable[..., bytes]) -> None:
    target = landing.registry.add_image(ALPINE, layers[:2])
    other = landing.registry.add_image(ALPINE, [layers[0], tar((Entry("evil"), b"x"))], tagged=False)
    manifests = [Manifest.parse(landing.registry.manifests[ALPINE.name, each.digest][1]) for each in (target, other)]
    mixed = Manifest.build(manifests[0].config, manifests[1].layers)
    landing.registry.manifests[ALPINE.name, "3.20"] = OCI_MANIFEST, mixed.raw
    with pytest.raises(DataLoss, match="wrong diff id"):
        pull(landing)
    assert landing.is_empty()


def test_a_config_that_does_not_fit_the_manifest(landing: Any, layers: list[bytes]) -> None:
    target = landing.registry.add_image(ALPINE, layers[:2])
    manifest = Manifest.parse(landing.registry.manifests[ALPINE.name, target.digest][1])
    landing.registry.manifests[ALPINE.name, "3.20"] = (
        OCI_MANIFEST,
        Manifest.build(manifest.config, manifest.layers[:1]).raw,
    )
    with pytest.raises(InvalidArgument, match="1 layers, 2 diff IDs"):
        pull(landing)
    assert landing.is_empty()


def test_wrong_bytes_are_not_kept(landing: Any, layers: list[bytes]) -> None:
    target = landing.registry.add_image(ALPINE, layers[:1])
    layer = Manifest.parse(landing.registry.manifests[ALPINE.name, target.digest][1]).layers[0]
    landing.registry.blobs[ALPINE.name, layer.digest] = b"x" * layer.size
    with pytest.raises(DataLoss):
        pull(landing)
    assert landing.is_empty()


@pytest.mark.parametrize("size", [0, 10, None])
def test_pulling_again_repairs_what_the_disk_lost(landing: Any, layers: list[bytes], size: int | None) -> None:
    image = (landing.registry.add_image(ALPINE, layers[:2]), pull(landing))[1]
    for digest in list(landing.store.walk()):
        with open(landing.store.path(digest), "r+b") as file:
            if size is None:
                file.write(b"\0\0\0")
            else:
                file.truncate(size)
    chains = list(landing.snapshots.chains())
    landing.snapshots.destroy(landing.snapshots.forget(chains))
    assert pull(landing).id == image.id
    for digest in landing.store.walk():
        landing.store.read(digest, 1 << 20)
    assert sorted(landing.snapshots.chains()) == sorted(chains)


def test_twenty_pulls_fetch_each_blob_once(landing: Any, layers: list[bytes]) -> None:
    refs = [reference.parse(f"app:{n}") for n in range(20)]
    for n, ref in enumerate(refs):
        landing.registry.add_image(ref, layers[: 1 + n % 4])

    async def all_of_them() -> None:
        async with asyncio.TaskGroup() as group:
            for ref in refs:
                group.create_task(landing.images.pull(ref, None, None, landing.report))

    landing.run(all_of_them())
    assert set(landing.registry.fetched.values()) == {1}
    assert len(landing.images.list()) == 4
    assert len(landing.snapshots.chains()) == 4
    assert sorted(os.listdir(landing.snapshots.root)) == ["1", "2", "3", "4", "empty"]


def test_cancelling_leaves_nothing(landing: Any, layers: list[bytes]) -> None:
    landing.registry.add_image(ALPINE, layers)

    async def cancelled() -> None:
        extracting = asyncio.Event()

        def report(progress: Any) -> None:
            if progress.status == "Extracting":
                extracting.set()

        async with asyncio.TaskGroup() as group:
            task = group.create_task(landing.images.pull(ALPINE, None, None, report))
            await extracting.wait()
            task.cancel()

    landing.run(cancelled())
    assert landing.is_empty()


def test_layers_without_content_and_twice_the_same(landing: Any, tar: Callable[..., bytes]) -> None:
    empty = tar()
    landing.registry.add_image(ALPINE, [empty, tar((Entry("x"), b"x")), empty])
    image = pull(landing)
    assert len(landing.snapshots.stack(image.chain_id)) == 3


def test_nothing_there(landing: Any) -> None:
    with pytest.raises(NotFound):
        pull(landing)
    assert landing.is_empty()
    assert landing.lines() == []


def test_any_number_of_workers_makes_the_same_tree(
    make_landing: Callable[[str], Any], tar: Callable[..., bytes]
) -> None:
    import naru.images.unpack

    layers = [
        tar((Entry("d/a"), b"1"), (Entry("e/x"), b"1"), Entry("t/", "5", mode=0o1777)),
        tar(Entry(".wh.e"), (Entry("d/b"), b"2"), (Entry("t/y"), b"2")),
        tar(Entry("d/.wh.a"), (Entry("e/z"), b"3")),
        tar(Entry("d/.wh..wh..opq"), (Entry("d/c"), b"4"), (Entry("t/z"), b"4")),
    ]
    shapes = []
    for workers in (1, 4):
        landing = make_landing(f"with-{workers}")
        landing.images._unpacker._slots = asyncio.Semaphore(workers)
        landing.registry.add_image(ALPINE, layers)
        chain: Digest = pull(landing).chain_id
        shape = []
        for top in landing.snapshots.stack(chain):
            for at, dirs, files in sorted(os.walk(top)):
                for name in [".", *sorted(dirs + files)]:
                    found = os.lstat(os.path.join(at, name))
                    shape.append((os.path.relpath(at, top), name, found.st_mode, found.st_rdev, found.st_mtime_ns))
        shapes.append(shape)
    assert shapes[0] == shapes[1]
    assert naru.images.unpack.WORKERS > 1
