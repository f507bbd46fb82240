"""Which requests over tcp are refused before anything of them is looked at."""

from __future__ import annotations

import pytest

from naru.api.guard import refusal


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:2375", "[::1]:2375", "[::1]", "localhost", "docker:2375", "vm.example", "VM.example:1", "a.local", "x.internal:1", "a.localhost.", "10.1.2.3", ""],
)  # fmt: skip
def test_hosts_that_are_ours(host: str) -> None:
    assert refusal({"host": host}, tls=False, own_name="vm.example") == ""


@pytest.mark.parametrize(
    "host", ["evil.example:2375", "127.0.0.1.evil.example", "vm.example.evil.example", "local.evil", "a.b:x"]
)
def test_hosts_that_somebody_else_could_have_made(host: str) -> None:
    assert f"the host name {host} is refused" in refusal({"host": host}, tls=False, own_name="vm.example")
    assert refusal({"host": host}, tls=True, own_name="vm.example") == ""  # the certificate says who we are


def test_web_pages_are_refused_with_tls_too() -> None:
    assert "Origin" in refusal({"host": "localhost", "origin": "http://localhost"}, tls=True, own_name="x")
    assert "Origin" in refusal({"host": "localhost", "origin": "null"}, tls=False, own_name="x")
