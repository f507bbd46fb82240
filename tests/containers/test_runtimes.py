"""Which program a runtime's name means."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from naru.containers.monitor import Runtime
from naru.containers.runtimes import Definition, Runtimes, definitions
from naru.errors import Internal, InvalidArgument
from naru.linux.host import probe

pytestmark = pytest.mark.root


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Runtime]:
    made = Runtime(probe(), str(tmp_path))
    yield made
    made.close()


def test_definitions() -> None:
    texts = ["a=/bin/a", 'b={"path": "crun", "runtimeArgs": ["--debug"]}', "a=/bin/other"]
    assert definitions(texts) == {"a": Definition("/bin/other"), "b": Definition("crun", ("--debug",))}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a", "must be NAME=PATH"), ("=x", "must be NAME=PATH"), ("a=", "must be NAME=PATH"), ("a={}", "path is missing"),
        ('a={"path": 1}', "path is missing"), ('a={"path": "x", "runtimeArgs": "y"}', "not a list of strings"),
        ('a={"runtimeType": "io.containerd.runsc.v1"}', "runtimeType: there are no shims here"),
    ],
)  # fmt: skip
def test_definitions_that_are_none(text: str, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        definitions([text])


def test_dockers_names_are_the_daemons_own(own: Runtime) -> None:
    runtimes = Runtimes(own, {})
    for name in ("", "runc", "io.containerd.runc.v2", "crun"):
        runtimes.check(name)
        assert runtimes.of(name) is own
    assert runtimes.default == "runc"
    assert set(runtimes.shown()) == {"runc", "io.containerd.runc.v2", "crun"}


def test_a_defined_one_is_made_once_and_shares_the_rest(own: Runtime) -> None:
    runtimes = Runtimes(own, {"mine": Definition("/bin/true", ("--debug",))}, "mine")
    made = runtimes.of("mine")
    assert made is runtimes.of("mine") and made is not own
    assert (made.name, made.label, runtimes.default) == ("true", "mine", "mine")
    assert made.exits is own.exits and made.bundle("c") == own.bundle("c")
    assert runtimes.shown()["mine"] == {"path": "/bin/true", "runtimeArgs": ["--debug"]}


def test_names_that_mean_nothing(own: Runtime) -> None:
    runtimes = Runtimes(own, {"gone": Definition("/nonexistent")})
    for name in ("nonsense", "/usr/bin/crun"):
        with pytest.raises(InvalidArgument, match=f"unknown or invalid runtime name: {name}"):
            runtimes.check(name)
        with pytest.raises(Internal):  # a container's that was defined when it was made
            runtimes.of(name)
    runtimes.check("io.containerd.kata.v2")
    with pytest.raises(Internal, match='binary not installed "containerd-shim-kata-v2": file does not exist'):
        runtimes.of("io.containerd.kata.v2")
    with pytest.raises(FileNotFoundError):
        runtimes.of("gone")
