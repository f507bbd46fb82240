"""An image's Dockerfile, as far as its history tells. Pure: image config and layers in, steps and text out.

OCI image-spec, config.md: `history` has an entry per build step, and those without `empty_layer` belong to
`rootfs.diff_ids` in order. Their `created_by` is free text: BuildKit writes `RUN /bin/sh -c … # buildkit`, the classic
builder (and ours, and Buildah) `/bin/sh -c …` for what ran and `/bin/sh -c #(nop)  CMD …` for what did not, and others
what they like. What cannot be known (files of a COPY, the FROM under all of it, values with quotes) is not invented:
text that is not understood is a comment. `createdby` reads the single entry; here they are put beside the layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from naru.hub.catalog.createdby import DEFAULT_SHELL, NO_LAYER, Recovered, clean, commented, recover
from naru.oci.digest import Digest
from naru.oci.image import Descriptor, History, ImageConfig

_HEADER = "# recovered from the image's history"
# What BuildKit notes of every step, which says nothing of this one.
_USUAL = ("buildkit.dockerfile.v0", "buildkit.exporter.image.v0")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the build, oldest first.

    `instruction` is a Dockerfile's, of one or more lines; a comment if `created_by` was not understood; "" if there was
    nothing to understand. `created_by` is as received, but for control characters. A step that made a layer has its
    digest and compressed size, unless the history lists more of them than the manifest has layers: the last ones then
    have none.
    """

    instruction: str
    created_by: str
    empty_layer: bool
    layer_digest: Digest | None
    size_bytes: int | None
    created: str
    comment: str


def steps(config: ImageConfig, layers: Sequence[Descriptor]) -> tuple[Step, ...]:
    """The history beside the manifest's layers; layers beyond what the history tells become steps of their own,
    last."""
    read = _recovered(config.history)
    made = [not entry.empty_layer for entry in config.history]
    if sum(made) > len(layers):  # some builders forget to say which steps are empty
        made = [flag and one.keyword not in NO_LAYER for flag, one in zip(made, read, strict=True)]
    left = iter(layers)
    found = [
        _step(entry, one.text, has_layer, next(left, None) if has_layer else None)
        for entry, one, has_layer in zip(config.history, read, made, strict=True)
    ]
    return (*found, *(_step(History(), "", True, layer) for layer in left))


def recovered_text(found: Sequence[Step]) -> str:
    """A whole Dockerfile. It starts from scratch: the history of an image goes down to the lowest layer of its base."""
    lines = [_HEADER, "FROM scratch"]
    for step in found:
        if step.comment and step.comment not in _USUAL and step.created_by:
            lines.append(commented(step.comment))
        lines.append(step.instruction or _untold(step))
    return "\n".join(lines) + "\n"


def _recovered(history: Sequence[History]) -> list[Recovered]:
    """In order, because a SHELL decides how the RUNs after it are to be read."""
    shell = DEFAULT_SHELL
    out: list[Recovered] = []
    for entry in history:
        one = recover(entry.created_by, shell) if entry.created_by else Recovered("", commented(entry.comment))
        shell = one.shell or shell
        out.append(one)
    return out


def _step(entry: History, instruction: str, has_layer: bool, layer: Descriptor | None) -> Step:
    digest, size_bytes = (layer.digest, layer.size) if layer is not None else (None, None)
    created_by, created, comment = map(clean, (entry.created_by, entry.created, entry.comment))
    return Step(instruction, created_by, not has_layer, digest, size_bytes, created, comment)


def _untold(step: Step) -> str:
    if step.layer_digest is None:
        return "# a step of which the history tells nothing"
    return f"# a layer of which the history tells nothing: {step.layer_digest} ({step.size_bytes} bytes)"
