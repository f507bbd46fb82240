"""Who may do what: the seam between the registry and whoever runs it. The private registry is open; the hub is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class Action(Enum):
    LOGIN = "login"  # GET /v2/: also where anonymous pulls are allowed a challenge may be wanted here
    CATALOG = "catalog"  # the list itself is still filtered by PULL
    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Want:
    action: Action
    repository: str = ""  # empty for LOGIN and CATALOG


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who was identified; `name` is empty for an anonymous one. Upload sessions belong to a name.

    `grants` is what a token that was sent allows: (type, name, action) of its scopes. None: there was no token.
    """

    name: str = ""
    grants: frozenset[tuple[str, str, str]] | None = None
    address: str = ""  # where the request came from


class Access(Protocol):
    async def identify(self, authorization: str) -> Caller:
        """Who sends this Authorization header ("" for none). Raises Refusal UNAUTHORIZED if it is a bad one; the challenge is
        added."""

    def may(self, caller: Caller, want: Want) -> bool:
        """Never blocks."""

    async def readable(self, caller: Caller, names: Sequence[str]) -> list[str]:
        """Those of these repositories that the caller may pull, in the same order."""

    def challenge(self, caller: Caller, wants: Sequence[Want], here: str) -> str:
        """The WWW-Authenticate value for a caller who may not; "" if logging in, or asking for more, would not help. `here` is the
        registry's own address as the caller wrote it (`https://host`)."""


class OpenAccess:
    """Everybody may do everything: for a registry on a private network."""

    async def identify(self, authorization: str) -> Caller:
        return Caller()

    def may(self, caller: Caller, want: Want) -> bool:
        return True

    async def readable(self, caller: Caller, names: Sequence[str]) -> list[str]:
        return list(names)

    def challenge(self, caller: Caller, wants: Sequence[Want], here: str) -> str:
        return ""
