"""Settings: the order of precedence, and refusals that name the option and where it came from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from naru.daemon.config import DEFAULT_CONFIG_FILE, Config, arguments, load
from naru.daemon.options import FOREIGN, OPTIONS, Foreign
from naru.daemon.values import AddressPool, NamedRuntime, Ulimit
from naru.errors import InvalidArgument
from naru.wire.container import LogConfig

DOCKERD_29 = """
--add-runtime --allow-direct-routing --apparmor-profile --authorization-plugin --bip --bip6 --bridge
--bridge-accept-fwmark --cdi-spec-dir --cgroup-parent --config-file --containerd --containerd-namespace
--containerd-plugins-namespace --cpu-rt-period --cpu-rt-runtime --cri-containerd --data-root --debug
--default-address-pool --default-cgroupns-mode --default-gateway --default-gateway-v6 --default-ipc-mode
--default-network-opt --default-runtime --default-shm-size --default-stop-timeout --default-ulimit --dns --dns-opt
--dns-search --exec-opt --exec-root --experimental --extension-dir --feature --firewall-backend --fixed-cidr
--fixed-cidr-v6 --group --help --host --host-gateway-ip --http-proxy --https-proxy --icc --init --init-path
--insecure-registry --ip --ip-forward --ip-forward-no-drop --ip-masq --ip6tables --iptables --ipv6 --label
--live-restore --log-driver --log-format --log-level --log-opt --max-concurrent-downloads --max-concurrent-uploads
--max-download-attempts --metrics-addr --mtu --network-control-plane-mtu --no-new-privileges --no-proxy
--node-generic-resource --nri-opts --pidfile --raw-logs --registry-mirror --rootless --seccomp-profile
--selinux-enabled --shutdown-timeout --storage-driver --storage-opt --swarm-default-advertise-addr --tls
--tlscacert --tlscert --tlskey --tlsverify --userland-proxy --userland-proxy-path --userns-remap --validate
--version
"""


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
        with pytest.raises(InvalidArgument, match="log-opts: expected an object of strings"):
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
    assert configured(file, "--label", "b=2", labels=["a=1"]).labels == ("a=1", "b=2")


def test_other_options_may_not_be_in_both(file: Path) -> None:
    with pytest.raises(InvalidArgument) as caught:
        configured(file, "--bridge", "one", bridge="two")
    assert str(caught.value) == (
        f"unable to configure the daemon with file {file}: the following directives are specified both as a flag and in the configuration file: bridge: (from flag: one, from file: two)"
    )


def test_the_environment_wins_over_the_file_and_flags_over_both(file: Path) -> None:
    env = {"NARU_DEFAULT_REGISTRY": "env:1"}
    assert configured(file, environment=env).default_registry == "env:1"
    assert configured(file, environment=env, default_registry="file:1").default_registry == "env:1"
    assert configured(file, "--default-registry", "flag:1", environment=env).default_registry == "flag:1"


@pytest.mark.parametrize(("text", "on"), [("true", True), ("1", True), ("False", False), ("0", False)])
def test_switches(file: Path, text: str, on: bool) -> None:
    assert configured(file, f"--tlsverify={text}").tlsverify is on
    with pytest.raises(InvalidArgument, match='invalid argument "maybe" for "--tlsverify" flag: '):
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


def test_an_empty_file(file: Path) -> None:
    file.write_text(" \n")
    assert load(arguments(["--config-file", str(file)]), {}) == Config()


def test_what_does_nothing_here_is_taken_and_noted(file: Path) -> None:
    made = configured(file, "--userland-proxy=false", live_restore=False, storage_driver="overlay2", iptables=False)
    assert made.without_effect == (
        "live-restore has no effect: containers always go on without the daemon",
        "storage-driver has no effect: layers are on overlayfs",
        "iptables has no effect: rules are in an nftables table of our own",
        "userland-proxy has no effect: ports are published without processes",
    )


@pytest.mark.parametrize("row", FOREIGN, ids=lambda row: row.key)
def test_every_foreign_option_is_taken_or_refused_by_name(file: Path, row: Foreign) -> None:
    samples = {"bool": True, "int": 7, "list": ["x"], "value": {"x": "y"}, "string": "x"}
    given = samples[row.kind.word]
    file.write_text(json.dumps({row.key: given}))
    if row.harmless and not (row.kind.many and not given):
        with pytest.raises(InvalidArgument, match=f"{row.key}=.* is not supported"):
            load(arguments(["--config-file", str(file)]), {})
    else:
        assert (
            load(arguments(["--config-file", str(file)]), {}).without_effect[0].startswith(f"{row.key} has no effect")
        )
    for harmless in row.harmless:
        file.write_text(json.dumps({row.key: list(harmless) if isinstance(harmless, tuple) else harmless}))
        if not isinstance(harmless, tuple) or row.kind.many:
            load(arguments(["--config-file", str(file)]), {})


def test_one_value_of_every_sort(file: Path) -> None:
    by_file = configured(
        file, default_ulimits={"nofile": {"Name": "nofile", "Soft": 1, "Hard": 2}}, features={"x": True}, default_shm_size="32M", mtu=1400,
        default_address_pools=[{"base": "10.9.0.0/16", "size": 24}], runtimes={"other": {"path": "/r", "runtimeArgs": ["--a"]}},
        host_gateway_ip="9.9.9.9", dns=["1.1.1.1"], icc=False, shutdown_timeout=3,
    )  # fmt: skip
    by_flag = configured(
        file, "--default-ulimit=nofile=1:2", "--feature=x", "--default-shm-size=32m", "--mtu=1400", "--icc=false", "--dns=1.1.1.1",
        "--default-address-pool=base=10.9.0.0/16,size=24", "--add-runtime=other=/r", "--host-gateway-ip=9.9.9.9", "--shutdown-timeout=3",
    )  # fmt: skip
    assert by_file.runtimes == (NamedRuntime("other", "/r", ("--a",)),)
    assert replace(by_flag, runtimes=by_file.runtimes) == by_file
    assert by_file.default_ulimits == (Ulimit("nofile", 1, 2),) and by_file.default_shm_size == 32 << 20
    assert by_file.default_address_pools == (AddressPool("10.9.0.0/16", 24),) and by_file.features == (("x", True),)


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
        (["--host", "tcp://0.0.0.0:2375"], "without TLS"), (["--host", "tcp://:99999", "--tls"], "invalid host"), (["--host", "unix://x"], "invalid host"),
        (["--exec-opt", "native.cgroupdriver=systemd"], "native.cgroupdriver=systemd is not supported"), (["--exec-opt", "a=b"], "invalid exec-opt (a=b): unknown option: 'a'"),
        (["--label", "a=1", "--label", "a=2"], "conflict labels for a=2 and a=1"), (["--label", "a"], 'invalid argument "a" for "--label" flag: bad attribute format: a'),
        (["--default-runtime", "x"], "specified default runtime 'x' does not exist"), (["--add-runtime", "a=/a", "--add-runtime", "a=/b"], "runtime a is given more than once"),
        (["--default-ipc-mode", "x"], 'default IPC mode setting (x) is invalid; use "shareable" or "private"'), (["--log-format", "x"], "invalid log format: x"),
        (["--default-cgroupns-mode", "x"], 'invalid default cgroup namespace (x): use "host" or "private"'), (["--mtu=-1"], "invalid default MTU: -1"),
        (["--max-concurrent-downloads=-1"], "invalid max concurrent downloads: -1"), (["--metrics-addr", "9323"], "invalid metrics-addr '9323': expected HOST:PORT"),
        (["--registry-mirror", "a b"], "invalid mirror"), (["--ip", "::1"], "published on IPv4 addresses"), (["--bip", "x"], "invalid bip 'x'"), (["--bridge", ""], "invalid bridge name ''"),
        (["--bridge", "a b"], "invalid bridge name"), (["--bridge", "x" * 16], "invalid bridge name"), (["--log-level", "x"], "invalid logging level: x"),
        (["--data-root", "x"], "data-root 'x' is not an absolute path"), (["--exec-root", "x"], "exec-root 'x' is not an absolute path"),
    ],
)  # fmt: skip
def test_bad_values(file: Path, flags: list[str], words: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        configured(file, *flags)
    assert words in str(caught.value)


def test_tcp_without_tls_only_if_said(file: Path) -> None:
    for flag in ("--tls=false", "--tls", "--tlsverify"):
        assert configured(file, "--host", "tcp://", flag).hosts == ("tcp://",)
    assert configured(file, "--host", "tcp://127.0.0.1:1", "--tlsverify=false").hosts == ("tcp://127.0.0.1:1",)


def test_unknown_flags_and_abbreviations_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for flag in ("--nonsense", "--data"):
        with pytest.raises(SystemExit) as caught:
            arguments([flag, "x"])
        assert caught.value.code == 2 and flag in capsys.readouterr().err


def test_every_option_is_a_field_once() -> None:
    assert [option.field for option in OPTIONS] == [
        name for name in Config.__dataclass_fields__ if name != "without_effect"
    ]
    rows = [*OPTIONS, *FOREIGN]
    flags, keys = [flag for row in rows for flag in row.flags], [row.key for row in rows]
    assert len(set(flags)) == len(flags) and len(set(keys)) == len(keys)


def test_every_flag_of_dockerd_29_is_there() -> None:
    """All of `dockerd --help`."""
    known = {flag for row in (*OPTIONS, *FOREIGN) for flag in row.flags} | {
        "--config-file",
        "--help",
        "--validate",
        "--version",
    }
    assert sorted(set(DOCKERD_29.split()) - known) == []
