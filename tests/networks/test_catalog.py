from __future__ import annotations

from typing import Any

import pytest

from naru.errors import InvalidArgument
from naru.networks.records import PortRequest

pytestmark = pytest.mark.root

WEB = PortRequest("tcp", 80, "", 8080)


def test_filters_and_prune(play: Any) -> None:
    async def story(world: Any) -> None:
        app = await world.networks.create("app-one", labels={"k": "v"})
        await world.networks.create("two")

        def names(**filters: list[str]) -> list[str]:
            return sorted(network.name for network in world.networks.list(filters))

        assert names(name=["app"]) == names(name=["^app-one$"]) == ["app-one"]
        assert names(id=[app.id[:6]]) == names(label=["k"]) == names(label=["k=v"]) == ["app-one"]
        assert names(label=["k=x"]) == names(scope=["swarm"]) == []
        assert names(driver=["null"]) == ["none"]
        assert names(type=["builtin"]) == ["bridge", "host", "none"]
        await world.run("web", "two")
        assert names(dangling=["true"]) == ["app-one"]
        assert names(dangling=["0"], type=["custom"]) == ["two"]
        for filters, message in (
            ({"nonsense": ["1"]}, "invalid filter 'nonsense'"),
            ({"type": ["x"]}, "invalid value for filter 'type': must be 'builtin' or 'custom'"),
            (
                {"dangling": ["x"]},
                'invalid value for filter \'dangling\': must be "true" (or "1"), or "false" (or "0")',
            ),
        ):
            with pytest.raises(InvalidArgument) as caught:
                world.networks.list(filters)
            assert str(caught.value) == message
        assert await world.networks.prune({"label!": ["k"]}) == []
        assert await world.networks.prune({}, created_before_ns=app.created_ns) == []
        assert await world.networks.prune({}) == ["app-one"]
        assert world.events()[-1] == ("prune", {"reclaimed": "0"})

    play(story)
