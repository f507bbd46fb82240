from __future__ import annotations

import pytest

from naru.cli.grammar import Grammar, Help, UsageError, check_count, parse

TEXT = """\
Usage:  naru x [OPTIONS] NAME [NAME...]

Options:
  -a, --all             everything
      --clean           tidy (default true)
  -f, --filter filter   which
  -n, --last int        how many
      --name string     called
  -t, --tty             terminal
Hidden:
      --old string      as before
"""
GRAMMAR = Grammar(TEXT)


def test_what_is_read_from_the_help_text() -> None:
    assert GRAMMAR.usage == "naru x [OPTIONS] NAME [NAME...]"
    assert (GRAMMAR.minimum, GRAMMAR.maximum, GRAMMAR.interspersed) == (1, None, True)
    assert sorted(name for name in GRAMMAR.flags if len(name) > 1) == [
        "all",
        "clean",
        "filter",
        "last",
        "name",
        "old",
        "tty",
    ]


USAGES = [
    ("naru ps [OPTIONS]", 0, 0, True),
    ("naru rename CONTAINER NEW_NAME", 2, 2, True),
    ("naru port CONTAINER [PRIVATE_PORT[/PROTO]]", 1, 2, True),
    ("naru build [OPTIONS] PATH | URL | -", 1, 1, True),
    ("naru import [OPTIONS] file|URL|- [REPOSITORY[:TAG]]", 1, 2, True),
    ("naru tag SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", 2, 2, True),
    ("naru run [OPTIONS] IMAGE [COMMAND] [ARG...]", 1, None, False),
    ("naru exec [OPTIONS] CONTAINER COMMAND [ARG...]", 2, None, False),
    ("naru top CONTAINER [ps OPTIONS]", 1, None, False),
    ("naru cp [OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-", 2, 2, True),
    ("naru stats [OPTIONS] [CONTAINER...]", 0, None, True),
]


@pytest.mark.parametrize(("usage", "low", "high", "interspersed"), USAGES)
def test_usage(usage: str, low: int, high: int | None, interspersed: bool) -> None:
    grammar = Grammar(f"Usage:  {usage}\n")
    assert (grammar.minimum, grammar.maximum, grammar.interspersed) == (low, high, interspersed)


LINES = [
    ("a -a b", ["a", "b"], {"all": True}),
    ("-at", [], {"all": True, "tty": True}),
    ("--all=false", [], {"all": False}),
    ("--clean=0", [], {"clean": False}),
    ("", [], {"all": False, "clean": True}),
    ("-n5 x", ["x"], {"last": 5}),
    ("-n=5", [], {"last": 5}),
    ("-n -1", [], {"last": -1}),
    ("--last=0x10", [], {"last": 16}),
    ("-an3", [], {"all": True, "last": 3}),
    ("-f a=b --filter c=d,e", [], {"filter": ["a=b", "c=d,e"]}),
    ("--name one --name two", [], {"name": "two"}),
    ("--name=", [], {"name": ""}),
    ("--old x", [], {"old": "x"}),
    ("-- -a --b", ["-a", "--b"], {"all": False}),
    ("- x", ["-", "x"], {}),
]


@pytest.mark.parametrize(("line", "words", "values"), LINES)
def test_lines(line: str, words: list[str], values: dict[str, object]) -> None:
    args = parse(GRAMMAR, line.split())
    assert args.words == words
    for name, wanted in values.items():
        if isinstance(wanted, bool):
            assert args.on(name) is wanted
        elif isinstance(wanted, int):
            assert args.number(name) == wanted
        elif isinstance(wanted, list):
            assert args.items(name) == wanted
        else:
            assert args.text(name, "?") == wanted


ERRORS = [
    ("--foo", "unknown flag: --foo"),
    ("--a", "unknown flag: --a"),
    ("-az", "unknown shorthand flag: 'z' in -z"),
    ("--name", "flag needs an argument: --name"),
    ("-an", "flag needs an argument: 'n' in -n"),
    ("-n x", 'invalid argument "x" for "-n, --last" flag: strconv.ParseInt: parsing "x": invalid syntax'),
    ("--all=foo", 'invalid argument "foo" for "-a, --all" flag: strconv.ParseBool: parsing "foo": invalid syntax'),
]


@pytest.mark.parametrize(("line", "message"), ERRORS)
def test_errors(line: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(GRAMMAR, line.split())
    assert (str(caught.value), caught.value.exit_code) == (message, 125)


@pytest.mark.parametrize("line", ["--help", "-h", "a --help", "-ah"])
def test_help(line: str) -> None:
    with pytest.raises(Help):
        parse(GRAMMAR, line.split())


def test_what_follows_the_image_is_the_containers() -> None:
    grammar = Grammar("Usage:  naru run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\nOptions:\n  -d, --detach   x\n")
    args = parse(grammar, ["-d", "image", "ls", "-l", "--help", "--"])
    assert args.words == ["image", "ls", "-l", "--help", "--"]


COUNTS = [
    ("x [OPTIONS]", 1, "'x' accepts no arguments"),
    ("x A B", 1, "'x' requires 2 arguments"),
    ("x A", 2, "'x' requires 1 argument"),
    ("x A [A...]", 0, "'x' requires at least 1 argument"),
    ("x [A]", 2, "'x' requires at most 1 argument"),
]


@pytest.mark.parametrize(("usage", "count", "message"), COUNTS)
def test_counts(usage: str, count: int, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        check_count(Grammar(f"Usage:  {usage}"), "x", ["w"] * count)
    assert caught.value.exit_code == 1
