"""Lists of records as --format wants them: Docker's table, `json`, a template for each, or a table of a template.

Pure: records and columns in, text out.
"""

from __future__ import annotations

from naru.cli.table import align

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

FORMAT_HELP = "Format: 'table', 'table TEMPLATE', 'json' or a Go template"


class Columns:
    """What a record can be asked for: `fields` by name, their `headers`, and the names that make Docker's `default` table."""

    def __init__(
        self,
        fields: Mapping[str, Callable[[Any], Any]],
        headers: Mapping[str, str],
        default: Sequence[str],
        kind: str = "Context",
    ) -> None:
        self.fields, self.headers, self.default, self.kind = fields, headers, default, kind


def render(records: Iterable[Any], columns: Columns, form: str = "") -> str:
    """The whole list as text. Raises InvalidArgument for a template that cannot be parsed or executed."""
    if form in ("", "table"):
        fields = [columns.fields[name] for name in columns.default]
        rows = [[field(record) for field in fields] for record in records]
        return align([[columns.headers[name] for name in columns.default], *rows])
    return _templated(records, columns, form)


def _templated(records: Iterable[Any], columns: Columns, form: str) -> str:
    from naru.cli.template import Row, Template
    from naru.cli.template_functions import TemplateError
    from naru.errors import InvalidArgument

    table = form.startswith("table ")
    source = "{{json .}}" if form == "json" else form.removeprefix("table ").strip() if table else form
    source = source.replace("\\t", "\t").replace("\\n", "\n")
    try:
        template = Template(source)
    except TemplateError as error:
        raise InvalidArgument(f"failed to parse template: template: :1: {error}") from error
    try:
        lines = [template.render(Row(record, columns.fields, columns.kind)) for record in records]
        if not table:
            return "".join([f"{line}\n" for line in lines])
        heading = template.render(Row(None, _Headings(columns.headers), columns.kind))
    except TemplateError as error:
        raise InvalidArgument(f"failed to execute template: template: {error}") from error
    return align([line.split("\t") for text in (heading, *lines) for line in text.split("\n")])


class _Headings(dict[str, "Callable[[Any], Any]"]):
    """The fields of the row of headings: every column's heading, and for {{.Label "a.b"}} the last word of the label."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__({name: _constant(header) for name, header in headers.items()})
        self["Label"] = _constant(_label_heading)


def _constant(value: Any) -> Callable[[Any], Any]:
    return lambda _: value


def _label_heading(label: str) -> str:
    return label.rpartition(".")[2].replace("-", " ").replace("_", " ")
