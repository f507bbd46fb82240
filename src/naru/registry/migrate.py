"""Bringing a database to the tables that this version of Naru works with, by Alembic.

A folder of migrations belongs to whoever owns the tables (`registry/migrations`, `hub/migrations`), each with a version table of its
own. Its files are named by revision, 0001 and on. Alembic and SQLAlchemy are loaded only if there is something to do.
"""

from __future__ import annotations

import importlib.resources
import logging

from naru.errors import Internal
from naru.registry.database import Connection, Database

log = logging.getLogger("naru.registry")

_LOCK = 0x6E617275  # PostgreSQL's advisory lock: one instance migrates, the others wait


async def migrate(database: Database, package: str, version_table: str) -> None:
    """The tables of `package` (a folder `migrations` is in it) are there when this returns. Raises Internal if the database has been
    made by a newer version."""
    folder = importlib.resources.files(package) / "migrations"
    head = max(entry.name[:4] for entry in folder.iterdir() if entry.name[:4].isdigit())
    current = await database.read(_version, version_table)
    if current == head:
        return
    if current > head:
        raise Internal(f"the database has version {current} of {version_table}, newer than this naru's {head}")
    await database.scan(_upgrade, database.url, str(folder), version_table)
    if current:
        log.info("the database went from version %s to %s of %s", current, head, version_table)


def _version(c: Connection, version_table: str) -> str:
    if c.dialect == "postgresql":
        exists = c.rows("SELECT to_regclass(?)::text", version_table)[0][0] is not None
    else:
        exists = bool(c.rows("SELECT 1 FROM sqlite_master WHERE name = ?", version_table))
    return str(c.rows(f"SELECT version_num FROM {version_table}")[0][0]) if exists else ""


def _upgrade(c: Connection, url: str, folder: str, version_table: str) -> None:
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of each plugin it loads
    import sqlalchemy  # noqa: PLC0415 - a third of a second, which a start without migrations does not need
    from alembic.config import Config  # noqa: PLC0415
    from alembic.runtime.environment import EnvironmentContext  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415
    from sqlalchemy import event  # noqa: PLC0415

    script = ScriptDirectory(folder, version_locations=[folder])
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    if c.dialect == "sqlite":  # Python's module would commit before each CREATE TABLE, and a crash leave half of them
        event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    try:
        with (
            EnvironmentContext(Config(), script, fn=lambda revision, _: script._upgrade_revs("head", revision)) as run,
            engine.begin() as connection,
        ):
            if c.dialect == "postgresql":
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            run.configure(connection=connection, version_table=version_table, transactional_ddl=True)
            run.run_migrations()
    finally:
        engine.dispose()
