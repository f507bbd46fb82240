"""Where a hub is found, kept for what is written down inside a transaction and read elsewhere. Functions of a Connection.

setting   "url" → what `--url` says
"""

from __future__ import annotations

from naru.registry.database import Connection


def keep(c: Connection, url: str) -> None:
    """As the instance that has begun last was told; "" for nothing."""
    c.run("DELETE FROM setting WHERE name = 'url'")
    if url:
        c.run("INSERT INTO setting (name, value) VALUES ('url', ?)", url.rstrip("/"))


def of_page(c: Connection, path: str) -> str:
    """The whole address of a page; without `--url`, which would have to be guessed, its path."""
    found = c.rows("SELECT value FROM setting WHERE name = 'url'")
    return (str(found[0][0]) if found else "") + path
