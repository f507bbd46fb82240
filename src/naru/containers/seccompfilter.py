"""The default seccomp profile, compiled."""

from __future__ import annotations

import base64
import logging
from functools import cache

from naru.containers.seccomp import default_profile
from naru.linux import libseccomp

log = logging.getLogger(__name__)


@cache
def default_filter(capabilities: frozenset[str], machine: str) -> str:
    """The annotation's value, for a bounding set and a machine (uname's); "" if it cannot be made here. Takes 20 ms once."""
    try:
        return base64.b64encode(libseccomp.compile_profile(default_profile(capabilities, machine))).decode()
    except OSError as error:  # no such library, or one from before 2.5: the runtime compiles it
        log.info("the seccomp profile is left to the runtime: %s", error)
        return ""
