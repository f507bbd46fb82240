"""`config.json` of the client's folder (~/.docker): read whole, changed key by key, what we do not know is kept."""

from __future__ import annotations

import os

from naru.client import jsontext
from naru.errors import InvalidArgument, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def load(folder: str) -> dict[str, Any]:
    """The content of folder/config.json, {} if there is none. Raises InvalidArgument if it is not a JSON object."""
    path = f"{folder}/config.json"
    try:
        with open(path, "rb") as file:
            data = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise Unavailable(f"cannot read {path}: {error.strerror}") from error
    try:
        value = jsontext.decode(data) if data.strip() else {}
        if not isinstance(value, dict):
            raise ValueError("not an object")
    except ValueError as error:
        raise InvalidArgument(f"error loading config file: {path}: {error}") from error
    return value


def save(folder: str, value: dict[str, Any]) -> None:
    """Replace folder/config.json, whole or not at all; only its owner may read it, for it may hold passwords."""
    write_private(f"{folder}/config.json", jsontext.pretty(value, "\t"))


def write_private(path: str, text: str) -> None:
    """Replace path by text, mode 0600, its folders made if missing. Raises Unavailable."""
    path = os.path.realpath(path)  # a config.json that is a link into somebody's dotfiles stays one
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(fd, "w") as file:
                file.write(text)
            os.rename(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise Unavailable(f"cannot write {path}: {error.strerror}") from error
