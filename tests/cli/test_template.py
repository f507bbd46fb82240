from __future__ import annotations

from typing import Any

import pytest

from naru.cli.template import Row, Template
from naru.cli.template_functions import TemplateError, printf

VALUE: dict[str, Any] = {
    "Name": "/web",
    "State": {"Running": True, "Pid": 42, "Health": None},
    "Ports": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}], "53/udp": None},
    "Labels": {"b": "2", "a": "1"},
    "Cmd": ["sh", "-c", "x"],
    "Empty": [],
    "Zero": 0,
    "Size": 1.5,
}

GOOD = [
    ("plain", "plain"),
    ("{{.Name}}", "/web"),
    ("{{ .State.Pid }}", "42"),
    ("{{.State.Running}}", "true"),
    ("{{.Labels}}", "map[a:1 b:2]"),
    ("{{.Cmd}}", "[sh -c x]"),
    ("{{.Nope}}", "<no value>"),
    ("{{.State.Health}}", "<no value>"),
    ("{{$.Name}}", "/web"),
    ("{{json .Labels}}", '{"b":"2","a":"1"}'),
    ("{{json .Nope}}", "null"),
    ('{{index .Labels "a"}}', "1"),
    ('{{index .Labels "zz"}}', ""),
    ("{{index .Cmd 2}}", "x"),
    ('{{(index (index .Ports "80/tcp") 0).HostPort}}', "8080"),
    ('{{index .Ports "80/tcp" 0 | json}}', '{"HostIp":"","HostPort":"8080"}'),
    ("{{range .Cmd}}<{{.}}>{{end}}", "<sh><-c><x>"),
    ("{{range $i, $v := .Cmd}}{{$i}}={{$v}};{{end}}", "0=sh;1=-c;2=x;"),
    ("{{range $k, $v := .Labels}}{{$k}}={{$v}} {{end}}", "a=1 b=2 "),
    ("{{range $v := .Cmd}}{{$v}}{{$.Zero}}{{end}}", "sh0-c0x0"),
    ("{{range .Empty}}x{{else}}none{{end}}", "none"),
    ("{{range .Cmd}}{{if eq . \"-c\"}}{{continue}}{{end}}{{.}}{{end}}", "shx"),
    ("{{range .Cmd}}{{if eq . \"-c\"}}{{break}}{{end}}{{.}}{{end}}", "sh"),
    ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
    ("{{if .Zero}}a{{else if .Empty}}b{{else}}c{{end}}", "c"),
    ("{{if and .Zero .Nope.Deep}}x{{else}}safe{{end}}", "safe"),
    ("{{or .Zero .Name}}", "/web"),
    ("{{not .Zero}}", "true"),
    ("{{with .State}}{{.Pid}}{{end}}{{with .Empty}}x{{else}}y{{end}}", "42y"),
    ("{{$x := len .Cmd}}{{$x}}{{$x}}", "33"),
    ('{{.Name | upper | printf "%-6s|"}}', "/WEB  |"),
    ('{{join .Cmd "+"}} {{split "a,b" ","}} {{lower "AB"}} {{title "ab"}} {{pad "x" 1 2}}| {{truncate "abcdef" 3}}', "sh+-c+x [a b] ab Ab  x  | abc"),
    ('{{eq .Zero 0}} {{ne .Name "x"}} {{lt 1 2}} {{ge 2 3}} {{eq "a" "b" "a"}}', "true true true false true"),
    ("{{slice .Name 1}} {{slice .Name 0 2}}", "web /w"),
    ("{{println .Name}}{{print 1 2}}", "/web\n1 2"),
    ("a {{- .Zero -}} b", "a0b"),
    ("{{/* nothing */}}x", "x"),
    ('{{"}}"}}', "}}"),
    ("{{`raw\\n`}}", "raw\\n"),
    ('{{"a\\tb\\\\n"}}', "a\tb\\n"),
    ("{{.Size}} {{true}} {{-5}}", "1.5 true -5"),
    ("{{(len .Cmd) | printf \"%03d\"}}", "003"),
    ('{{urlquery "a b/c"}}', "a+b%2Fc"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "text"), GOOD)
def test_good(source: str, text: str) -> None:
    assert Template(source).render(VALUE) == text


UNPARSABLE = [
    ("{{.Name", "unclosed action"),
    ("{{}}", "missing value for command"),
    ("{{foo .}}", 'function "foo" not defined'),
    ("{{if .A}}x", "unexpected EOF"),
    ("{{end}}", "unexpected"),
    ('{{"abc}}', "unclosed action"),
    ("{{(len .)", "unclosed action"),
    ("{{(len .}}", "unclosed left paren"),
    ("{{len .)}}", "unexpected right paren"),
    ("{{.A | }}", "missing value for command"),
    ("{{1x}}", "bad number syntax"),
    ("{{.A..B}}", "unexpected <.>"),
]


@pytest.mark.parametrize(("source", "words"), UNPARSABLE)
def test_unparsable(source: str, words: str) -> None:
    with pytest.raises(TemplateError, match=words):
        Template(source)


FAILING = [
    "{{.Name.Deep}}",
    "{{.Nope.Deep}}",
    "{{index .Cmd 9}}",
    "{{range .Name}}{{end}}",
    "{{$y}}",
    "{{lt .Name 1}}",
    "{{.Name 1}}",
    "{{upper .Cmd}}",
    "{{len .Zero}}",
]


@pytest.mark.parametrize("source", FAILING)
def test_failing(source: str) -> None:
    with pytest.raises(TemplateError):
        Template(source).render(VALUE)


def test_rows_are_asked_for_what_is_used_only() -> None:
    def never(record: Any) -> str:
        raise AssertionError("not asked for")

    row = Row({"id": "x"}, {"ID": lambda r: r["id"], "Other": never, "Label": lambda r: lambda name: f"<{name}>"})
    assert Template('{{.ID}} {{.Label "a.b"}}').render(row) == "x <a.b>"
    with pytest.raises(TemplateError, match="can't evaluate field Foo"):
        Template("{{.Foo}}").render(row)


FORMATS = [
    ("%5d|%-5d|%05d", (1, 2, 3), "    1|2    |00003"),
    ("%x %X %o %c", (255, 255, 8, 65), "ff FF 10 A"),
    ("%s %v %q", ("a", [1], "b"), 'a [1] "b"'),
    ("%.2f %e %g", (1.005, 1.0, 2.5), "1.00 1.000000e+00 2.5"),
    ("%t %%", (True,), "true %"),
    ("%d", ("x",), "%!d(str=x)"),
    ("%s", (), "%!s(MISSING)"),
    ("%8.3s|", ("abcdef",), "     abc|"),
]


@pytest.mark.parametrize(("form", "values", "text"), FORMATS)
def test_printf(form: str, values: tuple[Any, ...], text: str) -> None:
    assert printf(form, *values) == text
