"""When the hub begins: are its secrets open to it, and sealed with the newest key? See `registry.seals`."""

from __future__ import annotations

from naru.registry.database import Connection

# table, what a row is known by, the column that is sealed
_SEALED = (
    ("account", "id", "totp_secret"),
    ("replication", "id", "password"),
    ("scanner", "id", "authorization"),
    ("signing_key", "id", "private"),
    ("upstream", "namespace", "password"),
    ("webhook", "id", "secret"),
)


def seal_anew(c: Connection) -> int:
    """All that an older key has sealed; how much that was. Raises NotFound if it was one that is not here, and changes nothing."""
    changed = 0
    for table, key, column in _SEALED:
        older = f'SELECT {key}, "{column}" FROM {table} WHERE "{column}" <> \'\' AND "{column}" NOT LIKE ?'
        for row, sealed in c.rows(older, f"{c.seals.mark}%"):
            c.run(f'UPDATE {table} SET "{column}" = ? WHERE {key} = ?', c.seals.seal(c.seals.open(sealed)), row)
            changed += 1
    return changed
