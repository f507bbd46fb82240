"""Log options: what Docker 29 says to each (asked), at create or, where that is when it finds out, at start."""

from __future__ import annotations

import pytest

from naru.errors import InvalidArgument
from naru.logs.options import backstop_bytes, check, is_readable, policy
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
    assert not is_readable(LogConfig(type="none"))
