"""What a volume is, and which options the local driver takes. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from naru.errors import InvalidArgument, NotFound, Unsupported

ANONYMOUS = "com.docker.volume.anonymous"  # label of volumes that nobody named
LOCAL = "local"

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_NAME_LIMIT = 255
_OPTIONS = ("type", "o", "device", "size")
_NEEDS = {"device": ("type",), "type": ("device",), "o": ("device", "type")}
_TYPES = ("none", "tmpfs", "nfs", "nfs4")


@dataclass(frozen=True, slots=True)
class Volume:
    name: str
    created_ns: int
    driver: str = LOCAL
    options: Mapping[str, str] | None = None  # None: none were given
    labels: Mapping[str, str] | None = None

    @property
    def anonymous(self) -> bool:
        return ANONYMOUS in (self.labels or {})


def encode(volume: Volume) -> str:
    return json.dumps(asdict(volume), ensure_ascii=False)


def decode(text: str) -> Volume:
    return Volume(**json.loads(text))


def check_name(name: str) -> None:
    """Raises InvalidArgument in Docker's words."""
    if len(name) < 2:
        raise InvalidArgument(
            f"create {name}: volume name is too short, names should be at least two alphanumeric characters"
        )
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" '
            "are allowed. If you intended to pass a host directory, use absolute path"
        )
    if len(name) > _NAME_LIMIT:
        raise InvalidArgument(f"create {name}: volume name is longer than {_NAME_LIMIT} characters")


def check_driver(name: str, driver: str) -> None:
    """Raises NotFound in Docker's words for any but the local one."""
    if driver not in ("", LOCAL):
        raise NotFound(f'create {name}: error looking up volume plugin {driver}: plugin "{driver}" not found')


def check_options(name: str, options: Mapping[str, str]) -> None:
    """Raises InvalidArgument; Unsupported for what could never be mounted here."""
    for option in options:
        if option not in _OPTIONS:
            raise InvalidArgument(f'create {name}: invalid option: "{option}"')
    for option in options:
        for needed in _NEEDS.get(option, ()):
            if needed not in options:
                raise InvalidArgument(f'create {name}: missing required option: "{needed}"')
    if "size" in options:
        raise Unsupported(f"create {name}: quota size requested but no quota support")
    kind, flags = options.get("type", "none"), options.get("o", "").split(",")
    if kind not in _TYPES:
        raise Unsupported(f'create {name}: filesystem type "{kind}" is not supported')
    if options and kind == "none":
        if "bind" not in flags and "rbind" not in flags:
            raise InvalidArgument(f'create {name}: type "none" needs o=bind')
        if not options["device"].startswith("/"):
            raise InvalidArgument(f'create {name}: device "{options["device"]}" is not an absolute path')
