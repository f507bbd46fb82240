"""JSON with the manners of Go's decoder, and its words for what is wrong."""

from __future__ import annotations

import pytest

from naru.errors import InvalidArgument
from naru.wire.container import Config, CreateRequest, ExecRequest, HostConfig, PortBinding
from naru.wire.decode import builtins, decode_object, encode, from_builtins, parse_json, subset


def create(text: str | bytes) -> CreateRequest:
    raw = text.encode() if isinstance(text, str) else text
    return decode_object(raw, CreateRequest, "container.CreateRequest", prefix="CreateRequest.Config")


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ('{"Image":"x"}', "image", "x"),
        ('{"image":"x"}', "image", "x"),
        ('{"IMAGE":"x","Nonsense":[{}]}', "image", "x"),
        ('{"Image":null}', "image", ""),
        (' {"Image":"x"} \n', "image", "x"),
        (b'{"Image":"a\xffb"}', "image", "a\ufffdb"),
        ('{"Env":null,"Cmd":null}', "cmd", None),
        ('{"Cmd":["a"]}', "cmd", ["a"]),
        ('{"exposedports":{"80/TCP":{}}}', "exposed_ports", {"80/TCP": {}}),
        ('{"Labels":{"Image":"kept as it is"}}', "labels", {"Image": "kept as it is"}),
        ("null", "image", ""),
    ],
)
def test_go_manners(text: str | bytes, field: str, value: object) -> None:
    assert getattr(create(text), field) == value


def test_nested_structs_are_folded_too() -> None:
    made = create(
        '{"hostconfig":{"PORTBINDINGS":{"80/tcp":[{"hostport":"1"},{"HostIP":null}],"81/tcp":null},"memory":7}}'
    )
    assert made.host_config is not None
    assert made.host_config.memory == 7
    assert made.host_config.port_bindings == {"80/tcp": [PortBinding(host_port="1"), PortBinding()], "81/tcp": None}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "invalid JSON: EOF"),
        ("{", "invalid JSON: unexpected EOF"),
        ("hello", "invalid JSON: invalid character 'h' looking for beginning of value"),
        ('{"Image":"x"} x', "unexpected content after JSON"),
        ("{}{}", "unexpected content after JSON"),
        ("[]", "invalid JSON: json: cannot unmarshal array into Go value of type container.CreateRequest"),
        ('"x"', "invalid JSON: json: cannot unmarshal string into Go value of type container.CreateRequest"),
        ("1", "invalid JSON: json: cannot unmarshal number into Go value of type container.CreateRequest"),
        ('{"Image":1}', "invalid JSON: json: cannot unmarshal number into Go struct field CreateRequest.Config.Image of type string"),
        ('{"Cmd":[1]}', "invalid JSON: json: cannot unmarshal number into Go struct field CreateRequest.Config.Cmd of type string"),
        ('{"Env":{"A":"1"}}', "invalid JSON: json: cannot unmarshal object into Go struct field CreateRequest.Config.Env of type []string"),
        ('{"Labels":["a"]}', "invalid JSON: json: cannot unmarshal array into Go struct field CreateRequest.Config.Labels of type map[string]string"),
        ('{"Tty":"yes"}', "invalid JSON: json: cannot unmarshal string into Go struct field CreateRequest.Config.Tty of type bool"),
    ],
)  # fmt: skip
def test_refusals(text: str, words: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        create(text)
    assert str(caught.value) == words


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, '{"StopTimeout":' + "9" * 5000 + "}", "\0", '{"a":1e999}x']
)
def test_absurd_input_is_an_error_not_a_crash(text: str) -> None:
    with pytest.raises(InvalidArgument):
        create(text)


def test_encode_uses_dockers_names_and_leaves_text_alone() -> None:
    assert encode(PortBinding(host_ip="\u00e9")) == '{"HostIp":"\u00e9","HostPort":""}'.encode()
    assert encode(["\u2028\u2029\u2026\\"]) == '["\\u2028\\u2029\u2026\\\\"]'.encode()
    wire = builtins(HostConfig())
    for name in (
        "ContainerIDFile",
        "UTSMode",
        "IOMaximumIOps",
        "BlkioDeviceReadIOps",
        "PidsLimit",
        "NanoCpus",
        "CpusetCpus",
    ):
        assert name in wire


def test_builtins_and_back() -> None:
    made = create('{"Env":["A=1"],"HostConfig":{"Memory":1}}')
    assert from_builtins(builtins(made), CreateRequest) == made
    config = subset(made, Config)
    assert type(config) is Config and config.env == ["A=1"]
    assert ExecRequest().cmd is None


def test_parse_json_takes_any_value() -> None:
    assert parse_json(b" [1, null] ") == [1, None]
