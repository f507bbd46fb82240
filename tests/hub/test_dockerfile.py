"""Dockerfiles recovered from histories: whole, squashed, too long, too short, and none."""

from __future__ import annotations

from typing import Any

from naru.hub.catalog.dockerfile import Step, recovered_text, steps
from naru.oci.digest import Digest
from naru.oci.image import OCI_LAYER_GZIP, Descriptor, ImageConfig, dump_json

BLOBS = [Digest.of(bytes([number])) for number in range(9)]


def config(*history: dict[str, Any]) -> ImageConfig:
    return ImageConfig.parse(dump_json({"os": "linux", "architecture": "amd64", "history": list(history)}))


def layers(count: int) -> list[Descriptor]:
    return [Descriptor(OCI_LAYER_GZIP, BLOBS[number], 1000 + number) for number in range(count)]


def made(created_by: str, **more: Any) -> dict[str, Any]:
    return {"created_by": created_by, "created": "2026-01-02T03:04:05Z", **more}


def empty(created_by: str, **more: Any) -> dict[str, Any]:
    return made(created_by, empty_layer=True, **more)


def placed(found: tuple[Step, ...]) -> list[tuple[str, int | None]]:
    """Each step's first word and which layer it made."""
    numbers: dict[Digest | None, int] = {digest: number for number, digest in enumerate(BLOBS)}
    return [(step.instruction.partition(" ")[0], numbers.get(step.layer_digest)) for step in found]


IMAGE = config(
    made("# debian.sh --arch 'amd64' out/ 'trixie'", comment="debuerreotype 0.15"),
    empty('/bin/sh -c #(nop)  CMD ["bash"]'),
    empty("SHELL [/bin/bash -o pipefail -c]", comment="buildkit.dockerfile.v0"),
    empty("ARG VERSION=1.27", comment="buildkit.dockerfile.v0"),
    made(
        "RUN |1 VERSION=1.27 /bin/bash -o pipefail -c apt-get update && apt-get install -y --no-install-recommends nginx=$VERSION"
        " && rm -rf /var/lib/apt/lists/* # buildkit",
        comment="buildkit.dockerfile.v0",
    ),
    made("COPY docker-entrypoint.sh / # buildkit", comment="buildkit.dockerfile.v0"),
    empty('CMD ["nginx" "-g" "daemon off;"]', comment="buildkit.dockerfile.v0"),
)


def test_a_whole_history() -> None:
    found = steps(IMAGE, layers(3))
    assert placed(found) == [
        ("#", 0), ("CMD", None), ("SHELL", None), ("ARG", None), ("#", 1), ("COPY", 2), ("CMD", None),
    ]  # fmt: skip
    assert found[5] == Step(
        "COPY docker-entrypoint.sh /", "COPY docker-entrypoint.sh / # buildkit", False, BLOBS[2], 1002,
        "2026-01-02T03:04:05Z", "buildkit.dockerfile.v0",
    )  # fmt: skip
    assert [step.empty_layer for step in found] == [False, True, True, True, False, False, True]


def test_its_text() -> None:
    assert (
        recovered_text(steps(IMAGE, layers(3)))
        == """\
# recovered from the image's history
FROM scratch
# debuerreotype 0.15
# debian.sh --arch 'amd64' out/ 'trixie'
CMD ["bash"]
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ARG VERSION=1.27
# with VERSION=1.27
RUN apt-get update \\
    && apt-get install -y --no-install-recommends nginx=$VERSION \\
    && rm -rf /var/lib/apt/lists/*
COPY docker-entrypoint.sh /
CMD ["nginx", "-g", "daemon off;"]
"""
    )


def test_layers_beyond_the_history_are_steps_of_their_own() -> None:
    found = steps(config(made("ADD rootfs.tar /"), empty("USER x")), layers(3))
    assert placed(found) == [("ADD", 0), ("USER", None), ("", 1), ("", 2)]
    assert recovered_text(found).endswith(f"# a layer of which the history tells nothing: {BLOBS[2]} (1002 bytes)\n")
    assert placed(steps(config(), layers(2))) == [("", 0), ("", 1)]
    assert steps(config(), []) == ()
    assert recovered_text(()) == "# recovered from the image's history\nFROM scratch\n"


def test_a_builder_that_forgot_to_say_which_steps_are_empty() -> None:
    found = steps(config(made("ADD rootfs.tar /"), made("ENV A=1"), made("RUN make"), made("CMD app")), layers(2))
    assert placed(found) == [("ADD", 0), ("ENV", None), ("RUN", 1), ("CMD", None)]
    assert [step.empty_layer for step in found] == [False, True, False, True]
    # With as many layers as steps there is nothing to put right.
    assert placed(steps(config(made("ADD x /"), made("ENV A=1")), layers(2))) == [("ADD", 0), ("ENV", 1)]


def test_steps_beyond_the_layers_are_not_given_any() -> None:
    found = steps(config(made("RUN one"), made("RUN two"), made("RUN three")), layers(2))
    assert placed(found) == [("RUN", 0), ("RUN", 1), ("RUN", None)]
    assert (found[2].empty_layer, found[2].size_bytes) == (False, None)


def test_entries_without_created_by() -> None:
    squashed = config(empty("RUN make"), {"comment": "merge sha256:aa to sha256:bb"}, {"empty_layer": True})
    found = steps(squashed, layers(1))
    assert placed(found) == [("RUN", None), ("#", 0), ("", None)]
    assert recovered_text(found).splitlines()[2:] == [
        "RUN make", "# merge sha256:aa to sha256:bb", "# a step of which the history tells nothing",
    ]  # fmt: skip


def test_no_entry_can_pass_for_another() -> None:
    hostile = config(
        made("bazel\nRUN evil", comment="x\rUSER root"),
        empty("ENV A=b\nUSER root"),
        empty("WORKDIR /a\x0b\n\nUSER root"),
    )
    lines = recovered_text(steps(hostile, layers(1))).splitlines()
    assert [line for line in lines if not line.startswith(("#", "    "))] == [
        "FROM scratch", 'ENV A="b \\', "WORKDIR /a\ufffd \\",
    ]  # fmt: skip


def test_surrogates_do_not_get_through() -> None:
    raw = b'{"history": [{"created_by": "RUN \\ud800", "comment": "\\udfff", "created": "\\ud800"}]}'
    found = steps(ImageConfig.parse(raw), layers(1))
    assert found[0].instruction == found[0].created_by == "RUN \ufffd"
    recovered_text(found).encode()


def test_thousands_of_layers() -> None:
    many = [Descriptor(OCI_LAYER_GZIP, Digest.of(str(number).encode()), number) for number in range(5_000)]
    found = steps(config(*[made("RUN x")] * 5_000), many)
    assert [step.size_bytes for step in found] == list(range(5_000))
