"""Naru as a library: make an image of a tar, push it, forget it, pull it again. No daemon, no container, no mount.

docs/examples/images.py FOLDER TAR REGISTRY   (`./demo` runs it where the host forbids containers)
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from naru.content.blobs import ContentStore
from naru.events import Bus
from naru.images.service import Images
from naru.oci.image import Platform
from naru.oci.reference import parse
from naru.remote.client import RegistryClient
from naru.remote.hosts import RegistryConfig
from naru.snapshots.overlay import Snapshots
from naru.store.db import Database


async def pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            yield piece


async def main(folder: Path, tar: Path, registry: str) -> None:
    for name in ("content", "snapshots"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    db = Database(str(folder / "naru.db"))
    client = RegistryClient(RegistryConfig(), "naru-example")
    store, snapshots = ContentStore(str(folder / "content")), Snapshots(str(folder / "snapshots"), db)
    images = Images(store, snapshots, db, Bus(), Platform("linux", "amd64"), client)
    name = parse(f"{registry}/demo/base:1")
    try:
        image = await images.import_(pieces(tar), name, run={"Cmd": ["bash"]})
        print(f"imported  {image.id}")
        await images.push(name, None, None, lambda progress: None)
        print(f"pushed    {name}")
        for removed in await images.remove(str(name)):
            print(f"removed   {removed.text}")
        image = await images.pull(name, None, None, lambda progress: None)
        print(f"pulled    {image.id}: {sum(images.size_bytes(image)) / 1e6:.0f} MB")
    finally:
        await client.close()
        db.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
