from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from played import NO_CONTENT, Played, chunked, json_answer

from naru import errors
from naru.client.endpoint import Endpoint
from naru.client.engine import Client, query_string

Play = Callable[..., tuple[Played, Client]]

TOO_NEW = '{"message":"client version 1.51 is too new. Maximum supported API version is 1.44"}'
TOO_OLD = '{"message":"client version 1.51 is too old. Minimum supported API version is 1.60, please upgrade your client to a newer version"}'


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.InvalidArgument), (401, errors.Unauthenticated), (403, errors.Forbidden), (404, errors.NotFound),
        (409, errors.Conflict), (500, errors.Internal), (501, errors.Unsupported), (503, errors.Unavailable),
    ],
)  # fmt: skip
def test_kinds(status: int, kind: type[errors.NaruError], play: Play) -> None:
    _, client = play([json_answer('{"message":"No such container: x"}', f"{status} Whatever")])
    with pytest.raises(kind) as caught:
        client.containers.inspect("x")
    assert type(caught.value) is kind
    assert str(caught.value) == "Error response from daemon: No such container: x"


def test_an_error_that_is_not_json(play: Play) -> None:
    _, client = play([b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 5\r\n\r\noops\n"])
    with pytest.raises(errors.Internal, match="Error response from daemon: oops"):
        client.system.info()


@pytest.mark.parametrize(("message", "version"), [(TOO_NEW, "1.44"), (TOO_OLD, "1.60")])
def test_version_is_learned_from_the_refusal(message: str, version: str, play: Play) -> None:
    server, client = play([json_answer(message, "400 Bad Request"), json_answer("[]"), json_answer("[]")])
    assert client.containers.list() == []
    client.containers.list()
    assert client.version == version
    assert server.lines == ["GET /v1.51/containers/json", *[f"GET /v{version}/containers/json"] * 2]


def test_only_one_refusal_is_taken(play: Play) -> None:
    _, client = play([json_answer(TOO_NEW, "400 Bad Request")] * 2)
    with pytest.raises(errors.InvalidArgument, match="too new"):
        client.containers.list()


def test_a_pinned_version_is_kept(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_API_VERSION", "1.40")
    server, client = play([json_answer("[]")])
    client.containers.list()
    assert server.lines == ["GET /v1.40/containers/json"]


def test_a_body_in_pieces_is_negotiated_before(play: Play) -> None:
    ping = b"HTTP/1.1 200 OK\r\nApi-Version: 1.45\r\n\r\n"
    server, client = play([ping, chunked(b'{"stream":"Loaded image: x\\n"}\r\n')])
    assert list(client.images.load(iter([b"tar"]))) == [{"stream": "Loaded image: x\n"}]
    assert server.lines == ["HEAD /_ping", "POST /v1.45/images/load"]
    assert server.body() == b"tar"


def test_query_string() -> None:
    query: dict[str, Any] = {
        "all": True,
        "no": False,
        "none": None,
        "empty": "",
        "f": {},
        "t": ["a", "b"],
        "n": 0,
        "j": {"k": ["v&"]},
    }
    text = query_string(query)
    assert parse_qs(urlsplit(text).query) == {"all": ["1"], "t": ["a", "b"], "n": ["0"], "j": ['{"k":["v&"]}']}
    assert query_string({}) == ""


# a call, and the request that it makes
CALLS: list[tuple[Callable[[Client], Any], str, Any]] = [
    (lambda c: c.containers.list(all=True, limit=3, size=True, filters={"id": ["a"]}),
     'GET containers/json?all=1&limit=3&size=1&filters={"id":["a"]}', None),
    (lambda c: c.containers.create({"Image": "x"}, name="n", platform="linux/arm64"),
     "POST containers/create?name=n&platform=linux/arm64", {"Image": "x"}),
    (lambda c: c.containers.stop("a", signal="INT", timeout_s=0), "POST containers/a/stop?signal=INT&t=0", None),
    (lambda c: c.containers.kill("a", signal="9"), "POST containers/a/kill?signal=9", None),
    (lambda c: c.containers.remove("a", force=True, volumes=True), "DELETE containers/a?force=1&v=1", None),
    (lambda c: c.containers.resize("a", 24, 80), "POST containers/a/resize?h=24&w=80", None),
    (lambda c: c.containers.update("a", {"Memory": 1}), "POST containers/a/update", {"Memory": 1}),
    (lambda c: c.containers.top("a", "-o pid"), "GET containers/a/top?ps_args=-o pid", None),
    (lambda c: c.containers.prune({"until": ["1h"]}), 'POST containers/prune?filters={"until":["1h"]}', None),
    (lambda c: c.execs.create("a", {"Cmd": ["x"]}), "POST containers/a/exec", {"Cmd": ["x"]}),
    (lambda c: c.execs.start_detached("e"), "POST exec/e/start", {"Detach": True, "Tty": False}),
    (lambda c: c.images.inspect("h:5000/a/b:t", platform="linux/arm64/v8"),
     'GET images/h:5000/a/b:t/json?platform={"os":"linux","architecture":"arm64","variant":"v8"}', None),
    (lambda c: c.images.tag("a", "r/b", "t"), "POST images/a/tag?repo=r/b&tag=t", None),
    (lambda c: c.images.remove("a", force=True, no_prune=True), "DELETE images/a?force=1&noprune=1", None),
    (lambda c: c.images.commit("a", repo="r", tag="t", changes=["CMD x", "ENV a=b"], pause=False),
     "POST commit?container=a&repo=r&tag=t&changes=CMD x&changes=ENV a=b&pause=0", {}),
    (lambda c: c.images.search("x", limit=5), "GET images/search?term=x&limit=5", None),
    (lambda c: c.networks.create({"Name": "n"}), "POST networks/create", {"Name": "n"}),
    (lambda c: c.networks.connect("n", "a", {}), "POST networks/n/connect", {"Container": "a", "EndpointConfig": {}}),
    (lambda c: c.networks.disconnect("n", "a", force=True), "POST networks/n/disconnect", {"Container": "a", "Force": True}),
    (lambda c: c.networks.remove("n"), "DELETE networks/n", None),
    (lambda c: c.volumes.list(), "GET volumes", None),
    (lambda c: c.volumes.remove("v", force=True), "DELETE volumes/v?force=1", None),
    (lambda c: c.volumes.create({"Name": "v"}), "POST volumes/create", {"Name": "v"}),
    (lambda c: c.system.log_in({"username": "u"}), "POST auth", {"username": "u"}),
    (lambda c: c.system.prune_build_cache(all=True), "POST build/prune?all=1", None),
]  # fmt: skip


@pytest.mark.parametrize(("call", "line", "body"), CALLS, ids=[line for _, line, _ in CALLS])
def test_requests(call: Callable[[Client], Any], line: str, body: Any, play: Play) -> None:
    server, client = play([json_answer('{"Id":"1"}')])
    call(client)
    method, _, target = server.lines[0].partition(" /v1.51/")
    path, _, query = target.partition("?")
    wanted_method, _, wanted = line.partition(" ")
    wanted_path, _, wanted_query = wanted.partition("?")
    assert (method, path) == (wanted_method, wanted_path)
    assert parse_qs(query) == {
        key: [item.partition("=")[2] for item in wanted_query.split("&") if item.partition("=")[0] == key]
        for key in [item.partition("=")[0] for item in wanted_query.split("&") if item]
    }
    assert (json.loads(server.body()) if server.body() else None) == body


def test_wait_returns_before_the_end(play: Play) -> None:
    _, client = play([chunked(b'{"StatusCode":7}\n')], [chunked(b'{"StatusCode":0,"Error":{"Message":"gone"}}')])
    assert client.containers.wait("a", condition="next-exit").wait() == 7
    with pytest.raises(errors.Internal, match="gone"):
        client.containers.wait("a").wait()


def test_progress_and_auth_header(play: Play) -> None:
    server, client = play([chunked(b'{"status":"Pulling"}\r\n{"status":', b'"Done"}\r\n')])
    assert [item["status"] for item in client.images.pull("alpine", "latest", auth="QQ==")] == ["Pulling", "Done"]
    assert server.lines == ["POST /v1.51/images/create?fromImage=alpine&tag=latest"]
    assert b"X-Registry-Auth: QQ==\r\n" in server.requests[0]


def test_archive_stat(play: Play) -> None:
    import base64

    stat = base64.b64encode(b'{"name":"x","mode":2147484141}').decode()
    header = f"X-Docker-Container-Path-Stat: {stat}"
    _, client = play([b"HTTP/1.1 200 OK\r\n" + header.encode() + b"\r\n\r\n"])
    assert client.containers.archive_stat("a", "/x")["mode"] & (1 << 31)
    missing = json_answer('{"message":"Could not find the file /y in container a"}', "404 Not Found")
    _, client = play([b"HTTP/1.1 404 Not Found\r\n\r\n", missing])
    with pytest.raises(errors.NotFound, match="Could not find the file"):
        client.containers.archive_stat("a", "/y")


def test_no_daemon() -> None:
    with pytest.raises(
        errors.Unavailable, match=r"Cannot connect to the Docker daemon at unix:///nowhere/x\. Is the docker daemon"
    ):
        Client(Endpoint("unix:///nowhere/x")).containers.list()


def test_no_content_is_none(play: Play) -> None:
    _, client = play([NO_CONTENT, NO_CONTENT])
    client.containers.start("x")
    assert client.fetch("POST", "/containers/x/start") is None
