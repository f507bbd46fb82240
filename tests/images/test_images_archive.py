from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from naru.errors import DataLoss, InvalidArgument, NaruError, NotFound
from naru.images.feed import Pour, poured
from naru.oci import reference
from naru.oci.digest import Digest
from naru.oci.image import ImageConfig, Platform
from naru.snapshots.sinks import Copied
from naru.snapshots.tarformat import SYMLINK, Entry

pytestmark = pytest.mark.root

APP = reference.parse("me/app:1")
AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
Stream = Callable[..., Pour]


def saved(landing: Any, *names: str, **options: Any) -> bytes:
    out = io.BytesIO()
    landing.images.save(names, **options)(Copied(out.write))
    return out.getvalue()


def load(landing: Any, pour: Pour, platform: Platform | None = None) -> list[str]:
    landing.run(landing.images.load(pour, platform, landing.report))
    lines: list[str] = landing.lines()
    return lines


def pulled(landing: Any, tar: Callable[..., bytes], ref: reference.Reference = APP) -> Any:
    landing.registry.add_image(ref, [tar((Entry("a"), b"1")), tar((Entry("b"), b"2"))])
    return landing.run(landing.images.pull(ref, None, None, lambda progress: None))


def test_what_is_saved_is_an_oci_layout_with_dockers_manifest(landing: Any, tar: Callable[..., bytes]) -> None:
    image = pulled(landing, tar)
    with tarfile.open(fileobj=io.BytesIO(saved(landing, "me/app:1"))) as archive:
        names = archive.getnames()
        read = {name: archive.extractfile(name).read() for name in names if archive.getmember(name).isfile()}  # type: ignore[union-attr]
    assert names[:2] == ["blobs", "blobs/sha256"]
    assert names[-3:] == ["index.json", "manifest.json", "oci-layout"]
    assert names == sorted(names)
    for name, data in read.items():
        if name.startswith("blobs/"):
            assert Digest.of(data).hex == name.removeprefix("blobs/sha256/")
    assert json.loads(read["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = json.loads(read["index.json"])["manifests"]
    assert entry["digest"] == image.id
    assert entry["annotations"] == {
        "io.containerd.image.name": "docker.io/me/app:1",
        "org.opencontainers.image.ref.name": "1",
    }
    (docker,) = json.loads(read["manifest.json"])
    assert docker["RepoTags"] == ["me/app:1"]
    assert [docker["Config"], *docker["Layers"]] == [
        f"blobs/sha256/{blob.digest.hex}" for blob in (image.manifest.config, *image.manifest.layers)
    ]
    assert saved(landing, "me/app:1") == saved(landing, "me/app:1")


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress])
def test_saved_here_loaded_there(
    make_landing: Callable[[str], Any], tar: Callable[..., bytes], stream: Stream, pack: Callable[[bytes], bytes]
) -> None:
    here, there = make_landing("here"), make_landing("there")
    image = pulled(here, tar)
    here.images.tag(image, reference.parse("other"))
    data = pack(saved(here, "me/app:1", "other"))
    assert load(there, stream(data)) == ["Loaded image: me/app:1\n", "Loaded image: other:latest\n"]
    loaded = there.images.resolve("other")
    assert (loaded.id, [name.familiar for name in loaded.names]) == (image.id, ["other:latest", "me/app:1"])
    assert there.snapshots.has(loaded.chain_id)
    assert here.actions() == ["pull", "tag", "save", "save"]
    assert there.actions() == ["load", "load"]
    assert load(there, stream(data)) == ["Loaded image: me/app:1\n", "Loaded image: other:latest\n"]


def test_by_id_without_a_name(make_landing: Callable[[str], Any], tar: Callable[..., bytes], stream: Stream) -> None:
    here, there = make_landing("here"), make_landing("there")
    image = pulled(here, tar)
    assert load(there, stream(saved(here, image.id.hex[:12]))) == [f"Loaded image ID: {image.id}\n"]
    (loaded,) = there.images.list()
    assert (loaded.id, loaded.names) == (image.id, ())


def test_an_index_of_which_one_child_is_here(
    make_landing: Callable[[str], Any], tar: Callable[..., bytes], stream: Stream
) -> None:
    here, there = make_landing("here"), make_landing("there")
    children = {
        p: here.registry.add_image(APP, [tar((Entry(p.architecture), b"x"))], p, tagged=False) for p in (ARM64, AMD64)
    }
    index = here.registry.add_index(APP, children)
    here.run(here.images.pull(APP, None, None, here.report))
    data = saved(here, "me/app:1")
    assert load(there, stream(data)) == ["Loaded image: me/app:1\n"]
    assert there.images.resolve("me/app:1").id == index.digest
    with pytest.raises(NotFound, match=r"requested platform\(s\) \(\[linux/arm64\]\) not found"):
        load(there, stream(data), ARM64)
    with pytest.raises(NotFound, match="no suitable export target found"):
        here.images.save(["me/app:1"], ARM64)


def docker_archive(tar: Callable[..., bytes], layers: list[bytes], tags: list[str] | None, **changes: Any) -> bytes:
    config = ImageConfig.build(
        platform=AMD64, run={}, created="2020-01-01T00:00:00Z", diff_ids=tuple(map(Digest.of, layers)), history=()
    ).raw
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    entry = {"Config": "config.json", "RepoTags": tags, "Layers": names, **changes}
    return tar(
        *((Entry(name), raw) for name, raw in zip(names, layers, strict=True)),
        (Entry("config.json"), config), (Entry("repositories"), b"{}"), (Entry("manifest.json"), json.dumps([entry]).encode()),
    )  # fmt: skip


