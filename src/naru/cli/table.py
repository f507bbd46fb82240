"""Columns of text, aligned as Docker aligns them: cells at least ten wide, three blanks between, no blanks at the end.

Pure.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_PADDING = 3
_MINIMUM = 10


def align(rows: Sequence[Sequence[str]], *, minimum: int = _MINIMUM, padding: int = _PADDING) -> str:
    """rows as lines; the last cell of a row is not padded. Rows may differ in length."""
    widths: list[int] = []
    for row in rows:
        for column, cell in enumerate(row[:-1]):
            width = len(cell) + padding
            if column == len(widths):
                widths.append(max(minimum, width))
            elif width > widths[column]:
                widths[column] = width
    lines = []
    for row in rows:
        cells = [cell.ljust(widths[column]) for column, cell in enumerate(row[:-1])]
        lines.append("".join(cells) + (row[-1] if row else ""))
    return "\n".join(lines) + "\n" if lines else ""


def shorten(text: str, width: int) -> str:
    """text, cut to width characters with an ellipsis if it is longer."""
    return text if len(text) <= width else text[: width - 1] + "…"
