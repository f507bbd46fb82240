from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from naru.build import instructions as i
from naru.build.parse import parse
from naru.build.reading import read
from naru.build.state import State, apply, begin, declare, expanded, nop, workdir
from naru.errors import InvalidArgument
from naru.oci.digest import Digest
from naru.oci.image import Descriptor, ImageConfig, Platform

EMPTY = State(Platform())


def _one(line: str) -> Any:
    return read(parse(line.encode()))[0]


def _do(state: State, line: str) -> tuple[State, str]:
    instruction = expanded(_one(line), state.scope, "\\")
    return workdir(state, instruction) if isinstance(instruction, i.Workdir) else apply(state, instruction)


@pytest.mark.parametrize(
    ("lines", "run", "text"),
    [
        (["ENV a=b c='d e'"], {"Env": ["a=b", "c=d e"]}, "ENV a=b c=d e"),
        (["ENV a=1 b=2", "ENV a=3"], {"Env": ["a=3", "b=2"]}, "ENV a=3"),
        (["ENV a=1", "ENV a=2 b=$a"], {"Env": ["a=2", "b=1"]}, "ENV a=2 b=1"),
        (["LABEL a=1", 'LABEL "b"="2"'], {"Labels": {"a": "1", "b": "2"}}, "LABEL b=2"),
        (["CMD a $b"], {"Cmd": ["/bin/sh", "-c", "a $b"]}, 'CMD ["/bin/sh" "-c" "a $b"]'),
        (['CMD ["a", "b"]'], {"Cmd": ["a", "b"]}, 'CMD ["a" "b"]'),
        (["CMD []"], {"Cmd": []}, "CMD []"),
        (['ENTRYPOINT ["a"]'], {"Entrypoint": ["a"]}, 'ENTRYPOINT ["a"]'),
        (["CMD x", "ENTRYPOINT []"], {"Cmd": ["/bin/sh", "-c", "x"]}, "ENTRYPOINT []"),
        (["EXPOSE 80 53/udp 90-91"], {"ExposedPorts": {"53/udp": {}, "80/tcp": {}, "90/tcp": {}, "91/tcp": {}}}, "EXPOSE 53/udp 80 90-91"),
        (["EXPOSE 127.0.0.1:8080:80/TCP"], {"ExposedPorts": {"80/tcp": {}}}, "EXPOSE 127.0.0.1:8080:80/TCP"),
        (["ENV p='1 2'", "EXPOSE $p"], {"Env": ["p=1 2"], "ExposedPorts": {"1/tcp": {}, "2/tcp": {}}}, "EXPOSE 1 2"),
        (["VOLUME /a /b"], {"Volumes": {"/a": {}, "/b": {}}}, "VOLUME [/a /b]"),
        (["ENV u=me", "USER $u:g"], {"Env": ["u=me"], "User": "me:g"}, "USER me:g"),
        (["WORKDIR a", "WORKDIR b/../c"], {"WorkingDir": "/a/c"}, "WORKDIR /a/c"),
        (["WORKDIR //x"], {"WorkingDir": "/x"}, "WORKDIR /x"),
        (["STOPSIGNAL SIGRTMIN+3"], {"StopSignal": "SIGRTMIN+3"}, "STOPSIGNAL SIGRTMIN+3"),
        (["STOPSIGNAL 9"], {"StopSignal": "9"}, "STOPSIGNAL 9"),
        (['SHELL ["/bin/ash", "-c"]', "CMD x"], {"Shell": ["/bin/ash", "-c"], "Cmd": ["/bin/ash", "-c", "x"]}, 'CMD ["/bin/ash" "-c" "x"]'),
        (["ONBUILD RUN a", "ONBUILD ENV $x"], {"OnBuild": ["RUN a", "ENV a=$x"]}, "ONBUILD ENV a=$x"),
        (["HEALTHCHECK NONE"], {"Healthcheck": {"Test": ["NONE"]}}, "HEALTHCHECK &{[\"NONE\"] \"0s\" \"0s\" \"0s\" \"0s\" '\\x00'}"),
        (
            ["HEALTHCHECK --interval=90s --timeout=1500ms --retries=3 CMD a"],
            {"Healthcheck": {"Test": ["CMD-SHELL", "a"], "Interval": 90 * 10**9, "Timeout": 15 * 10**8, "Retries": 3}},
            "HEALTHCHECK &{[\"CMD-SHELL\" \"a\"] \"1m30s\" \"1.5s\" \"0s\" \"0s\" '\\x03'}",
        ),
    ],
)  # fmt: skip
def test_configuration_and_history_text(lines: list[str], run: dict[str, Any], text: str) -> None:
    state, said = EMPTY, ""
    for line in lines:
        state, said = _do(state, line.replace("ENV $x", "ENV a=$x") if "ONBUILD" in line else line)
    assert state.run == run
    assert said == text


