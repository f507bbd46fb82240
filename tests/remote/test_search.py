from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from handmade import RawServer, Seen, client, reply

from naru.errors import Internal, InvalidArgument, NaruError, NotFound, Unauthenticated, Unavailable
from naru.remote.auth import Credentials
from naru.remote.hosts import RegistryConfig
from naru.remote.search import parse_results, split_term

ROW = {"name": "a/b", "description": "two\nlines", "is_official": True, "is_automated": False, "star_count": 7}
FOUND = {"query": "b", "num_results": 2, "results": [{**ROW, "pull_count": 9}, {"name": "bare", "description": None}]}
ROWS = [
    {**ROW, "description": "two lines"},
    {"name": "bare", "description": "", "is_official": False, "is_automated": False, "star_count": 0},
]
ME = Credentials("me", "hush")


def search(
    answer: Callable[[Seen], bytes], limit: int = 25, credentials: Credentials | None = None
) -> tuple[list[dict[str, object]], list[Seen]]:
    async def main() -> tuple[list[dict[str, object]], list[Seen]]:
        async with RawServer(answer) as server, client() as registry:
            return await registry.search(f"{server.host}/team/b c&d", limit, credentials), server.seen

    return asyncio.run(main())


def test_rows_are_those_of_docker() -> None:
    rows, (seen,) = search(lambda _: reply(200, FOUND))
    assert rows == ROWS and list(rows[0]) == list(ROW)
    parts = urlsplit(seen.target)
    assert parts.path == "/v1/search" and parse_qs(parts.query) == {"q": ["team/b c&d"], "n": ["25"]}
    assert search(lambda _: reply(200, FOUND), limit=1)[0] == ROWS[:1]
    assert search(lambda _: reply(200, {"results": None}))[0] == []


def test_credentials_go_along_when_asked_for() -> None:
    def closed(request: Seen) -> bytes:
        return reply(200, FOUND) if request.authorization else reply(401, www_authenticate="Basic realm=x")

    _, seen = search(closed, credentials=ME)
    assert [s.authorization for s in seen] == ["", ME.basic()]
    with pytest.raises(Unauthenticated, match="no basic auth credentials"):
        search(closed)


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (reply(404), NotFound, r'Get "http://127.0.0.1:\d+/v1/search": unexpected status code 404'),
        (reply(500), Unavailable, "unexpected status code 500"),
        (reply(200, b"<html>"), Unavailable, "invalid search results"),
        (reply(200, {"results": "x"}), Unavailable, "invalid search results"),
        (reply(200, {"results": ["x"]}), Unavailable, "invalid search results"),
        (reply(200, {"results": [{"name": 1}]}), Unavailable, "invalid search results"),
        (reply(200, {"results": [{"star_count": True}]}), Unavailable, "invalid search results"),
        (reply(200, b"x" * (1 << 20) + b"x"), Unavailable, "larger than"),
    ],
)
def test_bad_answers_are_refused(answer: bytes, kind: type[NaruError], text: str) -> None:
    with pytest.raises(kind, match=text):
        search(lambda _: answer)


def test_the_first_mirror_that_answers_is_taken_and_sees_no_credentials() -> None:
    async def main() -> None:
        async with RawServer(lambda _: reply(404)) as empty, RawServer(lambda _: reply(200, FOUND)) as full:
            mirrors = RegistryConfig(mirrors=("127.0.0.1:9", empty.host, full.host), default_registry="127.0.0.1:9")
            async with client(mirrors) as registry:
                assert await registry.search("library/b", 5, ME) == ROWS
            async with client(RegistryConfig(mirrors=(empty.host,), default_registry=full.host)) as registry:
                assert await registry.search("b", 5, ME) == ROWS
            assert [s.target for s in empty.seen] == ["/v1/search?q=b&n=5"] * 2
            assert not any(s.authorization for s in (*empty.seen, *full.seen))

    asyncio.run(main())


def test_a_registry_that_is_not_there() -> None:
    async def main() -> None:
        async with client() as registry:
            await registry.search("127.0.0.1:9/x", 25, None)

    with pytest.raises(Internal, match=r"dial tcp 127.0.0.1:9: connect: connection refused"):
        asyncio.run(main())


@pytest.mark.parametrize("limit", [0, 101])
def test_limits(limit: int) -> None:
    with pytest.raises(InvalidArgument, match=rf"limit {limit} is outside the range of \[1, 100\]"):
        search(lambda _: reply(200, FOUND), limit)


@pytest.mark.parametrize(
    ("term", "parts"),
    [
        ("nginx", ("docker.io", "nginx")),
        ("library/nginx", ("docker.io", "nginx")),
        ("me/app", ("docker.io", "me/app")),
        ("docker.io/library/nginx", ("docker.io", "nginx")),
        ("index.docker.io/me/app", ("docker.io", "me/app")),
        ("localhost/app", ("localhost", "app")),
        ("host:5000/library/app", ("host:5000", "library/app")),
        ("quay.io/", ("quay.io", "")),
        ("quay.io", ("docker.io", "quay.io")),
        ("", ("docker.io", "")),
    ],
)
def test_terms(term: str, parts: tuple[str, str]) -> None:
    assert split_term(term) == parts


@pytest.mark.parametrize("term", ["https://quay.io/x", "a b.c/x", "h:99999/x", "-x.y/z"])
def test_bad_terms(term: str) -> None:
    with pytest.raises(InvalidArgument):
        split_term(term)


def test_absurd_answers_are_not_crashes() -> None:
    for raw in (b"[" * 100_000, b"[]", b"\xff", json.dumps({"results": [[]]}).encode()):
        with pytest.raises(Unavailable):
            parse_results(raw, "x")
