from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from naru.linux import netns
from naru.linux.nft import Nft, TableWatch, has_table

pytestmark = pytest.mark.root


@pytest.fixture
def inside() -> Iterator[Callable[[Callable[[], Any]], Any]]:
    fd = netns.create()
    yield lambda work: netns.inside(fd, work)
    os.close(fd)


def test_one_text_is_one_transaction(inside: Any) -> None:
    def work() -> None:
        with Nft() as nft:
            nft.run("table inet t { set s { type inet_service; }; }")
            assert has_table(nft, "t") and not has_table(nft, "tt")
            nft.run("add element inet t s { 1 }\nadd element inet t s { 2 }")
            assert "elements = { 1, 2 }" in nft.run("list set inet t s")
            with pytest.raises(OSError, match="No such file or directory"):
                nft.run("add element inet t s { 3 }\nadd element inet t nope { 4 }")
            with pytest.raises(OSError, match="File exists"):
                nft.run("add element inet t s { 4 }\ncreate element inet t s { 1 }")
            with pytest.raises(OSError, match="syntax error"):
                nft.run("nonsense")
            assert "elements = { 1, 2 }" in nft.run("list set inet t s")

    inside(work)


def test_a_context_belongs_to_the_namespace_where_it_was_made(inside: Any) -> None:
    def make() -> Nft:
        return Nft()

    nft = inside(make)
    nft.run("table inet only_there {}")
    assert "only_there" in inside(lambda: nft.run("list tables"))
    with Nft() as ours:
        assert not has_table(ours, "only_there")
    nft.close()
    nft.close()


def test_watch_tells_of_a_deleted_table(inside: Any) -> None:
    def work() -> None:
        watch = TableWatch()
        with Nft() as nft:
            nft.run("table inet t {}")
            assert select.select([watch], [], [], 2)[0]
            assert not watch.deleted()
            nft.run("flush ruleset")
            assert select.select([watch], [], [], 2)[0]
            assert watch.deleted() and not watch.deleted()
        watch.close()

    inside(work)
