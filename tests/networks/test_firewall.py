from __future__ import annotations

from typing import Any

import pytest

from naru.linux.nft import Nft
from naru.networks.records import PortRequest

pytestmark = pytest.mark.root

WEB = PortRequest("tcp", 80, "", 8080)


def test_a_flushed_ruleset_is_put_back(play: Any) -> None:
    async def story(world: Any) -> None:
        web = await world.run("web", ports=(WEB,))
        await web.serve(80, b"web")
        with Nft() as nft:
            nft.run("flush ruleset")
        await world.until(lambda: world.has_table() and "172.17.0.2" in world.elements("published"))
        assert await world.fetch("127.0.0.1", 8080)
        with Nft() as nft:
            nft.run("flush ruleset")
        await world.run("second", ports=(PortRequest("tcp", 80, "", 8088),))  # before the daemon was told
        assert "8088" in world.elements("published") and "8080" in world.elements("published")

    play(story)
