"""Routing, versions, headers and errors, over a real connection."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from naru.api.app import App, Request, Route
from naru.errors import Conflict, NotModified
from naru.wire.container import ExecStart

Run = Callable[..., None]


async def show(request: Request) -> None:
    await request.answer(
        {"values": dict(request.values), "query": request.query.values, "version": list(request.version)}
    )


async def body(request: Request) -> None:
    made = await request.json(ExecStart, "container.ExecStartRequest", optional=True)
    await request.answer({"detach": made.detach})


async def refuse(request: Request) -> None:
    raise {"conflict": Conflict("in use"), "not-modified": NotModified("so"), "bug": KeyError("x")}[request["what"]]


async def late(request: Request) -> None:
    await request.exchange.begin(200)
    await request.exchange.write(b"{}\n")
    raise Conflict("too late")


APP = App(
    [
        Route("GET", "/version", show), Route("GET", "/containers/{name}/json", show), Route("GET", "/images/{name:*}/json", show),
        Route("GET", "/images/json", show), Route("POST", "/body", body), Route("GET", "/refuse/{what}", refuse), Route("GET", "/late", late),
        Route("HEAD", "/version", show),
    ],
    [("Api-Version", "1.56")],
)  # fmt: skip


def ask(
    site: Run, target: str, *, method: str = "GET", headers: str = "", data: bytes = b""
) -> tuple[int, dict[str, str], bytes]:
    answers: list[Any] = []

    async def work(made: Any) -> None:
        client = await made.connect()
        length = f"Content-Length: {len(data)}\r\n" if data else ""
        await client.send(f"{method} {target} HTTP/1.1\r\nHost: x\r\n{headers}{length}\r\n".encode() + data)
        answers.append((*await client.head(), b"") if method == "HEAD" else await client.answer())

    site(APP, work)
    return answers[0]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("target", "values", "version"),
    [
        ("/version", {}, [1, 56]),
        ("/v1.44/version", {}, [1, 44]),
        ("/v1.44.0/version", {}, [1, 44]),
        ("/v01.44/version", {}, [1, 44]),
        ("/%76ersion", {}, [1, 56]),
        ("/version?x=%zz", {}, [1, 56]),
        ("http://docker/version", {}, [1, 56]),
        ("/containers/a%2Fb/json", {"name": "a/b"}, [1, 56]),
        ("/images/a/b:1/json", {"name": "a/b:1"}, [1, 56]),
        ("/images/json", {}, [1, 56]),
        ("/v1.30/images/localhost:5000/a/json", {"name": "localhost:5000/a"}, [1, 30]),
    ],
)
def test_routes(site: Run, target: str, values: dict[str, str], version: list[int]) -> None:
    status, headers, raw = ask(site, target)
    assert status == 200 and headers["api-version"] == "1.56" and headers["content-type"] == "application/json"
    found = json.loads(raw)
    assert (found["values"], found["version"]) == (values, version)


@pytest.mark.parametrize("target", ["/", "/nonsense", "/v1.44", "/v1.44/", "/Version", "/containers/x/nonsense", "/vx/version", "/1.44/version", "/version/", "/version#x", "/images//json"[:0] + "/containers"])  # fmt: skip
def test_unknown_paths(site: Run, target: str) -> None:
    status, headers, raw = ask(site, target)
    assert (status, json.loads(raw)) == (404, {"message": "page not found"})
    assert "api-version" not in headers


def test_unknown_methods_are_not_found_either(site: Run) -> None:
    for method in ("POST", "DELETE", "PATCH"):
        assert ask(site, "/version", method=method)[0] == 404
    assert ask(site, "/version", method="OPTIONS")[0] == 200
    assert ask(site, "/version", method="HEAD")[0] == 200


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("//version", "/version"),
        ("/./version", "/version"),
        ("/x/../version?a=1", "/version?a=1"),
        ("/a//b/", "/a/b/"),
        ("/containers/%2Fbox/json?a=%2F", "/containers/box/json?a=%2F"),
        ("/%2E%2E/a%20b", "/a%20b"),
    ],
)
def test_unclean_paths_are_redirected(site: Run, target: str, location: str) -> None:
    status, headers, _ = ask(site, target)
    assert (status, headers["location"]) == (301, location)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("/v1.99/version", "client version 1.99 is too new. Maximum supported API version is 1.56"),
        ("/v9.9/version", "client version 9.9 is too new. Maximum supported API version is 1.56"),
    ],
)
def test_versions_out_of_range(site: Run, target: str, words: str) -> None:
    status, _, raw = ask(site, target)
    assert (status, json.loads(raw)) == (400, {"message": words})


def test_clients_of_before_1_24_are_refused_in_plain_text(site: Run) -> None:
    status, headers, raw = ask(site, "/v1.1/version")
    assert (status, headers["content-type"]) == (400, "text/plain; charset=utf-8")
    assert raw == (
        b"client version 1.1 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version\n"
    )


@pytest.mark.parametrize(("what", "status", "body_"), [("conflict", 409, b'{"message":"in use"}\n'), ("not-modified", 304, b""), ("bug", 500, b'{"message":"\'x\'"}\n')])  # fmt: skip
def test_errors(site: Run, what: str, status: int, body_: bytes) -> None:
    found, _, raw = ask(site, f"/refuse/{what}")
    assert (found, raw) == (status, body_)


def test_an_error_after_the_answer_has_begun_is_its_last_line(site: Run) -> None:
    status, _, raw = ask(site, "/late")
    assert status == 200
    assert [json.loads(line) for line in raw.splitlines()] == [
        {},
        {"errorDetail": {"message": "too late"}, "error": "too late"},
    ]


@pytest.mark.parametrize(
    ("headers", "data", "status", "words"),
    [
        ("", b"", 200, ""),
        ("Content-Type: application/json\r\n", b'{"Detach":true}', 200, ""),
        ("Content-Type: application/json; charset=utf-8\r\n", b'{"detach":true}', 200, ""),
        (
            "Content-Type: text/plain\r\n",
            b"{}",
            400,
            "unsupported Content-Type header (text/plain): must be 'application/json'",
        ),
        ("", b"{}", 400, "malformed Content-Type header (): mime: no media type"),
        ("Content-Type: application/json\r\n", b"{", 400, "invalid JSON: unexpected EOF"),
    ],
)
def test_json_bodies(site: Run, headers: str, data: bytes, status: int, words: str) -> None:
    found, _, raw = ask(site, "/body", method="POST", headers=headers, data=data)
    assert found == status
    assert json.loads(raw) == ({"message": words} if words else {"detach": b"etach" in data})
