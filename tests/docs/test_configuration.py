"""docs/configuration.md lists exactly the options that there are, with their keys, flags and defaults."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from naru.daemon.config import OPTIONS, Config, parser

MANUAL = Path(__file__).parents[2] / "docs" / "configuration.md"
ROW = re.compile(r"\| `(?P<key>[^`]+)` \| (?P<flags>[^|]+) \| (?P<default>[^|]*) \| (?P<help>[^|]+) \|")


def row_of(option: object) -> tuple[str, str, str, str]:
    key, field, flags, help_text = (getattr(option, name) for name in ("key", "field", "flags", "help"))
    default = next(each.default for each in fields(Config) if each.name == field)
    shown = (
        ", ".join(default)
        if isinstance(default, tuple)
        else str(default).lower()
        if default in (True, False)
        else default
    )
    return key, ", ".join(f"`{flag}`" for flag in flags), f"`{shown}`" if shown else "", help_text


def test_the_table_is_the_table_of_the_code() -> None:
    rows = [tuple(cell.strip() for cell in found.groups()) for found in ROW.finditer(MANUAL.read_text())]
    assert rows == [row_of(option) for option in OPTIONS]


def test_every_flag_is_in_the_help() -> None:
    text = parser().format_help()
    assert [flag for option in OPTIONS for flag in option.flags if flag not in text] == []
