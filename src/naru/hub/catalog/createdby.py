"""One history entry's `created_by`, read back into an instruction. Pure.

The text is what builders make of an instruction for people to look at, mostly by Go's %v and %q: lists without commas,
maps with `map[…]`, values without the quotes they had. What is undone here is undone only where it is certain; the rest
stays as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

DEFAULT_SHELL = "/bin/sh -c"
_WINDOWS_SHELL = "cmd /S /C"
# Instructions that never make a layer; WORKDIR may.
NO_LAYER = frozenset(
    "ARG CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL MAINTAINER ONBUILD SHELL STOPSIGNAL USER VOLUME".split()
)

_WIDTH = 80
_NEXT_LINE = " \\\n    "
_BUILDKIT = " # buildkit"
_NOP = "#(nop)"

# A shell that is asked to run what follows, at the beginning of a word. Few options: each `sh` in a text may be the one.
_SHELL = re.compile(
    r"(?<!\S)(?:(?:\S*/)?(?:ba|da|a|z|k)?sh(?: -\w*o \w+| -[\w-]+){0,9}? -\w*c"
    r"|cmd(?:\.exe)? /S /C"
    r"|(?:powershell|pwsh)(?:\.exe)?(?: -\w+){0,9}? -Command(?: \$\w+ = '\w+';)*)(?= )",
    re.IGNORECASE,
)
_SHELL_CHARACTERS = 1000  # of one that is set for the steps after it, each of which is looked at for it
_ARGUMENTS = re.compile(r"\|[0-9]{1,4} ")
_CONTROLS = {code: "\ufffd" for code in (*range(9), 11, 12, *range(14, 32), *range(127, 160))}
_LINE_END = re.compile(r"\r\n?|\n")


@dataclass(frozen=True, slots=True)
class Recovered:
    keyword: str  # RUN, COPY, …; "" if the text is a comment
    text: str
    shell: str = ""  # of a SHELL: what runs the RUNs after it


def recover(created_by: str, shell: str) -> Recovered:
    """`shell` is what runs a RUN at this point of the history. Text that no builder writes comes back as a comment."""
    text = clean(created_by).strip()
    text = text.removesuffix(_BUILDKIT).rstrip()
    invocation = _invoked(text, shell)
    if invocation and (nop := text[len(invocation) :].lstrip()).startswith(_NOP):
        text = nop.removeprefix(_NOP).strip()
        invocation = ""
    keyword, _, rest = text.partition(" ")
    rest = rest.strip()
    if keyword == "RUN":
        return _run(rest, shell)
    if keyword == "SHELL" and (words := _words(rest)):
        set_ = " ".join(words)
        return Recovered(keyword, f"SHELL {_json(words)}", set_ if len(set_) <= _SHELL_CHARACTERS else "")
    if keyword == "CMD" or keyword == "ENTRYPOINT":
        return Recovered(keyword, _joined(f"{keyword} {_exec(rest, shell)}"))
    if keyword in _READ:
        return Recovered(keyword, _joined(f"{keyword} {_READ[keyword](rest)}".rstrip()))
    if invocation or _ARGUMENTS.match(text):
        return _run(text, shell)
    return Recovered("", commented(text))


def commented(text: str) -> str:
    """As a comment of as many lines; one that is a comment already stays as it is. "" for nothing."""
    lines = [line.strip() for line in _LINE_END.split(clean(text)) if line.strip()]
    return "\n".join(line if line.startswith("#") else f"# {line}" for line in lines)


def clean(text: str) -> str:
    """Without what a terminal or an encoder would stumble over."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").translate(_CONTROLS)


# -- RUN --------------------------------------------------------------------------------------------------------------


