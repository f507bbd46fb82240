from __future__ import annotations

import pytest

from naru.cli.runports import expose, publish

PUBLISHED = [
    (["80"], {"80/tcp": [("", "")]}),
    (["8080:80"], {"80/tcp": [("", "8080")]}),
    (["127.0.0.1:8080:80/udp"], {"80/udp": [("127.0.0.1", "8080")]}),
    (["127.0.0.1::53/UDP"], {"53/udp": [("127.0.0.1", "")]}),
    (["[::1]:80:80"], {"80/tcp": [("::1", "80")]}),
    (["8000-8001:80-81"], {"80/tcp": [("", "8000")], "81/tcp": [("", "8001")]}),
    (["8000-9000:80"], {"80/tcp": [("", "8000-9000")]}),
    (["80-81"], {"80/tcp": [("", "")], "81/tcp": [("", "")]}),
    (["80", "1:80"], {"80/tcp": [("", ""), ("", "1")]}),
    (["published=8080,target=80,protocol=udp"], {"80/udp": [("", "8080")]}),
    ([], {}),
]


@pytest.mark.parametrize(("texts", "wanted"), PUBLISHED)
def test_publish(texts: list[str], wanted: dict[str, list[tuple[str, str]]]) -> None:
    assert {
        port: [(b["HostIp"], b["HostPort"]) for b in bindings] for port, bindings in publish(texts).items()
    } == wanted


REFUSED = [
    ("foo", "invalid containerPort: foo"), ("x:80", "invalid hostPort: x"), ("80:", "no port specified"),
    ("1.2.3:1:80", "invalid IP address: 1.2.3"), ("80/foo", "invalid proto: foo"), ("70000", "invalid containerPort"),
    ("90-80", "invalid containerPort"), ("1-2:80-82", "invalid ranges specified"), ("published=1", "target is required"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        publish([text])
    assert words in str(caught.value)


def test_expose() -> None:
    assert expose(["80", "90-91/udp"]) == {"80/tcp": {}, "90/udp": {}, "91/udp": {}}
    for text in ("80:80", "x", "9-1"):
        with pytest.raises(ValueError, match="--expose"):
            expose([text])
