"""Log options: what Docker 29 says to each (asked), at create or, where that is when it finds out, at start."""

from __future__ import annotations

import pytest

from naru.errors import InvalidArgument
from naru.logs.options import backstop_bytes, check, is_readable, merge, policy
from naru.logs.values import Policy
from naru.wire.container import LogConfig

START = "failed to initialize logging driver: "
MIB = 1 << 20
REFUSED = [
    ("nosuch", {}, 'error looking up logging plugin nosuch: plugin "nosuch" not found'),
    ("json-file", {"foo": "bar"}, "unknown log opt 'foo' for json-file log driver"),
    ("", {"foo": "bar"}, "unknown log opt 'foo' for json-file log driver"),
    ("local", {"foo": "bar"}, "unknown log opt 'foo' for log driver local"),
    ("json-file", {"mode": "x"}, "logger: logging mode not supported: x"),
    ("json-file", {"max-buffer-size": "1m"}, "logger: max-buffer-size option is only supported with 'mode=non-blocking'"),
    ("json-file", {"mode": "non-blocking", "max-buffer-size": "abc"}, "error parsing option max-buffer-size: invalid size: 'abc'"),
    ("json-file", {"cache-disabled": "x"}, "invalid value for option cache-disabled: x"),
    ("json-file", {"max-size": "abc"}, f"{START}invalid size: 'abc'"),
    ("json-file", {"max-size": "-1"}, f"{START}invalid size: '-1'"),
    ("json-file", {"max-size": "0"}, f"{START}max-size must be a positive number"),
    ("json-file", {"max-size": "10k", "max-file": "0"}, f"{START}max-file cannot be less than 1"),
    ("json-file", {"max-size": "1m", "max-file": "abc"}, f'{START}strconv.Atoi: parsing "abc": invalid syntax'),
    ("json-file", {"max-size": "1m", "max-file": "2", "compress": "maybe"}, f'{START}strconv.ParseBool: parsing "maybe": invalid syntax'),
    ("json-file", {"max-size": "1m", "compress": "true"}, f"{START}compress cannot be true when max-file is less than 2 or max-size is not set"),
    ("json-file", {"labels-regex": "("}, f"{START}error parsing regexp: missing ), unterminated subpattern: `(`"),
    ("json-file", {"tag": "{{.Nope}}"}, f'{START}template: log-tag:1:2: executing "log-tag" at <.Nope>: can\'t evaluate field Nope in type *logger.Info'),
    ("json-file", {"tag": "{{.ID"}, f"{START}template: log-tag:1: unclosed action"),
    ("local", {"max-size": "abc"}, f"{START}invalid value for max-size: abc: invalid size: 'abc'"),
    ("local", {"max-file": "abc"}, f'{START}invalid value for max-file: abc: strconv.Atoi: parsing "abc": invalid syntax'),
    ("local", {"max-file": "1"}, f"{START}compression cannot be enabled when max file count is 1"),
    ("local", {"max-file": "-1"}, f"{START}max-file must not be negative"),
    ("local", {"compress": "maybe"}, f'{START}invalid boolean value for compress: strconv.ParseBool: parsing "maybe": invalid syntax'),
    ("journald", {"foo": "x"}, "unknown log opt 'foo' for journald log driver"),
    ("syslog", {"max-size": "1m"}, "unknown log opt 'max-size' for syslog log driver"),
    ("syslog", {"syslog-address": "abc"}, "unsupported scheme: ''"),
    ("syslog", {"syslog-address": "http://1.2.3.4"}, "unsupported scheme: 'http'"),
    ("syslog", {"syslog-address": "unix:///nosuch"}, "stat /nosuch: no such file or directory"),
    ("syslog", {"syslog-address": "unixgram:///nosuch"}, "stat /nosuch: no such file or directory"),
    ("syslog", {"syslog-format": "x"}, "Invalid syslog format"),
    ("syslog", {"syslog-facility": "x"}, "invalid syslog facility"),
    ("syslog", {"syslog-facility": "99"}, "invalid syslog facility"),
    ("syslog", {"syslog-address": "tcp+tls://h:9", "syslog-tls-ca-cert": "/nosuch"}, f'{START}could not read CA certificate "/nosuch": open /nosuch: no such file or directory'),
    ("syslog", {"cache-disabled": "x"}, "invalid value for option cache-disabled: x"),
    ("syslog", {"cache-max-size": "abc"}, f"{START}invalid value for max-size: abc: invalid size: 'abc'"),
    ("fluentd", {"foo": "x"}, "unknown log opt 'foo' for fluentd log driver"),
    ("fluentd", {"fluentd-async-connect": "true"}, "unknown log opt 'fluentd-async-connect' for fluentd log driver"),
    ("fluentd", {"fluentd-address": "http://x"}, "invalid fluentd-address (http://x): unsupported scheme: 'http'"),
    ("fluentd", {"fluentd-address": "unix://"}, "invalid fluentd-address (unix://): path is empty"),
    ("fluentd", {"fluentd-address": "tcp://127.0.0.1:99999"}, 'invalid fluentd-address (tcp://127.0.0.1:99999): invalid port: strconv.ParseUint: parsing "99999": value out of range'),
    ("fluentd", {"fluentd-address": "127.0.0.1:1/path"}, "invalid fluentd-address (127.0.0.1:1/path): should not contain a path element"),
    ("fluentd", {"fluentd-async": "maybe"}, 'strconv.ParseBool: parsing "maybe": invalid syntax'),
    ("fluentd", {"fluentd-buffer-limit": "abc"}, "invalid size: 'abc'"),
    ("fluentd", {"fluentd-retry-wait": "abc"}, 'time: invalid duration "abc"'),
    ("fluentd", {"fluentd-max-retries": "abc"}, 'strconv.ParseUint: parsing "abc": invalid syntax'),
    ("fluentd", {"fluentd-async-reconnect-interval": "1"}, 'invalid value for fluentd-async-reconnect-interval: time: missing unit in duration "1"'),
    ("fluentd", {"fluentd-write-timeout": "x"}, 'invalid value for fluentd-write-timeout: value must be a duration: time: invalid duration "x"'),
    ("gelf", {"foo": "x"}, "gelf-address is a required parameter"),
    ("gelf", {"gelf-address": "udp://h:9", "foo": "x"}, "unknown log opt 'foo' for gelf log driver"),
    ("gelf", {"gelf-address": "abc"}, "gelf: endpoint needs to be TCP or UDP"),
    ("gelf", {"gelf-address": "udp://127.0.0.1"}, "gelf: please provide gelf-address as proto://host:port"),
    ("gelf", {"gelf-address": "udp://h:9", "gelf-compression-type": "x"}, 'unknown value "x" for log opt "gelf-compression-type" for gelf log driver'),
    ("gelf", {"gelf-address": "udp://h:9", "gelf-compression-level": "10"}, 'unknown value "10" for log opt "gelf-compression-level" for gelf log driver'),
    ("gelf", {"gelf-address": "tcp://h:1", "gelf-compression-type": "gzip"}, "compression is only supported on UDP"),
    ("gelf", {"gelf-address": "udp://h:9", "gelf-tcp-max-reconnect": "1"}, '"gelf-tcp-max-reconnect" is only valid for TCP'),
    ("gelf", {"gelf-address": "tcp://h:1", "gelf-tcp-max-reconnect": "x"}, '"gelf-tcp-max-reconnect" must be a positive integer'),
]  # fmt: skip