def _run(text: str, shell: str) -> Recovered:
    """`[|2 A=1 B=2 ]/bin/sh -c command`: the command, under a comment for what the instruction did not say."""
    notes = []
    if counted := _ARGUMENTS.match(text):
        arguments, text = _arguments(text[counted.end() :], shell)
        notes.append(f"with {arguments}")
    invocation = _invoked(text, shell)
    if invocation and invocation != shell and (invocation, shell) != (_WINDOWS_SHELL, DEFAULT_SHELL):
        notes.append(f"by {invocation}")
    command = text[len(invocation) :].strip()
    posix = invocation != "" and not invocation.lower().startswith(("cmd", "powershell", "pwsh"))
    if _LINE_END.search(command):
        instruction = _heredoc(command)
    else:
        instruction = f"RUN {_folded(command) if posix else command}".rstrip()
    return Recovered("RUN", "\n".join([*(commented(note) for note in notes), instruction]))


def _invoked(text: str, shell: str) -> str:
    """The shell that this text begins with, or ""."""
    for known in (shell, DEFAULT_SHELL):
        if text.startswith(known + " "):
            return known
    found = _SHELL.match(text)
    return found[0] if found else ""


def _arguments(text: str, shell: str) -> tuple[str, str]:
    """Build arguments with their values, and what was run. Without a shell to see, the values are taken to have no
    spaces."""
    at = text.find(f" {shell} ")
    if at < 0 and (found := _SHELL.search(text)):
        at = found.start() - 1
    if at < 0 and (found := re.search(r"(?<=\s)(?!\w+=)", text)):
        at = found.start() - 1
    return (text[:at].strip(), text[at:].strip()) if at >= 0 else (text, "")


def _heredoc(command: str) -> str:
    lines = _LINE_END.split(command)
    taken = set(lines)
    end, number = "EOF", 0
    while end in taken:
        number += 1
        end = f"EOF{number}"
    return "\n".join([f"RUN <<{end}", *lines, end])


_PIECE = re.compile(
    r"""'[^']*'|"(?:[^"\\]|\\.)*+"|\\.|[^\s'"\\&]+|(?P<then>\s++&&\s++)(?!\#)|(?P<gap>\s++)(?!\#)|\s++|.""", re.DOTALL
)


def _folded(command: str) -> str:
    """Outside quotes, an && or more blanks than one: there the lines of the Dockerfile ended. Not before a #: a
    comment's."""
    if len(command) <= _WIDTH:
        return command
    out: list[str] = []
    for piece in _PIECE.finditer(command):
        gap = piece["gap"] or ""
        if piece["then"]:
            out.append(f"{_NEXT_LINE}&& ")
        else:
            out.append(_NEXT_LINE if len(gap) > 1 or "\t" in gap else piece[0])
    return "".join(out)


# -- the others -------------------------------------------------------------------------------------------------------


def _joined(text: str) -> str:
    """An instruction that is not a RUN ends with its line: go on where there is more."""
    return _NEXT_LINE.join(line.strip() for line in _LINE_END.split(text) if line.strip())


_GO_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U00[0-9a-fA-F]{6}|.)", re.DOTALL)
_GO_LETTERS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_QUOTED_LIST = re.compile(r'\[(?:"(?:[^"\\]|\\.)*+"[ ,]*+)*+\]', re.DOTALL)


