"""The one nftables table, kept as `ruleset` says it should be.

Owns the table and nothing else of the host's firewall. A change is a few elements in one transaction; should the table
be gone (somebody flushed the ruleset), the whole is put back: at once when the kernel tells of it, and at the latest
with the next change.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from naru.errors import Internal
from naru.linux.nft import Nft, TableWatch, has_table
from naru.networks import ruleset
from naru.networks.ruleset import Element

_log = logging.getLogger(__name__)


class Firewall:
    """`whole` gives the text of the table as it should be now: every network and endpoint there is. Calls take about
    0.2 ms and run where they are made, in the namespace of the thread that called `start`."""

    def __init__(self, table: str, whole: Callable[[], str]) -> None:
        self.table = table
        self._whole = whole
        self._nft: Nft | None = None
        self._watch: TableWatch | None = None

    def start(self) -> None:
        """Put the table in place and keep it there. Raises OSError."""
        self._nft = Nft()
        self.apply()
        self._watch = TableWatch()
        asyncio.get_running_loop().add_reader(self._watch.fileno(), self._on_told)

    def close(self) -> None:
        """Stop watching; the table stays."""
        if self._watch is not None:
            asyncio.get_running_loop().remove_reader(self._watch.fileno())
            self._watch.close()
            self._watch = None
        if self._nft is not None:
            self._nft.close()
            self._nft = None

    def apply(self) -> None:
        """Replace the table by what it should be, in one transaction. Raises OSError."""
        self._open().run(self._whole())

    def change(self, *, add: Sequence[Element] = (), remove: Sequence[Element] = ()) -> None:
        """Call it when `whole` already includes the change. Raises Internal, and then the change is not in the kernel."""
        if not add and not remove:
            return
        try:
            self._open().run(ruleset.remove(self.table, remove) + ruleset.add(self.table, add))
        except OSError as error:
            _log.warning("table %s is not as it was left, putting all of it back: %s", self.table, error)
            try:
                self.apply()
            except OSError as failure:
                raise Internal(f"cannot change the firewall: {failure}") from failure

    def remove(self) -> None:
        """Take the table away; to be closed first. Raises OSError."""
        with Nft() as nft:
            nft.run(ruleset.gone(self.table))

    def _open(self) -> Nft:
        if self._nft is None:
            raise RuntimeError("the firewall has not been started")
        return self._nft

    def _on_told(self) -> None:
        assert self._watch is not None
        if self._watch.deleted() and not has_table(self._open(), self.table):
            _log.warning("table %s was removed by somebody: putting it back", self.table)
            self.apply()
