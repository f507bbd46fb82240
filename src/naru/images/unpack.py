"""Images into snapshots: each missing layer once, several at a time, all of an image committed with one sync."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack

from naru.content.blobs import ContentStore
from naru.errors import InvalidArgument
from naru.events import Progress, Report
from naru.images.together import OneAtATime, together
from naru.images.values import short_id
from naru.linux.threads import finish_in_thread
from naru.oci.digest import Digest, chain_ids
from naru.oci.image import Descriptor, ImageConfig, Manifest
from naru.snapshots.apply import extract_layer
from naru.snapshots.overlay import Snapshots, Staged

WORKERS = 3  # layers unpacked at the same time, of all images together
LAYER_LIMIT = 500  # what overlayfs takes in one stack


async def _at_once(index: int) -> None:
    """Every layer is in the store already."""


def _silent(progress: Progress) -> None:
    """Nobody watches."""


class Unpacker:
    def __init__(self, store: ContentStore, snapshots: Snapshots) -> None:
        self._store = store
        self._snapshots = snapshots
        self._alone = OneAtATime()
        self._slots = asyncio.Semaphore(WORKERS)

    async def unpack(
        self, manifest: Manifest, config: ImageConfig, *,
        wait_layer: Callable[[int], Awaitable[None]] = _at_once, report: Report = _silent,
    ) -> Digest | None:  # fmt: skip
        """Every layer of the image is a committed snapshot when this returns the chain ID of the stack.

        Several calls unpack a layer that they share once. `wait_layer(i)` returns when blob i is in the store. Raises
        DataLoss if a layer is not what the config says, InvalidArgument for a malformed one, Unavailable, NotFound.
        """
        chains = chains_of(manifest, config)
        if not chains or self._snapshots.has(chains[-1]):  # and with it those below
            return chains[-1] if chains else None
        async with AsyncExitStack() as held:
            # Bottom first, and stacks share prefixes only: all callers take shared locks in the same order.
            for chain in chains:
                if not self._snapshots.has(chain):
                    await held.enter_async_context(self._alone(chain))
            missing = [index for index, chain in enumerate(chains) if not self._snapshots.has(chain)]
            if missing:
                await self._add(manifest.layers, config.diff_ids, chains, missing, wait_layer, report)
        return chains[-1]

    async def _add(
        self, layers: Sequence[Descriptor], diff_ids: Sequence[Digest], chains: Sequence[Digest],
        missing: Sequence[int], wait_layer: Callable[[int], Awaitable[None]], report: Report,
    ) -> None:  # fmt: skip
        staged: dict[int, Staged] = {}

        async def extract(index: int) -> None:
            await wait_layer(index)
            async with self._slots:
                report(Progress("Extracting", short_id(layers[index].digest), 0, layers[index].size))
                staged[index] = await extract_layer(self._snapshots, self._store, layers[index], diff_ids[index])
            size = layers[index].size
            report(Progress("Extracting", short_id(layers[index].digest), size, size))

        try:
            await together(*(extract(index) for index in missing))
            for run in _runs(missing):
                parent = chains[run[0] - 1] if run[0] else None
                await finish_in_thread(
                    self._snapshots.commit_staged, [staged[i] for i in run], [chains[i] for i in run], parent
                )
                for index in run:
                    del staged[index]
                    report(Progress("Pull complete", short_id(layers[index].digest)))
        finally:
            if staged:
                await finish_in_thread(self._snapshots.destroy, [each.path for each in staged.values()])


def chains_of(manifest: Manifest, config: ImageConfig) -> tuple[Digest, ...]:
    """The chain ID of each layer, bottom first. Raises InvalidArgument if config and manifest do not fit together."""
    if len(manifest.layers) != len(config.diff_ids):
        raise InvalidArgument(
            f"image {manifest.descriptor.digest}: {len(manifest.layers)} layers, {len(config.diff_ids)} diff IDs"
        )
    if len(config.diff_ids) > LAYER_LIMIT:
        raise InvalidArgument(f"image {manifest.descriptor.digest}: more than {LAYER_LIMIT} layers")
    return chain_ids(config.diff_ids)


def _runs(indices: Sequence[int]) -> Iterator[list[int]]:
    """Consecutive indices together: each run is committed on top of a layer that exists."""
    run: list[int] = []
    for index in indices:
        if run and index != run[-1] + 1:
            yield run
            run = []
        run.append(index)
    if run:
        yield run
