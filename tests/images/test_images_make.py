from __future__ import annotations

import bz2
import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from naru.errors import InvalidArgument, NotFound
from naru.images.feed import Pour
from naru.oci import reference
from naru.oci.digest import Digest
from naru.oci.image import History
from naru.snapshots.tarformat import DIR, Entry

pytestmark = pytest.mark.root

REF = reference.parse("wire/import:1")
Stream = Callable[..., Pour]
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: data, "gzip": gzip.compress, "bzip2": bz2.compress, "zstd": zstandard.ZstdCompressor().compress,
}  # fmt: skip


@pytest.mark.parametrize("kind", PACKERS)
def test_import(landing: Any, tar: Callable[..., bytes], stream: Stream, kind: str) -> None:
    raw = tar(Entry("./", DIR, mode=0o700), (Entry("etc/motd"), os.urandom(200_000)))
    data = PACKERS[kind](raw)
    image = landing.run(landing.images.import_(stream(data), REF, run={"Cmd": ["x"]}, message="hello"))
    (layer,) = image.manifest.layers
    assert image.config.diff_ids == (Digest.of(raw),)
    assert (layer.digest == Digest.of(data)) is (kind in ("gzip", "zstd"))
    assert layer.media_type.endswith("+zstd" if kind == "zstd" else "+gzip")
    assert image.config.run == {"Cmd": ["x"]}
    (line,) = landing.images.history(image)
    assert (line.id, line.comment, line.tags) == (image.id, "hello", ("wire/import:1",))
    assert line.size_bytes >= 200_000
    (tree,) = landing.snapshots.stack(image.chain_id)
    assert os.stat(tree).st_mode & 0o777 == 0o700
    assert landing.actions() == ["import", "tag"]


@pytest.mark.parametrize("data", [b"this is no tar" * 100, gzip.compress(b"x" * 5000)[:-3], b"\x28\xb5\x2f\xfdrubbish"])
def test_importing_what_is_no_tar(landing: Any, stream: Stream, data: bytes) -> None:
    with pytest.raises(InvalidArgument):
        landing.run(landing.images.import_(stream(data), REF, run={}))
    assert landing.is_empty()


def test_import_without_a_name_is_dangling(landing: Any, tar: Callable[..., bytes], stream: Stream) -> None:
    image = landing.run(landing.images.import_(stream(tar()), None, run={}))
    assert landing.images.resolve(image.id).names == ()


@pytest.mark.parametrize("consume", [True, False])
def test_commit_what_a_container_changed(
    landing: Any, tar: Callable[..., bytes], stream: Stream, consume: bool
) -> None:
    base = landing.run(landing.images.import_(stream(tar((Entry("a"), b"1"))), REF, run={}))
    landing.snapshots.prepare("c1", base.chain_id)
    Path(landing.snapshots.upper("c1"), "b").write_text("2")

    async def commit() -> Any:
        with landing.images.lease() as lease:
            image = await landing.images.commit(
                "c1", base, lease, run={"Cmd": ["y"]}, history=[History(created_by="touch b")], author="me",
                created="2020-01-01T00:00:00Z", consume=consume,
            )  # fmt: skip
            await landing.images.collect()  # the lease holds it
            landing.images.record(image, reference.parse("new:1"))
        await landing.images.collect()
        return image

    image = landing.run(commit())
    assert image.config.diff_ids[:1] == base.config.diff_ids
    assert image.manifest.layers[:1] == base.manifest.layers
    assert [os.listdir(path) for path in landing.snapshots.stack(image.chain_id)] == [["b"], ["a"]]
    assert landing.images.resolve("new:1").id == image.id
    assert [line.created_by for line in landing.images.history(image)] == ["touch b", ""]
    if consume:
        with pytest.raises(NotFound):
            landing.snapshots.upper("c1")
    else:
        assert os.listdir(landing.snapshots.upper("c1")) == ["b"]


def test_only_the_configuration_changes(landing: Any, tar: Callable[..., bytes], stream: Stream) -> None:
    base = landing.run(landing.images.import_(stream(tar((Entry("a"), b"1"))), REF, run={}))

    async def assemble() -> Any:
        with landing.images.lease() as lease:
            image = await landing.images.assemble(
                base, [], lease, run={"Env": ["A=b"]}, history=[History(created_by="ENV A=b", empty_layer=True)],
                created="2020-01-01T00:00:00Z",
            )  # fmt: skip
            landing.images.record(image, None)
        return image

    image = landing.run(assemble())
    assert image.chain_id == base.chain_id
    assert image.id != base.id
    assert landing.images.resolve(image.id.hex[:12]).config.run == {"Env": ["A=b"]}
    assert [line.size_bytes > 0 for line in landing.images.history(image)] == [False, True]
