"""What a commit makes of the container's configuration and of what is given with it."""

from __future__ import annotations

from typing import Any

import pytest

from naru.containers.commits import _merged

_OLD: dict[str, Any] = {"Env": ["PATH=/bin", "A=1"], "Cmd": ["sh"], "Labels": {"k": "old", "l": "old"}, "User": "me"}


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ({}, {}),
        (_OLD, {}),
        ({"Env": ["X=y", "A=2"]}, {"Env": ["X=y", "A=2", "PATH=/bin"]}),
        ({"Labels": {"k": "new"}}, {"Labels": {"k": "new", "l": "old"}}),
        ({"Cmd": ["true"]}, {"Cmd": ["true"]}),
        ({"Entrypoint": ["e"]}, {"Entrypoint": ["e"], "Cmd": None}),
        ({"Volumes": {"/v": {}}}, {"Volumes": {"/v": {}}}),
    ],
)
def test_what_is_given_comes_first(given: dict[str, Any], changed: dict[str, Any]) -> None:
    expected = {name: value for name, value in {**_OLD, **changed}.items() if value is not None}
    assert _merged(given, _OLD) == expected
