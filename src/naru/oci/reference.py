"""Image references: `[host[:port]/]path[:tag][@digest]` and their normal forms.

The grammar is that of the distribution project's reference package and of the OCI distribution-spec ("Pulling
manifests"): a first component with a dot, a colon, an upper-case letter or equal to `localhost` is a registry host;
otherwise the name belongs to docker.io, and a docker.io name without a slash to docker.io/library.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from naru.errors import InvalidArgument
from naru.oci.digest import Digest

DEFAULT_HOST = "docker.io"
DEFAULT_TAG = "latest"
_OFFICIAL = "library"
_NAME_LIMIT = 255

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_HEX64 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Reference:
    """A normalised reference: host is never empty, path never lacks `library/` where Docker Hub wants it."""

    host: str
    path: str
    tag: str | None = None
    digest: Digest | None = None

    @property
    def name(self) -> str:
        """The repository with its host: `docker.io/library/alpine`."""
        return f"{self.host}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The repository as people write it: `alpine`, `me/app`, `localhost:5000/app`."""
        if self.host != DEFAULT_HOST:
            return self.name
        return self.path.removeprefix(f"{_OFFICIAL}/") if self.path.count("/") == 1 else self.path

    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def __str__(self) -> str:
        return self.name + self._suffix()

    @property
    def familiar(self) -> str:
        """The whole reference as people write it: `alpine:3.20`, `alpine@sha256:…`."""
        return self.familiar_name + self._suffix()

    def with_default_tag(self) -> Reference:
        """The same with tag `latest` if it has neither tag nor digest."""
        return self if self.tag or self.digest else replace(self, tag=DEFAULT_TAG)


def _invalid() -> InvalidArgument:
    return InvalidArgument("invalid reference format")


def parse(text: str) -> Reference:
    """Parse and normalise what a user wrote. Raises InvalidArgument in Docker's words."""
    if not text or len(text) > 4096:
        raise _invalid()
    if _HEX64.fullmatch(text):
        raise InvalidArgument(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    rest, at, digest_text = text.partition("@")
    tag: str | None = None
    slash, colon = rest.rfind("/"), rest.rfind(":")
    if colon > slash:
        rest, tag = rest[:colon], rest[colon + 1 :]
        if not _TAG.fullmatch(tag):
            raise _invalid()
    host, path = _split_host(rest)
    if not _PATH.fullmatch(path):
        if path != path.lower() and _PATH.fullmatch(path.lower()):
            raise InvalidArgument(f"invalid reference format: repository name ({path}) must be lowercase")
        raise _invalid()
    if not _HOST.fullmatch(host):
        raise _invalid()
    if len(path) > _NAME_LIMIT:
        raise InvalidArgument(f"repository name must not be more than {_NAME_LIMIT} characters")
    digest = None
    if at:
        try:
            digest = Digest.parse(digest_text)
        except InvalidArgument as error:
            raise _invalid() from error
    return Reference(host, path, tag, digest)


def _split_host(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        host, path = first, rest
    else:
        host, path = DEFAULT_HOST, name
    if host == "index.docker.io":
        host = DEFAULT_HOST
    if host == DEFAULT_HOST and "/" not in path:
        path = f"{_OFFICIAL}/{path}"
    return host, path
