"""Making tables that mean the same in SQLite and PostgreSQL."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

# Byte order everywhere: lists go on "after the last one", which has to mean the same to the server and to its clients
Text: Any = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
Id: Any = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Moment: Any = sa.Double()  # seconds since 1970
Bytes: Any = sa.BigInteger()
Flag: Any = sa.SmallInteger()  # 0 or 1
Payload: Any = sa.LargeBinary()


def table(name: str, *parts: Any, by_id: bool = False) -> None:
    """`by_id`: SQLite keeps rows in the order they were made; for tables with an id, or with large rows."""
    op.create_table(name, *parts, sqlite_with_rowid=by_id)


def column(name: str, kind: Any = Text, **more: Any) -> Any:
    """NOT NULL, unless it says otherwise."""
    return sa.Column(name, kind, **{"nullable": False, **more})


def identity() -> Any:
    return sa.Column("id", Id, primary_key=True, autoincrement=True)


def key(*columns: str) -> Any:
    return sa.PrimaryKeyConstraint(*columns)


def belongs_to(owner: str, *columns: str, to: tuple[str, ...] = ("id",), cascade: bool = True) -> Any:
    """Rows that refer to one of `owner`, and go with it."""
    targets = [f"{owner}.{name}" for name in to]
    return sa.ForeignKeyConstraint(list(columns), targets, ondelete="CASCADE" if cascade else None)
