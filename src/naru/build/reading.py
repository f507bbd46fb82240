"""Nodes to instructions: what each instruction takes, and what Docker says when it is given something else. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from naru.build import instructions as i
from naru.build.flags import LIST, SWITCH, TEXT, Flags, parse_mount, suggest
from naru.build.parse import Dockerfile, Node, heredoc_word, located, parse, split_line, words
from naru.errors import InvalidArgument, NaruError, Unsupported

_BLANKS = re.compile(r"[\t\v\f\r ]+")
_STAGE_NAME = re.compile(r"[a-z][a-z0-9-_.]*")
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_UNIT_NS = {"ns": 1, "us": 1000, "µs": 1000, "μs": 1000, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def read(file: Dockerfile) -> list[i.Instruction]:
    """Every instruction, in order. Raises DockerfileError naming the line; Unsupported likewise."""
    out: list[i.Instruction] = []
    for node in file.nodes:
        try:
            out.append(instruction(node, file.escape))
        except InvalidArgument as error:
            raise located(str(error), file.name, node.first_line, node.last_line) from error
        except NaruError as error:
            raise type(error)(f"{error} ({file.name}:{node.first_line})") from error
    return out


def instruction(node: Node, escape: str = "\\") -> i.Instruction:
    """The instruction a node holds. Raises InvalidArgument."""
    reader = _READERS.get(node.name.lower())
    if reader is None:
        raise suggest(f"unknown instruction: {node.name}", node.name, [name.upper() for name in _READERS])
    return reader(node, escape)


def trigger(text: str, escape: str = "\\") -> i.Instruction:
    """The instruction an ONBUILD of a base image left behind, heredocs (after line ends) included. Raises InvalidArgument."""
    if "\n" in text:
        return instruction(parse(text.encode(), "ONBUILD").nodes[0], escape)
    return instruction(split_line(text, escape, 1), escape)


def _json(text: str) -> tuple[str, ...] | None:
    """The strings of a JSON array, None if text is none. Raises InvalidArgument for an array of other things."""
    if not text.startswith("["):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidArgument("when using JSON array syntax, arrays must be comprised of strings only")
    return tuple(value)


def _list(text: str) -> tuple[str, ...]:
    found = _json(text)
    if found is not None:
        return found
    return tuple(_BLANKS.split(text)) if text else ()


def _no_flags(node: Node) -> None:
    Flags(node.flags, {})


def _at_least_one(node: Node, items: tuple[str, ...]) -> tuple[str, ...]:
    _no_flags(node)
    if not items:
        raise InvalidArgument(f"{node.name.upper()} requires at least one argument")
    return items


def _one(node: Node) -> str:
    _no_flags(node)
    if not node.rest:
        raise InvalidArgument(f"{node.name.upper()} requires exactly one argument")
    return node.rest


def _pairs(node: Node, escape: str) -> i.Pairs:
    """`a=b c="d e"`, or the old `a b c` meaning one pair."""
    name = node.name.upper()
    _no_flags(node)
    parts = words(node.rest, escape)
    if not parts:
        raise InvalidArgument(f"{name} requires at least one argument")
    if "=" not in parts[0]:
        old = _BLANKS.split(node.rest, maxsplit=1)
        if len(old) < 2:
            raise InvalidArgument(f"{name} must have two arguments")
        return ((old[0], old[1]),)
    for part in parts:
        if "=" not in part:
            raise InvalidArgument(f'Syntax error - can\'t find = in "{part}". Must be of the form: name=value')
        if part.startswith("="):
            raise InvalidArgument(f"{name} names can not be blank")
    return tuple((key, value) for key, _, value in (part.partition("=") for part in parts))


def _from(node: Node, escape: str) -> i.From:
    flags = Flags(node.flags, {"platform": TEXT})
    parts = tuple(_BLANKS.split(node.rest)) if node.rest else ()
    name = ""
    if len(parts) == 3 and parts[1].lower() == "as":
        name = parts[2].lower()
        if not _STAGE_NAME.fullmatch(name):
            raise InvalidArgument(
                f'invalid name for build stage: "{parts[2]}", name can\'t start with a number or contain symbols'
            )
    elif len(parts) != 1:
        raise InvalidArgument("FROM requires either one or three arguments")
    return i.From(node, parts[0], name, flags.text("platform"))


def _arg(node: Node, escape: str) -> i.Arg:
    pairs: list[tuple[str, str | None]] = []
    for word in _at_least_one(node, tuple(words(node.rest, escape))):
        name, equals, value = word.partition("=")
        if not name:
            raise InvalidArgument("ARG names can not be blank")
        pairs.append((name, value if equals else None))
    return i.Arg(node, tuple(pairs))


_COPY_FLAGS = {"chown": TEXT, "chmod": TEXT, "link": SWITCH, "exclude": LIST}


def _copied(node: Node) -> tuple[tuple[str, ...], str, tuple[i.InlineFile, ...]]:
    """Sources, target and the files given as heredocs."""
    name = node.name.upper()
    found = _json(node.rest)
    items = found if found is not None else _join_heredoc_words(_list(node.rest))
    if len(items) < 2:
        raise InvalidArgument(
            f"{name} requires at least two arguments, but only one was provided. Destination could not be determined"
        )
    *given, target = items
    if heredoc_word(target):
        raise InvalidArgument(f"{name} cannot accept a heredoc as a destination")
    contents = {heredoc.name: heredoc for heredoc in node.heredocs}
    sources: list[str] = []
    files: list[i.InlineFile] = []
    for source in given:
        word = heredoc_word(source) if found is None else None
        if word is None:
            sources.append(source)
        elif word[0] in contents:
            if "/" in word[0] or word[0] in (".", ".."):
                raise InvalidArgument(f"{name} cannot accept a heredoc named {word[0]}: it names a file")
            files.append(i.InlineFile(word[0], contents[word[0]].text, word[1]))
    return tuple(sources), target, tuple(files)


def _join_heredoc_words(items: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(re.sub(r"(?:^|(?<=\0))(\d*<<-?)\0", r"\1", "\0".join(items)).split("\0"))


def _copy(node: Node, escape: str) -> i.Copy:
    flags = Flags(node.flags, {**_COPY_FLAGS, "from": TEXT, "parents": SWITCH})
    sources, target, files = _copied(node)
    from_ = flags.text("from")
    if "$" in from_:
        raise InvalidArgument("'--from' doesn't support variable expansion, define alias stage instead")
    return i.Copy(
        node, sources, target, files, flags.text("chown"), flags.text("chmod"), flags.is_set("link"),
        flags.all("exclude"), from_, flags.is_set("parents"),
    )  # fmt: skip


def _add(node: Node, escape: str) -> i.Add:
    flags = Flags(node.flags, {**_COPY_FLAGS, "keep-git-dir": SWITCH, "checksum": TEXT, "unpack": SWITCH})
    sources, target, files = _copied(node)
    return i.Add(
        node, sources, target, files, flags.text("chown"), flags.text("chmod"), flags.is_set("link"),
        flags.all("exclude"), checksum=flags.text("checksum"), unpack=flags.switch("unpack"),
        keep_git_dir=flags.is_set("keep-git-dir"),
    )  # fmt: skip


def _command(text: str) -> i.Command:
    found = _json(text)
    if found is not None:
        return i.Command(found, False)
    return i.Command((text,) if text else (), True)


def _run(node: Node, escape: str) -> i.Run:
    flags = Flags(node.flags, {"mount": LIST, "network": TEXT, "security": TEXT, "device": LIST})
    if flags.text("security") not in ("", "sandbox"):
        raise Unsupported("RUN --security: the entitlement security.insecure is not allowed")
    if flags.all("device"):
        raise Unsupported("RUN --device: the entitlement device is not allowed")
    network = flags.text("network") or "default"
    if network not in ("default", "none", "host"):
        raise suggest(f"invalid network mode: {network}", network, ("default", "none", "host"))
    for mount in flags.all("mount"):
        if "$" not in mount:  # else it can be judged where the RUN stands, not before
            parse_mount(mount, str)
        elif re.search(r"(?i)(^|,)from=[^,]*\$", mount):
            raise InvalidArgument("'from' doesn't support variable expansion, define alias stage instead")
    return i.Run(node, _command(node.rest), node.heredocs, flags.all("mount"), network)


def _cmd(node: Node, escape: str) -> i.Cmd:
    _no_flags(node)
    return i.Cmd(node, _command(node.rest))


def _entrypoint(node: Node, escape: str) -> i.Entrypoint:
    _no_flags(node)
    return i.Entrypoint(node, _command(node.rest))


def _volume(node: Node, escape: str) -> i.Volume:
    paths = tuple(path.strip() for path in _at_least_one(node, _list(node.rest)))
    if not all(paths):
        raise InvalidArgument("VOLUME specified can not be an empty string")
    return i.Volume(node, paths)


def duration_ns(text: str) -> int:
    """Go's duration, `1h30m`, `0`, `.5s`. Raises InvalidArgument."""
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if digits == "0":
        return 0
    parts = _DURATION.findall(digits)
    if not parts or "".join(number + unit for number, unit in parts) != digits:
        raise InvalidArgument(f'time: invalid duration "{text[:100]}"')
    return sign * int(sum(float(number) * _UNIT_NS[unit] for number, unit in parts))


