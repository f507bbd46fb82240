from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import postgresql
import psycopg
import pytest

from naru.registry.blobstore import Folder
from naru.registry.database import Database, open_database
from naru.registry.migrate import migrate
from naru.registry.storage import Storage
from naru.registry.uploads import Uploads

_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    with postgresql.server() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database_url(request: Any, tmp_path: Path) -> str:
    """Of an empty database; of either kind."""
    if request.param == "sqlite":
        return str(tmp_path / "registry.db")
    server: str = request.getfixturevalue("postgresql_server")
    name = f"naru{next(_numbers)}"
    with psycopg.connect(server.format("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.format(name)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """With the registry's tables."""
    opened = open_database(database_url)
    try:
        asyncio.run(migrate(opened, "naru.registry", "registry_version"))
        yield opened
    finally:
        opened.close()


@pytest.fixture
def storage(database: Database, tmp_path: Path) -> Storage:
    return Storage(database, Folder(str(tmp_path / "blobs")))


@pytest.fixture
def uploads(storage: Storage) -> Iterator[Uploads]:
    opened = Uploads(storage.database, storage.blobs)
    yield opened
    opened.close()
