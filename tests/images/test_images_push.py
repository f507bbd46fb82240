from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from naru.errors import NotFound
from naru.oci import reference
from naru.oci.image import Platform
from naru.snapshots.tarformat import Entry

pytestmark = pytest.mark.root

HERE = reference.parse("127.0.0.1:5999/wire/push:1")
AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")


def push(landing: Any, name: str, platform: Platform | None = None) -> list[str]:
    landing.run(landing.images.push(reference.parse(name), platform, None, landing.report))
    lines: list[str] = landing.lines()
    return lines


@pytest.fixture
def image(landing: Any, tar: Callable[..., bytes]) -> Any:
    ref = reference.parse("busybox:latest")
    landing.registry.add_image(ref, [tar((Entry("a"), b"a")), tar((Entry("b"), b"b"))])
    image = landing.run(landing.images.pull(ref, None, None, lambda progress: None))
    landing.images.tag(image, HERE)
    return image


def test_what_pushes_say(landing: Any, image: Any) -> None:
    ids = [layer.digest.hex[:12] for layer in image.manifest.layers]
    last = f"1: digest: {image.id} size: {image.target.size}"
    landing.run(landing.images.push(HERE, None, None, landing.report))
    lines = landing.lines()
    assert lines[0] == "The push refers to repository [127.0.0.1:5999/wire/push]"
    assert lines[1:3] == [f"{id}: Preparing" for id in ids]
    assert {line for line in lines if line.endswith("Pushed")} == {f"{id}: Pushed" for id in ids}
    assert lines[-1] == last
    assert landing.registry.manifests[HERE.name, "1"] == (image.target.media_type, image.manifest.raw)
    lines = push(landing, str(HERE))
    assert {line for line in lines if line.endswith("exists")} == {f"{id}: Layer already exists" for id in ids}
    other = reference.parse("127.0.0.1:5999/wire/other:2")
    landing.images.tag(image, other)
    assert f"{ids[0]}: Mounted from wire/push" in push(landing, str(other))
    assert landing.actions()[-4:] == ["push", "push", "tag", "push"]


def test_all_tags_of_a_repository(landing: Any, image: Any) -> None:
    landing.images.tag(image, reference.parse("127.0.0.1:5999/wire/push:2"))
    push(landing, HERE.name)
    assert {name for repository, name in landing.registry.manifests if repository == HERE.name} >= {"1", "2"}


def test_what_is_not_here(landing: Any, image: Any) -> None:
    for name, message in (
        ("127.0.0.1:5999/wire/push:none", "tag does not exist: 127.0.0.1:5999/wire/push:none"),
        ("127.0.0.1:5999/wire/none", "An image does not exist locally with the tag: 127.0.0.1:5999/wire/none"),
    ):
        with pytest.raises(NotFound) as caught:
            push(landing, name)
        assert str(caught.value) == message
    with pytest.raises(NotFound, match=r"was found but does not provide the specified platform \(linux/arm64\)"):
        push(landing, str(HERE), ARM64)


def test_an_index_goes_whole_or_as_the_one_image_that_is_here(landing: Any, tar: Callable[..., bytes]) -> None:
    ref = reference.parse("multi:1")
    children = {
        p: landing.registry.add_image(ref, [tar((Entry(p.architecture), b"x"))], p, tagged=False)
        for p in (AMD64, ARM64)
    }
    index = landing.registry.add_index(ref, children)
    there = reference.parse("127.0.0.1:5999/multi:1")
    image = landing.run(landing.images.pull(ref, None, None, lambda progress: None))
    landing.images.tag(image, there)
    push(landing, str(there))
    assert landing.registry.manifests[there.name, "1"][1] == image.manifest.raw
    landing.run(landing.images.pull(ref, ARM64, None, lambda progress: None))
    push(landing, str(there))
    assert (there.name, index.digest) in landing.registry.manifests
    assert all((there.name, child.digest) in landing.registry.manifests for child in children.values())