def _interval(flags: Flags, name: str) -> int:
    text = flags.text(name)
    value = duration_ns(text) if text else 0
    if value != 0 and value < 10**6:
        raise InvalidArgument(f'Interval "{name}" cannot be less than 1ms')
    return value


def _healthcheck(node: Node, escape: str) -> i.Healthcheck:
    intervals = ("interval", "timeout", "start-period", "start-interval")
    flags = Flags(node.flags, {**dict.fromkeys(intervals, TEXT), "retries": TEXT})
    kind, *tail = _BLANKS.split(node.rest, maxsplit=1)
    rest = tail[0] if tail else ""
    if not kind:
        raise InvalidArgument("HEALTHCHECK requires at least one argument")
    if kind.upper() == "NONE":
        if rest:
            raise InvalidArgument("HEALTHCHECK NONE takes no arguments")
        return i.Healthcheck(node, i.Health(("NONE",)))
    if kind.upper() != "CMD":
        raise InvalidArgument(f'Unknown type "{kind.upper()}" in HEALTHCHECK (try CMD)')
    command = _command(rest)
    if not command.words:
        raise InvalidArgument("Missing command after HEALTHCHECK CMD")
    retries = flags.text("retries") or "0"
    if not re.fullmatch(r"-?\d{1,9}", retries):
        raise InvalidArgument(f'--retries: invalid number "{retries}"')
    if int(retries) < 0:
        raise InvalidArgument(f"--retries cannot be negative ({retries})")
    test = ("CMD-SHELL" if command.shell_form else "CMD", *command.words)
    interval, timeout, start_period, start_interval = (_interval(flags, name) for name in intervals)
    return i.Healthcheck(node, i.Health(test, interval, timeout, start_period, start_interval, int(retries)))


