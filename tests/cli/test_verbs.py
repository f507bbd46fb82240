from __future__ import annotations

import pytest

from naru.cli import manual
from naru.cli.grammar import Grammar
from naru.cli.main import load, main
from naru.cli.verbs import ALIASES, COMMON, GROUPS, HIDDEN, VERBS


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_is_there(name: str) -> None:
    module, text = load(name)
    function = name.replace(" ", "_").replace("-", "_") + ("_" if name == "import" else "")
    assert callable(getattr(module, function))
    grammar = Grammar(text)
    assert grammar.usage.startswith(f"naru {name}")
    options = [line for line in text.splitlines() if line.startswith("  -") or line.startswith("      --")]
    assert options or "[OPTIONS]" not in text
    for line in options:
        _, gap, words = line.strip().partition("  ")
        assert gap and words.strip(), f"a flag without a word about it: {line}"
        assert len(line) <= 130


def test_names_lead_somewhere() -> None:
    assert set(ALIASES.values()) <= set(VERBS)
    assert not set(ALIASES) & set(VERBS)
    assert set(COMMON) <= set(VERBS)
    assert set(VERBS) >= HIDDEN
    assert {name.partition(" ")[0] for name in [*ALIASES, *VERBS] if " " in name} == set(GROUPS)


@pytest.mark.parametrize("argv", [["--help"], ["-h"], [], ["help"]])
def test_overview(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert out == manual.overview()
    for name in [*GROUPS, *(verb for verb in VERBS if " " not in verb)]:
        assert f"\n  {name} " in out


@pytest.mark.parametrize("argv", [["volume"], ["volume", "--help"], ["help", "volume"]])
def test_group(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 0
    assert capsys.readouterr().out == (
        "Usage:  naru volume COMMAND\n\nManage volumes\n\nCommands:\n"
        "  create   Create a volume\n"
        "  inspect  Display detailed information on one or more volumes\n"
        "  ls       List volumes\n"
        "  prune    Remove unused local volumes\n"
        "  rm       Remove one or more volumes\n"
        "\nRun 'naru volume COMMAND --help' for more information on a command.\n"
    )


@pytest.mark.parametrize(
    "argv", [["stop", "--help"], ["container", "stop", "-h"], ["help", "stop"], ["stop", "x", "--help"]]
)
def test_verb(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 0
    assert capsys.readouterr().out == (
        "Usage:  naru stop [OPTIONS] CONTAINER [CONTAINER...]\n\n"
        "Stop one or more running containers\n\n"
        "Aliases:\n  naru container stop, naru stop\n\n"
        "Options:\n"
        "  -s, --signal string   Signal to send to the container\n"
        "  -t, --timeout int     Seconds to wait before killing it\n"
    )
