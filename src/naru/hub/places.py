"""Where another registry is, as people write it and as it is kept."""

from __future__ import annotations

from dataclasses import dataclass, field

from yarl import URL

from naru.errors import InvalidArgument
from naru.hub.webhooktargets import target_of
from naru.remote.auth import Credentials

DOCKER_HUB = "https://registry-1.docker.io"
_HUB_NAMES = ("docker.io", "index.docker.io", "registry-1.docker.io", "hub.docker.com")


@dataclass(frozen=True, slots=True)
class Place:
    """`https://HOST[:PORT]`, and as whom it is spoken to ("": as nobody)."""

    url: str
    username: str = ""
    password: str = field(default="", repr=False)

    @property
    def credentials(self) -> Credentials | None:
        return Credentials(self.username, self.password) if self.username else None


def registry_url(text: str) -> str:
    """A registry's URL as it is kept; any of Docker Hub's names is that of its registry. Raises InvalidArgument."""
    target = target_of(text if "://" in text else f"https://{text}")
    url = URL(target.url)
    if url.raw_path not in ("/", "/v2/", "/v2", "/v1/") or url.raw_query_string:
        raise InvalidArgument(f"registry {text[:200]!r}: must be https://HOST[:PORT], without a path")
    return DOCKER_HUB if target.host in _HUB_NAMES else f"{target.scheme}://{url.raw_authority.lower()}"
