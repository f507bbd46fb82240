"""File systems that a build stands on or reads from: images, pulled if need be, unpacked when first looked into; earlier
stages; the context. For one build."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack

from naru.build.runmounts import Tree
from naru.build.state import State
from naru.build.workspace import Workspace
from naru.errors import NotFound
from naru.events import Report
from naru.images.service import Images
from naru.images.values import Image
from naru.linux.files import Root
from naru.oci import reference
from naru.oci.digest import Digest, chain_ids
from naru.oci.image import Platform
from naru.remote.auth import Credentials


class Bases:
    """Roots that it opens are closed with `held`."""

    def __init__(
        self, images: Images, workspace: Workspace, held: AsyncExitStack, report: Report,
        credentials: Mapping[str, Credentials], *, pull: bool,
    ) -> None:  # fmt: skip
        self._images = images
        self._workspace = workspace
        self._held = held
        self._report = report
        self._credentials = credentials
        self._pull = pull
        self._found: dict[tuple[str, Platform | None], Image] = {}
        self._packed: dict[Digest, Image] = {}  # by chain: not unpacked yet, as far as we know
        self._roots: dict[Tree, Root] = {}

    async def image(self, name: str, platform: Platform | None) -> Image:
        """The same image however often a build names it. Raises what resolving and pulling raise."""
        if (name, platform) not in self._found:
            image = await self._resolve(name, platform)
            self._found[name, platform] = image
            if image.config.chain_id is not None:
                self._packed[image.config.chain_id] = image
        return self._found[name, platform]

    async def _resolve(self, name: str, platform: Platform | None) -> Image:
        if not self._pull:
            try:
                return self._images.resolve(name, platform)
            except NotFound:
                pass  # then it is pulled
        ref = reference.parse(name).with_default_tag()
        return await self._images.pull(ref, platform, self._credentials.get(ref.host), self._report)

    async def chain(self, state: State) -> Digest | None:
        """The chain of a state's layers, all of them snapshots when this returns; None for no layers."""
        chains = chain_ids(state.diff_ids)
        for chain in reversed(chains):
            if (image := self._packed.pop(chain, None)) is not None:
                await self._images.unpack(image)
        return chains[-1] if chains else None

    async def tree(self, name: str, platform: Platform | None) -> Tree:
        """An image's file system, by name; `scratch` is the empty one."""
        if name == "scratch":
            return Tree()
        return Tree(await self._images.unpack(await self.image(name, platform)))

    async def root(self, tree: Tree) -> Root:
        """A tree to read from, open until the build ends."""
        if tree not in self._roots:
            if tree.path:
                self._roots[tree] = self._held.enter_context(Root.at(tree.path))
            else:
                self._roots[tree] = await self._held.enter_async_context(self._workspace.viewed(tree.chain))
        return self._roots[tree]