def _unescaped(text: str) -> str:
    def character(match: re.Match[str]) -> str:
        escape = match[1]
        if len(escape) > 1:
            code = int(escape[1:], 16)
            return chr(code) if code <= 0x10FFFF else "\ufffd"
        return _GO_LETTERS.get(escape, escape)

    return _GO_ESCAPE.sub(character, text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _words(text: str) -> list[str] | None:
    """`["a" "b c"]`, JSON's `["a", "b c"]`, or `[a b]`, whose words are taken to have no spaces; None for anything
    else."""
    if _QUOTED_LIST.fullmatch(text):
        return [_unescaped(word) for word in _QUOTED.findall(text)]
    if text.startswith("[") and text.endswith("]") and '"' not in text:
        return text[1:-1].split()
    return None


def _json(words: list[str]) -> str:
    return json.dumps(words, ensure_ascii=False)


def _exec(text: str, shell: str) -> str:
    """CMD and ENTRYPOINT: the shell's form if it was the shell's."""
    words = _words(text)
    if words is None or (words and '"' not in text):
        return text  # `[nginx -g daemon off;]` of Docker 0.x: nobody knows where a word ends
    if (
        len(words) > 1
        and " ".join(words[:-1]) in (shell, DEFAULT_SHELL, _WINDOWS_SHELL)
        and not _LINE_END.search(words[-1])
    ):
        return words[-1]
    return _json(words)


def _paths(text: str) -> str:
    words = _words(text)
    return text if words is None else _json(words)


_PORT = re.compile(r"(?<![^\s\[\]:{}])([^\s\[\]:{}]++):\{\}")


def _ports(text: str) -> str:
    return " ".join(_PORT.findall(text)) if text.startswith("map[") else text


_FROM_CONTEXT = re.compile(
    r"((?:--\S+ )*(?:(?:file|dir|multi):[0-9a-f]+|[a-z][a-z0-9+.-]*+://\S++)) in (.+)", re.DOTALL
)


def _copied(text: str) -> str:
    """`file:4be1… in /app`: the classic builder tells of the files their hash, and no names."""
    found = _FROM_CONTEXT.fullmatch(text)
    return f"{found[1]} {found[2]}" if found else text


_ENV_NEXT = re.compile(r"(?<!\s)\s++(?=[A-Za-z_][A-Za-z0-9_]*=)")
_LABEL_NEXT = re.compile(r"(?<!\s)\s++(?=[A-Za-z0-9][\w./-]*=)")
_PLAIN = re.compile(r"""[^\s"'\\$`]*""")


def _pairs(text: str, boundary: re.Pattern[str]) -> str:
    """`A=1 B=two words` with the quotes that it takes; a word without = belongs to the value before it."""
    pairs = []
    for pair in boundary.split(text):
        name, equals, value = pair.partition("=")
        if not equals:
            return text
        quoted = len(value) > 1 and value[0] == value[-1] == '"'
        if not (quoted or _PLAIN.fullmatch(value)):
            value = '"' + re.sub(r'(["\\$])', r"\\\1", value) + '"'
        pairs.append(f"{name}={value}")
    return (_NEXT_LINE if len(text) > _WIDTH else " ").join(pairs)


_HEALTH = re.compile(r"""((?: "[^"]*+")*+) '(.+)'\}""", re.DOTALL)
_HEALTH_TIMES = ("interval", "timeout", "start-period", "start-interval")


def _health(text: str) -> str:
    """Go's view of a pointer to a struct: `&{["CMD-SHELL" "curl …"] "30s" "3s" "0s" '\\x03'}`, the retries as a
    character."""
    words = _QUOTED_LIST.match(text, len("&{")) if text.startswith("&{") else None
    rest = _HEALTH.fullmatch(text, words.end()) if words else None
    if words is None or rest is None:
        return text
    times = zip(_HEALTH_TIMES, _QUOTED.findall(rest[1]), strict=False)
    flags = [f"--{name}={time}" for name, time in times if time != "0s"]
    retries = _unescaped(rest[2])
    if len(retries) == 1 and retries != "\0":
        flags.append(f"--retries={ord(retries)}")
    kind, *test = _words(words[0]) or [""]
    command = {"NONE": "NONE", "CMD": f"CMD {_json(test)}", "CMD-SHELL": f"CMD {' '.join(test)}"}.get(kind)
    return " ".join([*flags, command]) if command else text


# Instructions by how their text is read; RUN, SHELL, CMD and ENTRYPOINT have to do with the shell and are read above.
_READ: dict[str, Callable[[str], str]] = {
    "ADD": _copied,
    "ARG": str,
    "COPY": _copied,
    "ENV": lambda text: _pairs(text, _ENV_NEXT),
    "EXPOSE": _ports,
    "HEALTHCHECK": _health,
    "LABEL": lambda text: _pairs(text, _LABEL_NEXT),
    "MAINTAINER": str,
    "ONBUILD": str,
    "STOPSIGNAL": str,
    "USER": str,
    "VOLUME": _paths,
    "WORKDIR": str,
}
