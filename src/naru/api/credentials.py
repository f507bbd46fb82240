"""X-Registry-Auth and X-Registry-Config: base64url JSON of a client's credentials (Engine API, "Authentication"). Pure."""

from __future__ import annotations

import base64
import binascii

from naru.errors import InvalidArgument
from naru.oci.image import Json, load_json
from naru.remote.auth import Credentials


def from_header(text: str) -> Credentials | None:
    """None for no header, and for one that makes no sense, as Docker has it."""
    if not text:
        return None
    try:
        return from_json(load_json(_decode(text), "auth header"))
    except (InvalidArgument, binascii.Error, ValueError):
        return None


def from_json(value: Json) -> Credentials | None:
    names = ("username", "password", "identitytoken", "registrytoken")
    username, password, identity, registry = (str(value.get(name) or "") for name in names)
    if not any((username, password, identity, registry)) and value.get("auth"):
        try:
            username, _, password = base64.b64decode(str(value["auth"])).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
    if not any((username, password, identity, registry)):
        return None
    return Credentials(username=username, password=password, identity_token=identity, registry_token=registry)


def by_registry(text: str) -> dict[str, Credentials]:
    """X-Registry-Config: credentials by registry host."""
    if not text:
        return {}
    try:
        value = load_json(_decode(text), "registry config")
    except (InvalidArgument, binascii.Error, ValueError):
        return {}
    found = {}
    for host, entry in value.items():
        if isinstance(entry, dict) and (credentials := from_json(entry)) is not None:
            found[host.removeprefix("https://").removeprefix("http://").partition("/")[0]] = credentials
    return found


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
