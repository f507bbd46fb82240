"""What a daemon leaves on its host on purpose, taken away: containers run on after it, so their networks do too."""

from __future__ import annotations

import os
from contextlib import closing

from naru.containers import survivors
from naru.daemon.config import table_of
from naru.events import Bus
from naru.linux.cgroup import Cgroup
from naru.linux.host import probe
from naru.networks.service import Networks
from naru.store.db import Database


async def end_containers(exec_root: str, cgroup_parent: str) -> None:
    """By force, every container of a daemon that has ended; their monitors have ended when this returns."""
    group = Cgroup(probe(), f"/{cgroup_parent.strip('/')}")
    group.kill()
    for monitor in survivors.find(exec_root)[0].values():
        await monitor.wait_end()
    group.remove()


async def remove_networks(data_root: str, bridge: str, bip: str = "") -> None:
    """Every bridge and the firewall table of a daemon that has ended, and whose containers have. Raises Internal, OSError."""
    with closing(Database(os.path.join(data_root, "naru.db"))) as db:
        networks = Networks(db, Bus(), bridge=bridge, bip=bip or None, table=table_of(bridge))
        await networks.start()
        await networks.down()
