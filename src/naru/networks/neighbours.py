"""Room for our bridges under another engine's forward policy.

A host with Docker or ufw drops by policy what its iptables `filter FORWARD` chain does not know, and a packet passes only
if every table agrees. There, and only there, each of our bridges gets two rules that let its packets go on to our own
table, which decides: in DOCKER-USER, the chain that Docker leaves to others, else in FORWARD. Each rule carries our
table's name as its comment, which is how it is found again and taken away. Hosts without such a policy are not touched.
iptables has a table for each IP version: `ip filter` and `ip6 filter`. What is here blocks: that other table may be long.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

from naru.linux.nft import Nft

_log = logging.getLogger(__name__)
_RULE = re.compile(r'(?P<way>[io])ifname "(?P<bridge>[^"]+)" .*comment "(?P<owner>[^"]*)" # handle (?P<handle>\d+)')
_FAMILIES = ("ip", "ip6")


def settle(owner: str, bridges: Iterable[str]) -> None:
    """Exactly these bridges have their rules when this returns, if the host's policy asks for them; none of `owner`'s are
    left otherwise. What cannot be done is logged: without it containers still work, cut off from outside."""
    wanted = set(bridges)
    try:
        with Nft(handles=True) as nft:
            for family in _FAMILIES:
                _settle(nft, family, owner, wanted)
    except OSError as error:
        _log.warning("the host's own firewall may drop our forwarded packets: %s", error)


def _settle(nft: Nft, family: str, owner: str, bridges: set[str]) -> None:
    try:
        forward = nft.run(f"list chain {family} filter FORWARD")
    except OSError:
        return  # no iptables of this family on this host
    try:
        users = nft.run(f"list chain {family} filter DOCKER-USER")
        chain = "DOCKER-USER"
    except OSError:
        users, chain = forward, "FORWARD"
    wanted = {(way, bridge) for bridge in bridges for way in "io"} if "policy drop" in forward else set()
    commands = []
    for match in _RULE.finditer(users):
        if match["owner"] != owner:
            continue
        rule = (match["way"], match["bridge"])
        if rule in wanted:
            wanted.discard(rule)
        else:
            commands.append(f"delete rule {family} filter {chain} handle {match['handle']}")
    commands += [
        f'insert rule {family} filter {chain} {way}ifname "{bridge}" counter accept comment "{owner}"'
        for way, bridge in sorted(wanted)
    ]
    if commands:
        nft.run("\n".join(commands))