def test_entrypoint_clears_an_inherited_cmd_only() -> None:
    inherited = replace(EMPTY, run={"Cmd": ["old"]})
    assert "Cmd" not in _do(inherited, 'ENTRYPOINT ["a"]')[0].run
    own, _ = _do(inherited, 'CMD ["new"]')
    assert _do(own, 'ENTRYPOINT ["a"]')[0].run["Cmd"] == ["new"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("EXPOSE http", "invalid containerPort: http"),
        ("EXPOSE 70000", "invalid containerPort: 70000"),
        ("EXPOSE 90-80", "invalid containerPort: 90-80"),
        ("EXPOSE 80/icmp", "invalid containerPort: 80/icmp"),
        ("STOPSIGNAL NOPE", "invalid signal: NOPE"),
        ("STOPSIGNAL 0", "invalid signal: 0"),
        ("STOPSIGNAL 65", "invalid signal: 65"),
        ("VOLUME $none", "VOLUME specified can not be an empty string"),
        ("WORKDIR $none", "cannot normalize nothing"),
    ],
)
def test_refused(line: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        _do(EMPTY, line)


def _declare(state: State, line: str, given: dict[str, str], outer: dict[str, str]) -> tuple[State, str]:
    return declare(state, _one(line), given, outer, "\\")


@pytest.mark.parametrize(
    ("line", "given", "outer", "value", "text"),
    [
        ("ARG a", {}, {}, None, "ARG a"),
        ("ARG a=1", {}, {}, "1", "ARG a=1"),
        ("ARG a=1", {"a": "2"}, {"a": "3"}, "2", "ARG a=1"),
        ("ARG a", {}, {"a": "3"}, "3", "ARG a"),
        ("ARG a=1", {}, {"a": "3"}, "1", "ARG a=1"),
        ("ARG a=$x-y", {}, {}, "X-y", "ARG a=X-y"),
        ("ARG a=", {}, {}, "", "ARG a="),
    ],
)
def test_arguments(line: str, given: dict[str, str], outer: dict[str, str], value: str | None, text: str) -> None:
    state, said = _declare(replace(EMPTY, scope={"x": "X"}), line, given, outer)
    assert state.scope.get("a") == value
    assert state.args.get("a") == value
    assert said == text


def test_the_later_of_arg_and_env_wins() -> None:
    state, _ = _declare(EMPTY, "ARG a=arg", {}, {})
    state, _ = _do(state, "ENV a=env")
    assert state.scope["a"] == "env"
    assert state.args == {}
    state, _ = _declare(state, "ARG a=again", {}, {})
    assert state.scope["a"] == "again"
    assert state.args == {"a": "again"}
    assert state.run["Env"] == ["a=env"]


def test_layers_and_history_go_together() -> None:
    diff = Digest.of(b"d")
    layer = Descriptor("tar", Digest.of(b"l"), 1)
    state = EMPTY.committed("t1", "one", None).committed("t2", "two", (layer, diff))
    config = ImageConfig.parse(state.config().raw)
    assert [(entry.created_by, entry.empty_layer) for entry in config.history] == [("one", True), ("two", False)]
    assert config.diff_ids == (diff,)
    assert config.created == "t2"
    assert state.layers == (layer,)


def test_a_stage_begins_as_its_base_left_off() -> None:
    state = replace(EMPTY, run={"Env": ["a=b"], "OnBuild": ["RUN x"]}).committed("t", "x", None)
    again = begin(Platform(), state.config(), ())
    assert again.scope == {"a": "b"}
    assert again.history == state.history
    assert begin(Platform(), None, ()).config().diff_ids == ()


def test_nop_uses_the_stages_shell() -> None:
    assert nop(EMPTY, "CMD x") == "/bin/sh -c #(nop)  CMD x"
    assert nop(replace(EMPTY, run={"Shell": ["/bin/ash", "-ec"]}), "CMD x") == "/bin/ash -ec #(nop)  CMD x"
