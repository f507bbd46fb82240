"""`--change` of import and commit: Dockerfile instructions on an image's run config.

Only these make sense without a build: CMD ENTRYPOINT ENV EXPOSE LABEL ONBUILD STOPSIGNAL USER VOLUME WORKDIR HEALTHCHECK.
Pure; the words and shapes are those of `build.instructions`, which lies above this folder and is not needed for these
one-line forms.
"""

from __future__ import annotations

import json
import posixpath
import shlex
from collections.abc import Callable, Sequence
from copy import deepcopy

from naru.errors import InvalidArgument
from naru.oci.image import Json


def apply_changes(run: Json, changes: Sequence[str]) -> Json:
    """A new run config. Raises InvalidArgument in Docker's words."""
    out = deepcopy(run)
    for change in changes:
        for line in change.splitlines():
            word, _, rest = line.strip().partition(" ")
            if not word:
                continue
            apply = _CHANGES.get(word.upper())
            if apply is None:
                raise InvalidArgument(f"{word.upper()} is not a valid change command")
            apply(out, rest.strip(), word.upper())
    return out


def _exec_form(text: str) -> list[str] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, list) and all(isinstance(item, str) for item in value) else None


def _command(field: str) -> Callable[[Json, str, str], None]:
    def apply(run: Json, text: str, word: str) -> None:
        run[field] = _exec_form(text) or ["/bin/sh", "-c", text]

    return apply


def _words(text: str, word: str) -> list[str]:
    try:
        found = shlex.split(text)
    except ValueError as error:
        raise InvalidArgument(f"{word}: {error}") from error
    if not found:
        raise InvalidArgument(f"{word} requires at least one argument")
    return found


def _pairs(text: str, word: str) -> list[tuple[str, str]]:
    found = _words(text, word)
    if "=" not in found[0]:
        if len(found) < 2:
            raise InvalidArgument(f"{word} must have two arguments")
        return [(found[0], text.partition(found[0])[2].strip())]
    out = []
    for item in found:
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise InvalidArgument(f"Syntax error - can't find = in {item!r}. Must be of the form: name=value")
        out.append((name, value))
    return out


def _env(run: Json, text: str, word: str) -> None:
    values = {entry.partition("=")[0]: entry for entry in run.get("Env") or []}
    values.update({name: f"{name}={value}" for name, value in _pairs(text, word)})
    run["Env"] = list(values.values())


def _label(run: Json, text: str, word: str) -> None:
    run["Labels"] = {**(run.get("Labels") or {}), **dict(_pairs(text, word))}


def _expose(run: Json, text: str, word: str) -> None:
    ports: Json = {port if "/" in port else f"{port}/tcp": {} for port in _words(text, word)}
    run["ExposedPorts"] = {**(run.get("ExposedPorts") or {}), **ports}


def _volume(run: Json, text: str, word: str) -> None:
    run["Volumes"] = {**(run.get("Volumes") or {}), **{path: {} for path in _exec_form(text) or _words(text, word)}}


def _workdir(run: Json, text: str, word: str) -> None:
    run["WorkingDir"] = posixpath.normpath(posixpath.join(run.get("WorkingDir") or "/", text))


def _plain(field: str) -> Callable[[Json, str, str], None]:
    def apply(run: Json, text: str, word: str) -> None:
        run[field] = text

    return apply


def _onbuild(run: Json, text: str, word: str) -> None:
    run["OnBuild"] = [*(run.get("OnBuild") or []), text]


def _healthcheck(run: Json, text: str, word: str) -> None:
    if text.upper() == "NONE":
        run["Healthcheck"] = {"Test": ["NONE"]}
        return
    kind, _, command = text.partition(" ")
    if kind.upper() != "CMD" or not command:
        raise InvalidArgument(f"Unknown type {kind!r} in HEALTHCHECK (try CMD)")
    parsed = _exec_form(command.strip())
    run["Healthcheck"] = {"Test": ["CMD", *parsed] if parsed else ["CMD-SHELL", command.strip()]}


_CHANGES: dict[str, Callable[[Json, str, str], None]] = {
    "CMD": _command("Cmd"), "ENTRYPOINT": _command("Entrypoint"), "ENV": _env, "EXPOSE": _expose, "LABEL": _label,
    "ONBUILD": _onbuild, "STOPSIGNAL": _plain("StopSignal"), "USER": _plain("User"), "VOLUME": _volume,
    "WORKDIR": _workdir, "HEALTHCHECK": _healthcheck,
}  # fmt: skip