@pytest.mark.parametrize(("driver", "options", "message"), REFUSED)
def test_refused(driver: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check(LogConfig(type=driver, config=options))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("driver", "options", "expected"),
    [
        ("", {}, Policy(20 * MIB, 5, True)),
        ("json-file", {"max-file": "3"}, Policy(20 * MIB, 3, True)),
        ("json-file", {"max-size": "10 MB"}, Policy(10_000_000, 1, False)),
        ("json-file", {"max-size": "1.5m", "max-file": "2"}, Policy(1_500_000, 2, False)),
        ("json-file", {"max-size": "10k", "max-file": "3", "compress": "true"}, Policy(10_000, 3, True)),
        ("json-file", {"mode": "non-blocking", "max-buffer-size": "4m", "labels": "a", "env-regex": "^X"}, Policy(20 * MIB, 5, True)),
        ("local", {}, Policy(20 * MIB, 5, True)),
        ("local", {"max-size": "0"}, Policy(None, 5, True)),
        ("local", {"max-file": "1", "compress": "false"}, Policy(20 * MIB, 1, False)),
        ("journald", {"tag": "{{.Name}}", "labels": "a", "cache-max-size": "1m", "cache-max-file": "2"}, Policy(1_000_000, 2, True)),
        ("syslog", {"syslog-address": "udp://h", "syslog-facility": "local7", "syslog-format": "rfc5424micro"}, Policy(20 * MIB, 5, True)),
        ("syslog", {}, Policy(20 * MIB, 5, True)),
        ("fluentd", {"fluentd-address": "tls://h:1", "fluentd-async": "true", "fluentd-write-timeout": "1s"}, Policy(20 * MIB, 5, True)),
        ("gelf", {"gelf-address": "tcp://h:1", "gelf-tcp-reconnect-delay": "2"}, Policy(20 * MIB, 5, True)),
    ],
)  # fmt: skip
def test_taken(driver: str, options: dict[str, str], expected: Policy) -> None:
    config = LogConfig(type=driver, config=options)
    check(config)
    assert policy(config) == expected


def test_none_takes_anything() -> None:
    check(LogConfig(type="none", config={"foo": "bar"}))


def test_the_bound_without_a_daemon() -> None:
    assert backstop_bytes(LogConfig()) == 128 * MIB
    assert backstop_bytes(LogConfig(type="local", config={"max-size": "100m"})) == 500_000_000
    assert backstop_bytes(LogConfig(type="local", config={"max-size": "0"})) is None


def test_nonsense_of_an_old_record_means_the_default() -> None:
    assert policy(LogConfig(type="json-file", config={"max-size": "abc"})) == policy(LogConfig())


def test_readable() -> None:
    assert is_readable(LogConfig())
    assert is_readable(LogConfig(type="fluentd"))
    assert not is_readable(LogConfig(type="fluentd", config={"cache-disabled": "true"}))
    assert not is_readable(LogConfig(type="none"))


def test_the_daemons_driver_and_its_options() -> None:
    default = LogConfig(type="local", config={"max-size": "1m", "max-file": "2"})
    assert merge(LogConfig(), default) == default
    asked = LogConfig(type="local", config={"max-file": "9"})
    assert merge(asked, default) == LogConfig(type="local", config={"max-size": "1m", "max-file": "9"})
    assert merge(LogConfig(type="none"), default) == LogConfig(type="none", config={})
