from __future__ import annotations

from typing import Any

import pytest

from naru.cli.listing import Columns, render
from naru.errors import InvalidArgument

FIELDS: dict[str, Any] = {
    "ID": lambda r: r["id"], "Name": lambda r: r["name"], "Label": lambda r: lambda key: r["labels"].get(key, ""),
}  # fmt: skip
COLUMNS = Columns(FIELDS, {"ID": "X ID", "Name": "NAME"}, ("ID", "Name"))
RECORDS = [{"id": "1", "name": "<a>", "labels": {"com.x.my-key": "v"}}, {"id": "22", "name": "b", "labels": {}}]

FORMS = [
    ("", "X ID      NAME\n1         <a>\n22        b\n"),
    ("table", "X ID      NAME\n1         <a>\n22        b\n"),
    ("json", '{"ID":"1","Name":"\\u003ca\\u003e"}\n{"ID":"22","Name":"b"}\n'),
    ("{{.ID}}\\t{{.Name}}", "1\t<a>\n22\tb\n"),
    ('table {{.Name}}\\t{{.Label "com.x.my-key"}}', "NAME      my key\n<a>       v\nb         \n"),
    ("table {{upper .Name}}", "NAME\n<A>\nB\n"),
]


@pytest.mark.parametrize(("form", "text"), FORMS)
def test_forms(form: str, text: str) -> None:
    assert render(RECORDS, COLUMNS, form) == text


def test_nothing_to_list() -> None:
    assert (render([], COLUMNS), render([], COLUMNS, "json")) == ("X ID      NAME\n", "")


def test_errors() -> None:
    with pytest.raises(InvalidArgument, match="failed to parse template: template: :1: unclosed action"):
        render(RECORDS, COLUMNS, "{{.ID")
    with pytest.raises(InvalidArgument, match=r"failed to execute template.*can't evaluate field Foo"):
        render(RECORDS, COLUMNS, "{{.Foo}}")
