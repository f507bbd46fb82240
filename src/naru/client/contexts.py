"""Docker's context store: named endpoints under ~/.docker/contexts.

    contexts/meta/<sha256 of the name>/meta.json          {"Name", "Metadata", "Endpoints": {"docker": {"Host", …}}}
    contexts/tls/<sha256 of the name>/docker/{ca,cert,key}.pem

`default` is not stored: it is what flags and environment say (`client/endpoint.py`).
"""

from __future__ import annotations

import os

from naru.client import jsontext
from naru.client.config import write_private
from naru.client.endpoint import Endpoint, Tls
from naru.errors import Conflict, InvalidArgument, NotFound, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+-")
_TLS_FILES = ("ca", "cert", "key")


class Context:
    """One stored context: its meta.json as it is, and the folders that belong to it."""

    def __init__(self, config: str, meta: dict[str, Any]) -> None:
        self.meta = meta
        self.name: str = meta["Name"]
        self.meta_dir, self.tls_dir = _folders(config, self.name)

    @property
    def docker(self) -> dict[str, Any]:
        found: dict[str, Any] = (self.meta.get("Endpoints") or {}).get("docker") or {}
        return found

    @property
    def description(self) -> str:
        return str((self.meta.get("Metadata") or {}).get("Description") or "")

    @property
    def host(self) -> str:
        return str(self.docker.get("Host") or "")

    def tls_files(self) -> list[str]:
        return [f"{name}.pem" for name in _TLS_FILES if os.path.exists(f"{self.tls_dir}/docker/{name}.pem")]

    def endpoint(self) -> Endpoint:
        """Raises InvalidArgument if the context has no usable docker endpoint."""
        if not self.host:
            raise InvalidArgument(f"unable to resolve docker endpoint: context {self.name!r} has no docker endpoint")
        skip = bool(self.docker.get("SkipTLSVerify"))
        tls = Tls.in_folder(f"{self.tls_dir}/docker", verify=not skip) if self.tls_files() or skip else None
        return Endpoint(self.host, tls, self.name)


def _folders(config: str, name: str) -> tuple[str, str]:
    from hashlib import sha256

    key = sha256(name.encode()).hexdigest()
    return f"{config}/contexts/meta/{key}", f"{config}/contexts/tls/{key}"


def check_name(name: str) -> None:
    """Raises InvalidArgument unless a context may be called so."""
    if name == "default":
        raise InvalidArgument('"default" is a reserved context name')
    if len(name) < 2 or not name[0].isalnum() or not _NAME_CHARACTERS.issuperset(name):
        raise InvalidArgument(
            f'context name "{name}" is invalid, names are validated against regexp "^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$"'
        )


def load(config: str, name: str) -> Context:
    """Raises NotFound."""
    folder, _ = _folders(config, name)
    return _read(config, f"{folder}/meta.json", name)


def _read(config: str, path: str, name: str) -> Context:
    try:
        with open(path, "rb") as file:
            meta = jsontext.decode(file.read())
    except OSError as error:
        raise NotFound(f'context "{name}": context not found: open {path}: {(error.strerror or "").lower()}') from error
    except ValueError as error:
        raise InvalidArgument(f"{path}: {error}") from error
    if not isinstance(meta, dict) or not isinstance(meta.get("Name"), str):
        raise InvalidArgument(f"{path}: not a context")
    return Context(config, meta)


def load_all(config: str) -> list[Context]:
    """Every stored context, by name."""
    try:
        keys = os.listdir(f"{config}/contexts/meta")
    except FileNotFoundError:
        return []
    found = [_read(config, f"{config}/contexts/meta/{key}/meta.json", key) for key in keys]
    return sorted(found, key=lambda context: context.name)


def create(
    config: str,
    name: str,
    host: str,
    *,
    description: str = "",
    tls_paths: Mapping[str, str] | None = None,
    skip_verify: bool = False,
) -> Context:
    """Store a context; `tls_paths` maps ca, cert, key to files that are copied. Raises Conflict if the name is taken."""
    check_name(name)
    Endpoint(host)  # refuse what could never be used
    folder, _ = _folders(config, name)
    if os.path.exists(f"{folder}/meta.json"):
        raise Conflict(f'context "{name}" already exists')
    metadata = {"Description": description} if description else {}
    meta = {"Name": name, "Metadata": metadata, "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": skip_verify}}}
    context = Context(config, meta)
    try:
        texts = {key: _read_text(path) for key, path in (tls_paths or {}).items()}
    except OSError as error:
        raise InvalidArgument(f"open {error.filename}: {(error.strerror or '').lower()}") from error
    for key, text in texts.items():
        write_private(f"{context.tls_dir}/docker/{key}.pem", text)
    write_private(f"{folder}/meta.json", jsontext.encode(meta))
    return context


def _read_text(path: str) -> str:
    with open(path) as file:
        return file.read()


def remove(context: Context) -> None:
    """Forget the context and its keys."""
    from naru.linux.erase import remove_tree

    try:
        for folder in (context.tls_dir, context.meta_dir):
            if os.path.exists(folder):
                remove_tree(folder)
    except OSError as error:
        raise Unavailable(f"cannot remove context {context.name}: {error}") from error
