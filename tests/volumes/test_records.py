from __future__ import annotations

import pytest

from naru.errors import InvalidArgument, NaruError, NotFound, Unsupported
from naru.volumes.records import Volume, check_driver, check_name, check_options, decode, encode


@pytest.mark.parametrize(
    "volume",
    [Volume("v1", 7), Volume("v1", 7, options={"type": "tmpfs"}, labels={}), Volume("v1", 7, labels={"ä": "b"})],
)
def test_records_come_back_from_the_database_as_they_went(volume: Volume) -> None:
    assert decode(encode(volume)) == volume


@pytest.mark.parametrize("name", ["ab", "A0", "a_b.c-d", "v" * 255])
def test_names(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["a/b", "..", ".a", "-a", "a b", "a\nb", "ab\n", "a\0", "ä2", "a:b"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_name(name)
    assert str(caught.value) == (
        f'create {name}: "{name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" '
        "are allowed. If you intended to pass a host directory, use absolute path"
    )


def test_names_too_short_and_too_long() -> None:
    with pytest.raises(
        InvalidArgument, match="create a: volume name is too short, names should be at least two alphanumeric"
    ):
        check_name("a")
    with pytest.raises(InvalidArgument, match="longer than 255"):
        check_name("v" * 256)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"},
        {"type": "none", "device": "/srv", "o": "bind"},
        {"type": "nfs", "device": ":/x", "o": "addr=h"},
    ],
)
def test_options(options: dict[str, str]) -> None:
    check_options("vol", options)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"nonsense": "1"}, InvalidArgument, 'create vol: invalid option: "nonsense"'),
        ({"o": "size=1"}, InvalidArgument, 'create vol: missing required option: "device"'),
        ({"device": "/x"}, InvalidArgument, 'create vol: missing required option: "type"'),
        (
            {"type": "nosuchfs", "device": "none"},
            Unsupported,
            'create vol: filesystem type "nosuchfs" is not supported',
        ),
        ({"type": "none", "device": "/srv"}, InvalidArgument, 'create vol: type "none" needs o=bind'),
        (
            {"type": "none", "device": "srv", "o": "bind"},
            InvalidArgument,
            'create vol: device "srv" is not an absolute path',
        ),
        ({"size": "1g"}, Unsupported, "create vol: quota size requested but no quota support"),
    ],
)
def test_options_that_are_refused(options: dict[str, str], kind: type[NaruError], message: str) -> None:
    with pytest.raises(kind) as caught:
        check_options("vol", options)
    assert str(caught.value) == message


def test_drivers() -> None:
    check_driver("vol", "")
    check_driver("vol", "local")
    with pytest.raises(NotFound) as caught:
        check_driver("vol", "nonsense")
    assert str(caught.value) == 'create vol: error looking up volume plugin nonsense: plugin "nonsense" not found'
