"""Names for containers that were given none: an adjective and a kind of boat, for a landing."""

from __future__ import annotations

import secrets
from collections.abc import Container

_ADJECTIVES = """able agile amber bold brave bright brisk calm clear clever coral crisp daring deep eager early easy fair
fleet fond free fresh gentle glad golden grand happy hardy hazel honest jolly keen kind light lively lucid lucky mellow merry
mild misty modest neat nimble noble open placid plain proud quick quiet rapid ready rosy sandy serene sharp silent silver sleek
smooth snug solid spry steady still stout sunny sure swift tidy tranquil true upbeat vivid warm wise witty young zesty""".split()
_BOATS = """ark barge bark brig canoe caravel catamaran clipper coble coracle corvette currach cutter dhow dinghy dory dromon
felucca ferry frigate galleon galley gig gondola hoy hulk junk kayak keelboat ketch launch lugger nao packet pinnace pirogue prau
pram punt raft sampan scow schooner scull shallop skiff sloop smack tartane tender trawler trimaran tug umiak wherry whaler xebec
yacht yawl""".split()


def generate_name(taken: Container[str]) -> str:
    name = f"{secrets.choice(_ADJECTIVES)}_{secrets.choice(_BOATS)}"
    while name in taken:
        name = f"{name}{secrets.randbelow(10)}"
    return name
