"""Settings: the order of precedence, and refusals that name the option and where it came from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from naru.daemon.config import DEFAULT_CONFIG_FILE, OPTIONS, Config, arguments, load
from naru.errors import InvalidArgument
from naru.wire.container import LogConfig


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "daemon.json"
    path.write_text("{}")
    return path


def configured(file: Path, *flags: str, environment: dict[str, str] | None = None, **keys: Any) -> Config:
    file.write_text(json.dumps({name.replace("_", "-"): value for name, value in keys.items()}))
    return load(arguments(["--config-file", str(file), *flags]), environment or {})


def test_defaults(file: Path) -> None:
    assert configured(file) == Config()
    assert Config().hosts == ("unix:///run/naru/naru.sock",) and Config().insecure_registries is None


def test_log_options_are_an_object_in_the_file_and_pairs_as_flags(file: Path) -> None:
    made = configured(file, "--log-opt", "max-file=3", log_driver="local", log_opts={"max-size": "5m"})
    assert made.log_config == LogConfig(type="local", config={"max-size": "5m", "max-file": "3"})
    assert Config().log_config == LogConfig(type="json-file", config={})
    for options in (["max-size=5m"], {"max-size": 5}):
        with pytest.raises(InvalidArgument, match="log-opts: expected a object of strings"):
            configured(file, log_opts=options)
    with pytest.raises(InvalidArgument, match="failed to set log opts: unknown log opt 'x' for json-file log driver"):
        configured(file, "--log-opt", "x=y")
    with pytest.raises(InvalidArgument, match="must be key=value"):
        configured(file, "--log-opt", "x")


def test_the_file_gives_values(file: Path) -> None:
    made = configured(
        file, hosts=["unix:///x"], data_root="/d", bridge="br9", bip="10.9.0.1/16", registry_mirrors=["http://m"], labels=["a=b"], debug=True,
        insecure_registries=[],
    )  # fmt: skip
    assert made == Config(
        hosts=("unix:///x",), data_root="/d", bridge="br9", bip="10.9.0.1/16", registry_mirrors=("http://m",), labels=("a=b",), debug=True,
        insecure_registries=(),
    )  # fmt: skip


def test_flags_give_values(file: Path) -> None:
    made = configured(
        file,
        "-H",
        "unix:///a",
        "--host",
        "unix:///b",
        "--data-root",
        "/d",
        "-D",
        "--cgroup-parent=x",
        "--insecure-registry",
        "r:5000",
    )
    assert made == Config(
        hosts=("unix:///a", "unix:///b"), data_root="/d", debug=True, cgroup_parent="x", insecure_registries=("r:5000",)
    )


def test_lists_from_file_and_flags_are_joined(file: Path) -> None:
    assert configured(file, "--label", "b", labels=["a"]).labels == ("a", "b")


def test_other_options_may_not_be_in_both(file: Path) -> None:
    with pytest.raises(InvalidArgument) as caught:
        configured(file, "--bridge", "one", bridge="two")
    assert str(caught.value) == (
        "the following directives are specified both as a flag and in the configuration file: bridge: (from flag: one, from file: two)"
    )


def test_the_environment_wins_over_the_file_and_flags_over_both(file: Path) -> None:
    env = {"NARU_DEFAULT_REGISTRY": "env:1"}
    assert configured(file, environment=env).default_registry == "env:1"
    assert configured(file, environment=env, default_registry="file:1").default_registry == "env:1"
    assert configured(file, "--default-registry", "flag:1", environment=env).default_registry == "flag:1"


@pytest.mark.parametrize(("text", "on"), [("true", True), ("1", True), ("False", False), ("0", False)])
def test_switches(file: Path, text: str, on: bool) -> None:
    assert configured(file, f"--tlsverify={text}").tlsverify is on
    with pytest.raises(InvalidArgument, match='invalid argument "maybe" for "--tlsverify"'):
        configured(file, "--tlsverify=maybe")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "invalid JSON"), ("[]", "not a JSON object"), ('"x"', "not a JSON object"), ('{"nonsense": 1, "live-restore": true, "more": 2}', "nonsense, more"),
        ('{"bridge": 7}', "bridge: expected a string"), ('{"hosts": "unix:///x"}', "hosts: expected a list of strings"),
        ('{"hosts": [7]}', "hosts: expected a list of strings"), ('{"debug": "yes"}', "debug: expected a boolean"),
    ],
)  # fmt: skip
def test_bad_files_are_named(file: Path, text: str, words: str) -> None:
    file.write_text(text)
    with pytest.raises(InvalidArgument) as caught:
        load(arguments(["--config-file", str(file)]), {})
    assert str(caught.value).startswith(f"unable to configure the daemon with file {file}: ") and words in str(
        caught.value
    )


def test_an_empty_file_and_accepted_keys(file: Path) -> None:
    assert configured(file, live_restore=True, storage_driver="overlay2", features={"x": True}) == Config()
    file.write_text(" \n")
    assert load(arguments(["--config-file", str(file)]), {}) == Config()


def test_a_missing_file_matters_only_if_it_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="no such file or directory"):
        load(arguments(["--config-file", str(tmp_path / "nosuch")]), {})
    with pytest.raises(InvalidArgument, match="unable to configure the daemon with file"):
        load(arguments(["--config-file", str(tmp_path)]), {})
    assert arguments([]).config_file == DEFAULT_CONFIG_FILE


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--host", "x"], "invalid host 'x'"), (["--host", "unix://"], "invalid host"), (["--host", "http://x"], "invalid host"),
        (["--host", "tcp://0.0.0.0:2375"], "without TLS"), (["--bip", "x"], "invalid bip 'x'"), (["--bridge", ""], "invalid bridge name ''"),
        (["--bridge", "a b"], "invalid bridge name"), (["--bridge", "x" * 16], "invalid bridge name"), (["--log-level", "x"], "unable to parse logging level: x"),
        (["--data-root", "x"], "data-root 'x' is not an absolute path"), (["--exec-root", "x"], "exec-root 'x' is not an absolute path"),
    ],
)  # fmt: skip
def test_bad_values(file: Path, flags: list[str], words: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        configured(file, *flags)
    assert words in str(caught.value)


def test_tcp_without_tls_only_if_said(file: Path) -> None:
    assert configured(file, "--host", "tcp://127.0.0.1:1", "--tlsverify=false").hosts == ("tcp://127.0.0.1:1",)


def test_unknown_flags_and_abbreviations_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for flag in ("--nonsense", "--data"):
        with pytest.raises(SystemExit) as caught:
            arguments([flag, "x"])
        assert caught.value.code == 2 and flag in capsys.readouterr().err


def test_every_option_is_a_field_once() -> None:
    assert [option.field for option in OPTIONS] == list(Config.__dataclass_fields__)
    assert len({flag for option in OPTIONS for flag in option.flags}) == sum(len(option.flags) for option in OPTIONS)
