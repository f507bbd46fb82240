"""Security options: what each word means, and Docker 29's words for what is none."""

from __future__ import annotations

from typing import Any

import pytest

from naru.containers.securityopt import SecurityOptions, apparmor, parse, with_label
from naru.errors import Internal
from naru.wire.container import HostConfig


@pytest.mark.parametrize(
    ("options", "made"),
    [
        ([], {}),
        (["no-new-privileges"], {"no_new_privileges": True}),
        (["no-new-privileges:true"], {"no_new_privileges": True}),
        (["no-new-privileges=1", "no-new-privileges=false"], {"no_new_privileges": False}),
        (["writable-cgroups"], {"writable_cgroups": True}),
        (["writable-cgroups=false"], {"writable_cgroups": False}),
        (["apparmor=x", "apparmor:y"], {"apparmor": "y"}),
        (["label=disable", "label:user:x", "disable"], {"labels": ("disable", "user:x", "disable")}),
        (['seccomp={"a": "b=c"}'], {"seccomp": '{"a": "b=c"}'}),
        (["seccomp:unconfined"], {"seccomp": "unconfined"}),
    ],
)
def test_options(options: list[str], made: dict[str, Any]) -> None:
    assert parse(options) == SecurityOptions(**made)


@pytest.mark.parametrize(
    ("option", "number"),
    [("", 1), ("foo", 1), ("foo=bar", 2), ("systempaths=unconfined", 2), ("no-new-privileges=foo", 2), ("writable-cgroups=yes", 2)],
)  # fmt: skip
def test_what_is_no_option(option: str, number: int) -> None:
    with pytest.raises(Internal) as caught:
        parse([option])
    assert str(caught.value) == f'invalid --security-opt {number}: "{option}"'
    assert apparmor([option, "apparmor=x"]) == "x"


@pytest.mark.parametrize(
    ("host", "options"),
    [
        ({}, None),
        ({"privileged": True}, ["label=disable"]),
        ({"pid_mode": "host", "security_opt": ["no-new-privileges"]}, ["no-new-privileges", "label=disable"]),
        ({"ipc_mode": "host", "security_opt": ["label=level:s0"]}, ["label=level:s0"]),
    ],
)
def test_the_label_of_those_that_share_with_the_host(host: dict[str, Any], options: list[str] | None) -> None:
    assert with_label(HostConfig(**host)) == options
