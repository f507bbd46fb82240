"""Names, removal, prune and garbage, with the words of shared/wire/docker29/images.json and errors.json."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from naru.errors import Conflict, InvalidArgument, NotFound
from naru.images.removal import PruneFilter
from naru.images.values import Removed, Use, parse_rfc3339, rfc3339
from naru.oci import reference
from naru.oci.image import Platform
from naru.snapshots.tarformat import Entry

pytestmark = pytest.mark.root


@pytest.fixture
def add(landing: Any, tar: Callable[..., bytes]) -> Callable[..., Any]:
    """An image by this name, with a layer of its own on top of one that all share."""

    def make(name: str, **options: Any) -> Any:
        ref = reference.parse(name).with_default_tag()
        landing.registry.add_image(ref, [tar((Entry("base"), b"b")), tar((Entry(name), b"x"))], **options)
        return landing.run(landing.images.pull(ref, None, None, lambda progress: None))

    return make


def test_every_way_to_name_an_image(landing: Any, add: Callable[..., Any]) -> None:
    image = add("me/app:1")
    add("other")
    ways = ["me/app:1", "docker.io/me/app:1", "index.docker.io/me/app:1", image.id, image.id.hex, image.id.hex[:12],
            image.id.hex[:4], "sha256:" + image.id.hex[:8], f"me/app@{image.id}", f"me/app:1@{image.id}"]  # fmt: skip
    assert {landing.images.resolve(way).id for way in ways} == {image.id}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wire/none:1", "No such image: wire/none:1"), ("none", "No such image: none:latest"),
        ("wire/none@sha256:" + "1" * 64, "No such image: wire/none@sha256:" + "1" * 64),
        ("sha256:" + "1" * 64, "No such image: sha256:" + "1" * 64), ("1" * 64, "No such image: sha256:" + "1" * 64),
        ("abcdef123456", "No such image: abcdef123456:latest"),
    ],
)  # fmt: skip
def test_no_such_image(landing: Any, name: str, message: str) -> None:
    with pytest.raises(NotFound) as caught:
        landing.images.resolve(name)
    assert str(caught.value) == message


def test_a_digest_belongs_to_its_repository(landing: Any, add: Callable[..., Any]) -> None:
    image = add("me/app:1")
    with pytest.raises(NotFound, match="No such image: other@sha256:"):
        landing.images.resolve(f"other@{image.id}")


def test_bad_names(landing: Any) -> None:
    for name in ("UPPER", ":", "a:b:c", "a@sha256:xyz", "a b"):
        with pytest.raises(InvalidArgument, match="invalid reference format"):
            landing.images.resolve(name)


def test_an_ambiguous_prefix(landing: Any, add: Callable[..., Any]) -> None:
    ids = [add(f"app:{number}").id.hex for number in range(3)]
    landing.db.write(
        "UPDATE image_name SET digest = 'sha256:' || 'abcd' || substr(digest, 12) WHERE reference LIKE '%:1' OR reference LIKE '%:2'"
    )
    with pytest.raises(NotFound, match="ambiguous reference"):
        landing.images.resolve("abcd")
    assert landing.images.resolve(ids[0][:12]).id.hex == ids[0]


def test_another_platform(landing: Any, add: Callable[..., Any]) -> None:
    add("wire/loaded:1")
    assert landing.images.resolve("wire/loaded:1", Platform("linux", "amd64"))
    with pytest.raises(NotFound) as caught:
        landing.images.resolve("wire/loaded:1", Platform("linux", "arm64"))
    assert str(caught.value) == (
        "image with reference wire/loaded:1 was found but does not provide the specified platform (linux/arm64)"
    )


def test_tags(landing: Any, add: Callable[..., Any]) -> None:
    first, second = add("a"), add("b")
    landing.images.tag(first, reference.parse("wire/t"))
    assert [name.familiar for name in landing.images.resolve("wire/t").names] == ["a:latest", "wire/t:latest"]
    landing.images.tag(second, reference.parse("a"))
    assert landing.images.resolve("a").id == second.id
    assert [name.familiar for name in landing.images.resolve("wire/t").names] == ["wire/t:latest"]
    with pytest.raises(InvalidArgument, match="cannot import digest reference"):
        landing.images.tag(first, reference.parse(f"a@{first.id}"))
    assert landing.actions() == ["pull", "pull", "tag", "tag"]


def test_untag_then_delete(landing: Any, add: Callable[..., Any]) -> None:
    image = add("a")
    landing.images.tag(image, reference.parse("b"))
    assert landing.run(landing.images.remove("a")) == [Removed("Untagged", "a:latest")]
    assert landing.run(landing.images.remove("b")) == [Removed("Untagged", "b:latest"), Removed("Deleted", image.id)]
    assert landing.is_empty()
    assert landing.actions()[2:] == ["untag", "untag", "delete"]
    with pytest.raises(NotFound):
        landing.run(landing.images.remove("b"))


def test_by_id_with_names_in_several_repositories(landing: Any, add: Callable[..., Any]) -> None:
    image = add("a:1")
    landing.images.tag(image, reference.parse("a:2"))
    landing.images.tag(image, reference.parse("b:1"))
    with pytest.raises(Conflict) as caught:
        landing.run(landing.images.remove(image.id.hex[:12]))
    assert str(caught.value) == (
        f"conflict: unable to delete {image.id.hex[:12]} (must be forced) - image is referenced in multiple repositories"
    )
    removed = landing.run(landing.images.remove(image.id, force=True))
    assert [line.text for line in removed] == ["a:1", "a:2", "b:1", image.id]


@pytest.mark.parametrize("running", [True, False])
def test_in_use(landing: Any, add: Callable[..., Any], running: bool) -> None:
    image = add("busybox")
    landing.images.uses = lambda: [Use("c" * 64, image.id, "busybox", running)]
    short = image.id.hex[:12]
    with pytest.raises(Conflict) as caught:
        landing.run(landing.images.remove("busybox"))
    assert str(caught.value) == (
        f"conflict: unable to delete busybox:latest (must be forced) - container {'c' * 12} is using its referenced image {short}"
    )
    with pytest.raises(Conflict, match="running container" if running else "stopped container"):
        landing.run(landing.images.remove(short))
    assert landing.run(landing.images.prune(PruneFilter(dangling_only=False))) == ([], 0)
    assert landing.run(landing.images.remove("busybox", force=True)) == [Removed("Untagged", "busybox:latest")]
    assert landing.images.resolve(short).names == ()


def test_prune(landing: Any, add: Callable[..., Any]) -> None:
    old, dangling = add("old", run={"Labels": {"a": "b"}}), add("moved:1")
    add("kept:1")
    landing.images.tag(landing.images.resolve("kept:1"), reference.parse("moved:1"))
    removed, size_bytes = landing.run(landing.images.prune(PruneFilter()))
    assert removed == [Removed("Deleted", dangling.id)]
    assert size_bytes > 0
    for nothing in (
        PruneFilter(labels=["a=b"]),
        PruneFilter(False, labels=["a=c"]),
        PruneFilter(False, until_ns=1),
        PruneFilter(False, labels=["a"], without_labels=["a"]),
    ):
        assert landing.run(landing.images.prune(nothing)) == ([], 0)
    removed, _ = landing.run(landing.images.prune(PruneFilter(dangling_only=False, labels=["a"])))
    assert removed == [Removed("Untagged", "old:latest"), Removed("Deleted", old.id)]
    assert len(landing.images.list()) == 1


def test_containers_and_builds_keep_their_layers(landing: Any, add: Callable[..., Any]) -> None:
    held, built, gone = add("held"), add("built"), add("gone")
    landing.snapshots.prepare("c1", held.chain_id)
    landing.db.write(
        "INSERT INTO build_cache (key, chain_id, record, created_ns, used_ns) VALUES ('k', ?, '', 0, 0)", built.chain_id
    )
    for name in ("held", "built", "gone"):
        landing.run(landing.images.remove(name))
    assert landing.blobs() == set()
    assert [landing.snapshots.has(image.chain_id) for image in (held, built, gone)] == [True, True, False]
    assert len(landing.snapshots.chains()) == 3
    landing.snapshots.remove("c1")
    landing.db.write("DELETE FROM build_cache")
    landing.run(landing.images.collect())
    assert landing.is_empty()


def test_leases_protect_and_end_with_the_process(landing: Any, add: Callable[..., Any]) -> None:
    image = add("a")
    with landing.images.lease() as lease:
        lease.add(image.id)
        landing.run(landing.images.remove("a"))
        assert landing.snapshots.has(image.chain_id)
        assert len(landing.blobs()) == 4
        landing.run(landing.images.recover())  # as after a crash: nobody holds the old lease any more
        assert landing.is_empty()


def test_a_damaged_image_hides_no_other_and_can_be_removed(landing: Any, add: Callable[..., Any]) -> None:
    damaged, whole = add("a"), add("b")
    with open(landing.store.path(damaged.manifest.config.digest), "wb") as file:
        file.write(b"rubbish")
    fresh = type(landing.images)(
        landing.store, landing.snapshots, landing.db, landing.bus, landing.images.platform, landing.registry
    )
    assert [image.id for image in fresh.list()] == [whole.id]
    assert landing.run(fresh.remove("a"))[-1] == Removed("Deleted", damaged.id)
    assert landing.snapshots.has(whole.chain_id)


def test_sizes(landing: Any, add: Callable[..., Any]) -> None:
    image = add("a")
    content, unpacked = landing.images.size_bytes(image)
    assert content == sum(os.stat(landing.store.path(digest)).st_size for digest in landing.blobs())
    assert unpacked == 2 * 4096


def test_shared_blobs_stay(landing: Any, add: Callable[..., Any]) -> None:
    add("a")
    whole = add("b")
    landing.run(landing.images.remove("a"))
    assert landing.run(landing.images.unpack(whole)) == whole.chain_id
    assert all(landing.store.has(layer.digest) for layer in whole.manifest.layers)


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("1970-01-01T00:00:01Z", 10**9), ("1970-01-01T00:00:01.5Z", 1_500_000_000), ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T00:00:00.000000001Z", 1), ("", 0), ("yesterday", 0), ("2020-99-01T00:00:00Z", 0),
    ],
)  # fmt: skip
def test_times(text: str, time_ns: int) -> None:
    assert parse_rfc3339(text) == time_ns
    assert parse_rfc3339(rfc3339(time_ns)) == time_ns
