"""The log drivers that ship what is printed somewhere else. The files are kept beside them whichever it is."""

from __future__ import annotations

from naru.logs import fluentd, gelf, journald, syslog
from naru.logs.destination import Driver

SHIPPING: dict[str, Driver] = {
    "fluentd": fluentd.DRIVER,
    "gelf": gelf.DRIVER,
    "journald": journald.DRIVER,
    "syslog": syslog.DRIVER,
}
NAMES = tuple(sorted((*SHIPPING, "json-file", "local")))  # as `info` lists them: without `none`
