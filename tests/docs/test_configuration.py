"""docs/configuration.md lists exactly the options that there are, as `python tests/docs/test_configuration.py` prints them."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from naru.daemon.config import Config, parser, text_of
from naru.daemon.options import FOREIGN, OPTIONS, Foreign, Option

MANUAL = Path(__file__).parents[2] / "docs" / "configuration.md"
DEFAULTS = {each.name: text_of(each.default) for each in fields(Config)}


def quoted(*words: str) -> str:
    return ", ".join(f"`{word}`" for word in words)


def row_of(option: Option) -> str:
    default = DEFAULTS[option.field]
    cells = (
        quoted(option.key),
        quoted(*option.flags),
        f"`{default}`" if default else "",
        "yes" if option.reload else "",
    )
    return f"| {' | '.join(cells)} | {option.help} |".replace("|  |", "| |").replace("|  |", "| |")


def foreign_row(row: Foreign) -> str:
    taken = (
        "any"
        if not row.harmless
        else ", ".join(dict.fromkeys(f"`{text_of(each)}`" for each in row.harmless if each not in ("", (), {})))
        or "none"
    )
    return f"| {quoted(row.key)} | {quoted(*row.flags)} | {taken} | {row.why} |".replace("|  |", "| |")


def expected() -> list[str]:
    return [*map(row_of, OPTIONS), *map(foreign_row, FOREIGN)]


def test_the_tables_are_the_tables_of_the_code() -> None:
    rows = [line for line in MANUAL.read_text().splitlines() if re.match(r"\| `", line)]
    assert rows == expected()


def test_every_flag_is_in_the_help() -> None:
    text = parser().format_help()
    assert [flag for option in OPTIONS for flag in option.flags if flag not in text] == []


if __name__ == "__main__":
    print("\n".join(expected()))