def test_an_archive_of_an_older_docker(landing: Any, tar: Callable[..., bytes], stream: Stream) -> None:
    layers = [tar((Entry("a"), b"1")), gzip.compress(tar((Entry("b"), b"1")))]
    raw = docker_archive(tar, [layers[0]], ["old:1", "old:2"])
    assert load(landing, stream(raw)) == ["Loaded image: old:1\n", "Loaded image: old:2\n"]
    image = landing.images.resolve("old:2")
    assert image.target.media_type == "application/vnd.docker.distribution.manifest.v2+json"
    assert image.target.annotations["io.containerd.image.name"] == "docker.io/library/old:2"
    assert [layer.media_type for layer in image.manifest.layers] == ["application/vnd.docker.image.rootfs.diff.tar"]
    assert len(landing.blobs()) == 3  # manifest, config, layer: the rest of the archive is gone


def test_layers_shared_by_links(landing: Any, tar: Callable[..., bytes], stream: Stream) -> None:
    layer = tar((Entry("a"), b"1"))
    raw = docker_archive(tar, [layer], None, Layers=["9/layer.tar"])
    linked = tar(Entry("9/layer.tar", SYMLINK, link="../0/layer.tar"))[:-1024] + raw
    (line,) = load(landing, stream(linked))
    assert line.startswith("Loaded image ID: sha256:")


def blob(data: bytes, name: str = "") -> tuple[Entry, bytes]:
    return Entry(f"blobs/sha256/{name or Digest.of(data).hex}"), data


def layout(*manifests: Any) -> tuple[Entry, bytes]:
    return Entry("index.json"), json.dumps({"schemaVersion": 2, "manifests": manifests}).encode()


OCI = "application/vnd.oci.image.manifest.v1+json"
HOSTILE: dict[str, tuple[Any, type[NaruError], str]] = {
    "nothing": ((), InvalidArgument, "unrecognized image format"),
    "neither index nor manifest": ([(Entry("x"), b"x")], InvalidArgument, "unrecognized image format"),
    "a blob of another digest": ([blob(b"x", "0" * 64), layout()], DataLoss, "digest"),
    "a digest that is none": ([blob(b"x", "../../../x"), layout({"digest": "sha256:../x", "mediaType": OCI, "size": 1})], InvalidArgument, "digest"),
    "a blob folder of no algorithm": ([(Entry("blobs/md5/abc"), b"x")], InvalidArgument, "digest"),
    "a manifest that is missing": ([layout({"digest": "sha256:" + "0" * 64, "mediaType": OCI, "size": 1})], InvalidArgument, "no manifest"),
    "an index that is no object": ([(Entry("index.json"), b"[]")], InvalidArgument, "not a JSON object"),
    "an index too large": ([(Entry("index.json"), b" " * (5 << 20))], InvalidArgument, "larger than"),
    "deep JSON": ([(Entry("index.json"), b"[" * 100_000)], InvalidArgument, "JSON"),
    "a manifest.json that is no list": ([(Entry("manifest.json"), b"{}")], InvalidArgument, "not a list"),
    "a manifest.json without a config": ([(Entry("manifest.json"), b'[{"Layers":[]}]')], InvalidArgument, "no Config"),
    "a config outside": ([(Entry("manifest.json"), b'[{"Config":"/etc/passwd","Layers":[]}]')], InvalidArgument, "missing"),
    "a config up": ([(Entry("manifest.json"), b'[{"Config":"../../etc/passwd","Layers":[]}]')], InvalidArgument, "missing"),
    "links in a circle": (
        [Entry("a", SYMLINK, link="b"), Entry("b", SYMLINK, link="a"), (Entry("manifest.json"), b'[{"Config":"a","Layers":[]}]')],
        InvalidArgument, "missing",
    ),
    "a link outside": (
        [Entry("a", SYMLINK, link="/etc/passwd"), (Entry("manifest.json"), b'[{"Config":"a","Layers":[]}]')], InvalidArgument, "missing",
    ),
    "layers that are no strings": ([(Entry("manifest.json"), b'[{"Config":"a","Layers":[1]}]')], InvalidArgument, "strings"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives_leave_nothing(landing: Any, tar: Callable[..., bytes], stream: Stream, name: str) -> None:
    members, kind, words = HOSTILE[name]
    with pytest.raises(kind, match=words):
        load(landing, stream(tar(*members)))
    assert landing.is_empty()
    assert landing.images.list() == []


@pytest.mark.parametrize("data", [b"", b"no tar at all" * 100, b"\x1f\x8bnonsense"])
def test_what_is_no_archive(landing: Any, stream: Stream, data: bytes) -> None:
    with pytest.raises(InvalidArgument):
        load(landing, stream(data))
    assert landing.is_empty()


def test_a_bad_name_a_bad_layer(landing: Any, tar: Callable[..., bytes], stream: Stream) -> None:
    with pytest.raises(InvalidArgument, match="must be lowercase"):
        load(landing, stream(docker_archive(tar, [tar()], ["UPPER:1"])))
    with pytest.raises(InvalidArgument, match="path leaves the root"):
        load(landing, stream(docker_archive(tar, [tar((Entry("../x"), b"x"))], ["a:1"])))
    assert landing.is_empty()


def test_a_stream_that_breaks(landing: Any, tar: Callable[..., bytes]) -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield tar((Entry("a"), b"x" * 100_000))[:50_000]
        raise ConnectionResetError("the client went away")

    with pytest.raises(ConnectionResetError):
        load(landing, poured(breaks()))
    assert landing.is_empty()


def test_saving_what_is_not_there(landing: Any) -> None:
    with pytest.raises(NotFound, match="No such image: wire/none:1"):
        landing.images.save(["wire/none:1"])
