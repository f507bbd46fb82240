"""What goes with every line: the labels and variables that the options name, and the tag. Pure.

A tag is a template in Go's syntax with the fields of Docker's documentation, `index` for the maps, and pipes to `lower`,
`upper` and `title`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from naru.logs.values import Source

COMMON = frozenset({"labels", "labels-regex", "env", "env-regex", "tag"})
DEFAULT_TAG = "{{.ID}}"
_ACTION = re.compile(r"\{\{(-?)\s*(.*?)\s*(-?)\}\}", re.DOTALL)
_INDEX = re.compile(r'index\s+\.(\w+)\s+"([^"]*)"')
_PIPES: dict[str, Callable[[str], str]] = {"lower": str.lower, "upper": str.upper, "title": str.title}
_FIELDS: dict[str, Callable[[Source], str]] = {
    "ID": lambda source: source.id[:12],
    "FullID": lambda source: source.id,
    "Name": lambda source: source.name,
    "ImageID": lambda source: source.image_id.rpartition(":")[2][:12],
    "ImageFullID": lambda source: source.image_id,
    "ImageName": lambda source: source.image_name,
    "DaemonName": lambda source: "docker",
    "Hostname": lambda source: source.host,
    "Command": lambda source: " ".join((source.entrypoint, *source.arguments)).strip(),
    "ContainerID": lambda source: source.id,
    "ContainerName": lambda source: f"/{source.name}",
    "ContainerImageID": lambda source: source.image_id,
    "ContainerImageName": lambda source: source.image_name,
    "ContainerEntrypoint": lambda source: source.entrypoint,
}
_MAPS: dict[str, Callable[[Source], Mapping[str, str]]] = {"ContainerLabels": lambda source: source.labels}
_NOBODY = Source("0" * 64, "nobody")


def check_attributes(options: Mapping[str, str]) -> None:
    """Raises ValueError."""
    tag(options.get("tag", ""), _NOBODY)
    for name in ("labels-regex", "env-regex"):
        try:
            re.compile(options.get(name, ""))
        except re.error as error:
            raise ValueError(f"error parsing regexp: {error.msg}: `{options[name]}`") from error


def tag(template: str, source: Source) -> str:
    """Raises ValueError in the words of Go's templates."""
    if "{{" in _ACTION.sub("", template):
        raise ValueError("template: log-tag:1: unclosed action")
    return _ACTION.sub(lambda found: _evaluate(found[2], source), template)


def _evaluate(action: str, source: Source) -> str:
    first, *pipes = (part.strip() for part in action.split("|"))
    if first.startswith(".") and first[1:] in _FIELDS:
        value = _FIELDS[first[1:]](source)
    elif (found := _INDEX.fullmatch(first)) and found[1] in _MAPS:
        value = _MAPS[found[1]](source).get(found[2], "")
    elif first.startswith("."):
        raise ValueError(
            f'template: log-tag:1:2: executing "log-tag" at <{first}>: can\'t evaluate field {first[1:]} in type *logger.Info'
        )
    else:
        raise ValueError(f'template: log-tag:1: function "{first.split(" ")[0]}" not defined')
    for pipe in pipes:
        if pipe not in _PIPES:
            raise ValueError(f'template: log-tag:1: function "{pipe}" not defined')
        value = _PIPES[pipe](value)
    return value


def extra(options: Mapping[str, str], source: Source) -> dict[str, str]:
    """The labels and variables that `labels`, `labels-regex`, `env` and `env-regex` name; a variable wins over a label."""
    variables = dict(entry.partition("=")[::2] for entry in source.env)
    return {
        **_chosen(source.labels, options.get("labels", ""), options.get("labels-regex", "")),
        **_chosen(variables, options.get("env", ""), options.get("env-regex", "")),
    }


def _chosen(values: Mapping[str, str], names: str, pattern: str) -> dict[str, str]:
    wanted = {name.strip() for name in names.split(",") if name.strip()}
    search = re.compile(pattern).search if pattern else None
    return {name: value for name, value in values.items() if name in wanted or (search is not None and search(name))}