def _shell(node: Node, escape: str) -> i.Shell:
    _no_flags(node)
    found = _json(node.rest)
    if found is None and node.rest:
        raise InvalidArgument(f"SHELL requires the arguments to be in JSON form, but found: {node.rest}")
    if not found:
        raise InvalidArgument("SHELL requires at least one argument")
    return i.Shell(node, found)


def _onbuild(node: Node, escape: str) -> i.Onbuild:
    if not node.rest:
        raise InvalidArgument("ONBUILD requires at least one argument")
    _no_flags(node)
    inner = split_line(node.rest, escape, node.first_line)
    name = inner.name.upper()
    if name == "ONBUILD":
        raise InvalidArgument("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if name in ("FROM", "MAINTAINER"):
        raise InvalidArgument(f"{name} isn't allowed as an ONBUILD trigger")
    inner = Node(inner.name, inner.flags, inner.rest, inner.original, node.first_line, node.last_line, node.heredocs)
    instruction(inner, escape)
    text = node.rest + "".join(f"\n{heredoc.content}{heredoc.name}" for heredoc in node.heredocs)
    return i.Onbuild(node, text)


_READERS: dict[str, Callable[[Node, str], i.Instruction]] = {
    "add": _add,
    "arg": _arg,
    "cmd": _cmd,
    "copy": _copy,
    "entrypoint": _entrypoint,
    "env": lambda node, escape: i.Env(node, _pairs(node, escape)),
    "expose": lambda node, escape: i.Expose(
        node, tuple(sorted(_at_least_one(node, tuple(_BLANKS.split(node.rest)) if node.rest else ())))
    ),
    "from": _from,
    "healthcheck": _healthcheck,
    "label": lambda node, escape: i.Label(node, _pairs(node, escape)),
    "maintainer": lambda node, escape: i.Maintainer(node, _one(node)),
    "onbuild": _onbuild,
    "run": _run,
    "shell": _shell,
    "stopsignal": lambda node, escape: i.Stopsignal(node, _one(node)),
    "user": lambda node, escape: i.User(node, _one(node)),
    "volume": _volume,
    "workdir": lambda node, escape: i.Workdir(node, _one(node)),
}
