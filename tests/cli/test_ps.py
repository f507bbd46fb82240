from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from played import Played, json_answer

from naru.cli.listing import render
from naru.cli.ps import columns, ports_text
from naru.client.jsontext import encode


def port(private: int, public: int = 0, ip: str = "", kind: str = "tcp") -> dict[str, Any]:
    return {"PrivatePort": private, "Type": kind} | ({"PublicPort": public, "IP": ip} if public else {})


PORTS = [
    ([], ""),
    ([port(80)], "80/tcp"),
    ([port(80, 8080, "0.0.0.0"), port(80, 8080, "::")], "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"),
    ([port(53, 32768, "127.0.0.1", "udp"), port(80)], "80/tcp, 127.0.0.1:32768->53/udp"),
    ([port(n, n, "0.0.0.0") for n in (82, 80, 81, 90)], "0.0.0.0:80-82->80-82/tcp, 0.0.0.0:90->90/tcp"),
    ([port(80), port(81), port(80, kind="udp")], "80-81/tcp, 80/udp"),
]


@pytest.mark.parametrize(("ports", "text"), PORTS)
def test_ports(ports: list[dict[str, Any]], text: str) -> None:
    assert ports_text(ports) == text


CONTAINER: dict[str, Any] = {
    "Id": "0123456789abcdef" * 4, "Names": ["/web", "/other/alias"], "Image": "sha256:" + "f" * 64, "State": "running",
    "Command": 'sh -c "echo hello world"', "Created": 1000, "Status": "Up 2 hours", "Ports": [port(80)],
    "Labels": {"b": "2", "a": "1"}, "Mounts": [{"Name": "n" * 20, "Driver": "local"}, {"Source": "/tmp"}],
    "NetworkSettings": {"Networks": {"z": {}, "a": {}}}, "SizeRw": 4100, "SizeRootFs": 2_080_000,
}  # fmt: skip


def test_table() -> None:
    assert render([CONTAINER], columns(now_s=1000 + 7200)) == (
        "CONTAINER ID   IMAGE          COMMAND                   CREATED       STATUS       PORTS     NAMES\n"
        '0123456789ab   ffffffffffff   "sh -c \\"echo hello w…"   2 hours ago   Up 2 hours   80/tcp    web\n'
    )


def test_fields() -> None:
    form = '{{.Names}} {{.Labels}} {{.Mounts}} {{.LocalVolumes}} {{.Networks}} {{.Size}} {{.Label "b"}}'
    shown = render([CONTAINER], columns(now_s=0), form)
    assert shown == "web a=1,b=2 nnnnnnnnnnnnnn…,/tmp 1 a,z 4.1kB (virtual 2.08MB) 2\n"
    assert render([CONTAINER], columns(now_s=0, truncate=False), "{{.Names}}") == "web,other/alias\n"


def test_command(naru: Callable[..., Any], daemon: Callable[..., Played]) -> None:
    server = daemon([json_answer(encode([CONTAINER]))])
    ended = naru("ps", "-aq", "-f", "status=exited", "--filter", "label=a=b", host=server.host)
    assert (ended.code, ended.out, ended.err) == (0, "0123456789ab\n", "")
    assert server.lines == [
        "GET /v1.51/containers/json?all=1&filters=%7B%22status%22:%5B%22exited%22%5D%2C%22label%22:%5B%22a%3Db%22%5D%7D"
    ]


def test_format_of_the_configuration(naru: Callable[..., Any], daemon: Callable[..., Played], tmp_path: Any) -> None:
    (tmp_path / "config.json").write_text('{"psFormat": "{{.Names}}!"}')
    ended = naru("ps", host=daemon([json_answer(encode([CONTAINER]))]).host)
    assert ended.out == "web!\n"
