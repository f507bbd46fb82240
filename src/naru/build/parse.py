"""Dockerfile text to nodes: lines joined, comments dropped, directives and heredocs read, every node with its line range.

Owns the lexical half of the language (Dockerfile reference, "Format", "Parser directives", "Here-Documents") and the
splitting of a line into instruction, flags and rest. It does not know which instruction takes what: that is
`reading.py`. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from naru.errors import InvalidArgument

LINE_LIMIT_BYTES = 65535
FILE_LIMIT_BYTES = 8 << 20
INSTRUCTION_LIMIT = 10_000

_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*")
_DIRECTIVES = ("syntax", "escape", "check")
_HEREDOC = re.compile(r"(\d*)<<(-?)\s*([^<]*)")
_BLANKS = re.compile(r"[\t\v\f\r ]+")
_ONBUILD = re.compile(r"\s*onbuild\s+", re.IGNORECASE)
_MAY_HOLD_HEREDOC = ("add", "copy", "run")


class DockerfileError(InvalidArgument):
    """A fault in a Dockerfile; `file`, `first_line` and `last_line` say where, for those who can show it."""

    def __init__(self, message: str, file: str, first_line: int, last_line: int) -> None:
        super().__init__(message)
        self.file = file
        self.first_line = first_line
        self.last_line = last_line


@dataclass(frozen=True, slots=True)
class Heredoc:
    """`content` as written; `expand` is false if any part of the word was quoted, `chomp` is the `-` of `<<-`."""

    name: str
    content: str
    expand: bool
    chomp: bool

    @property
    def text(self) -> str:
        return re.sub(r"(?m)^\t+", "", self.content) if self.chomp else self.content


@dataclass(frozen=True, slots=True)
class Node:
    """One instruction: `name` as written, `rest` without the flags, `original` the joined line."""

    name: str
    flags: tuple[str, ...]
    rest: str
    original: str
    first_line: int
    last_line: int
    heredocs: tuple[Heredoc, ...] = ()
    comments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dockerfile:
    name: str  # its path, for messages
    nodes: tuple[Node, ...]
    escape: str = "\\"
    syntax: str = ""
    check: str = ""
    warnings: tuple[str, ...] = ()


def parse(data: bytes, name: str = "Dockerfile") -> Dockerfile:
    """Raises DockerfileError, in Docker's words, with the line."""
    if len(data) > FILE_LIMIT_BYTES:
        raise DockerfileError(f"the Dockerfile ({name}) is larger than {FILE_LIMIT_BYTES} bytes", name, 0, 0)
    if not data.strip():
        raise DockerfileError(f"the Dockerfile ({name}) cannot be empty", name, 0, 0)
    reader = _Reader(data.removeprefix(b"\xef\xbb\xbf").decode(errors="replace"))
    try:
        nodes = tuple(reader.nodes())
    except InvalidArgument as error:
        raise located(str(error), name, reader.first, reader.line) from error
    if not nodes:
        raise DockerfileError(f"failed to parse {name}: file with no instructions", name, reader.line, reader.line)
    return Dockerfile(
        name,
        nodes,
        reader.escape,
        reader.directives.get("syntax", ""),
        reader.directives.get("check", ""),
        tuple(reader.warnings),
    )


def located(message: str, file: str, first_line: int, last_line: int) -> DockerfileError:
    """The error Docker prints for a fault in these lines."""
    where = "" if file == "Dockerfile" else f"failed to parse {file}: "
    return DockerfileError(
        f"{where}dockerfile parse error on line {first_line}: {message}", file, first_line, last_line
    )


class _Reader:
    def __init__(self, text: str) -> None:
        self._lines: list[str] = re.findall(r"[^\n]*\n|[^\n]+\Z", text)
        self.line = 0  # how many were read
        self.first = 1  # where the current instruction began
        self.escape = "\\"
        self.directives: dict[str, str] = {}
        self.warnings: list[str] = []
        self._in_head = True
        self._count = 0

    def _next(self) -> str | None:
        if self.line == len(self._lines):
            return None
        raw = self._lines[self.line]
        self.line += 1
        if len(raw.encode()) > LINE_LIMIT_BYTES:
            raise InvalidArgument(f"dockerfile line greater than max allowed size of {LINE_LIMIT_BYTES}")
        if "\0" in raw:  # no argument, variable or path can hold one
            raise InvalidArgument("the line contains a NUL character")
        return raw

    def nodes(self) -> Iterator[Node]:
        comments: list[str] = []
        while True:
            self.first = self.line + 1
            raw = self._next()
            if raw is None:
                return
            line = raw.rstrip("\r\n").lstrip()
            if line.startswith("#"):
                if not (self._in_head and self._directive(line)):
                    comments = [*comments, line[1:].strip()] if line[1:].strip() else []
                continue
            self._in_head = False
            if not line:
                continue
            line = self._continued(line)
            if not line.strip():
                continue
            self._count += 1
            if self._count > INSTRUCTION_LIMIT:
                raise InvalidArgument(f"more than {INSTRUCTION_LIMIT} instructions")
            node = split_line(line, self.escape, self.first)
            heredocs = tuple(self._heredocs(node))
            yield Node(node.name, node.flags, node.rest, line, self.first, self.line, heredocs, tuple(comments))
            comments = []

    def _directive(self, line: str) -> bool:
        match = _DIRECTIVE.fullmatch(line)
        key = match[1].lower() if match else ""
        if match is None or key not in _DIRECTIVES:
            self._in_head = False
            return False
        if key in self.directives:
            raise InvalidArgument(f"only one {key} parser directive can be used")
        if key == "escape":
            if match[2] not in ("\\", "`"):
                raise InvalidArgument(f"invalid escape token '{match[2]}' does not match ` or \\")
            self.escape = match[2]
        self.directives[key] = match[2]
        return True

    def _continued(self, line: str) -> str:
        """The logical line that begins with this one."""
        token = re.escape(self.escape)
        more = re.compile(rf"(?<!{token}){token}[ \t]*\Z")
        parts: list[str] = []
        empty = False
        while match := more.search(line):
            parts.append(line[: match.start()])
            line = ""
            while (raw := self._next()) is not None:
                line = raw.rstrip("\r\n")
                if line.strip() and not line.lstrip().startswith("#"):
                    break
                empty = empty or not line.strip()
                line = ""
        joined = "".join([*parts, line])
        if empty:
            self.warnings.append(f"Empty continuation line found in: {joined}")
        return joined

    def _heredocs(self, node: Node) -> Iterator[Heredoc]:
        if "<<" not in node.rest:
            return
        inner = _ONBUILD.match(node.original)
        kind, rest = node.name, node.rest
        if inner:
            trigger = split_line(node.original[inner.end() :], self.escape, self.first)
            kind, rest = trigger.name, trigger.rest
        if kind.lower() not in _MAY_HOLD_HEREDOC or (rest.startswith("[") and rest.endswith("]")):
            return
        for name, expand, chomp in heredoc_words(rest):
            yield Heredoc(name, self._heredoc_content(name, chomp), expand, chomp)

    def _heredoc_content(self, name: str, chomp: bool) -> str:
        content: list[str] = []
        while (raw := self._next()) is not None:
            line = raw.rstrip("\r\n")
            if (line.lstrip("\t") if chomp else line) == name:
                return "".join(content)
            content.append(raw)
        raise InvalidArgument("unterminated heredoc")


def split_line(line: str, escape: str, line_number: int) -> Node:
    """Instruction, flags and rest of a logical line."""
    name, *tail = _BLANKS.split(line.strip(), maxsplit=1)
    flags, rest = _take_flags(tail[0] if tail else "", escape)
    return Node(name, tuple(flags), rest.strip(), line, line_number, line_number)


def _take_flags(text: str, escape: str) -> tuple[list[str], str]:
    """The leading words that start with `--`, quotes and escapes resolved, and what follows them (or a bare `--`)."""
    flags: list[str] = []
    at = 0
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        if not text.startswith("--", at):
            return flags, text[at:]
        word: list[str] = []
        quote = ""
        while at < len(text) and (quote or not text[at].isspace()):
            character = text[at]
            at += 1
            if character == escape:
                word.append(text[at : at + 1])
                at += 1
            elif character == quote:
                quote = ""
            elif not quote and character in "'\"":
                quote = character
            else:
                word.append(character)
        if "".join(word) == "--":
            return flags, text[at:]
        flags.append("".join(word))


def words(text: str, escape: str) -> list[str]:
    """Split at blanks outside quotes; quotes and escapes stay, for `shell.expand` to take away."""
    out: list[str] = []
    word: list[str] = []
    quote = ""
    at = 0
    while at < len(text):
        character = text[at]
        at += 1
        if not quote and character.isspace():
            if word:
                out.append("".join(word))
            word = []
        elif character == escape and quote != "'":
            if at < len(text):
                word.append(character + text[at])
                at += 1
        else:
            if character == quote:
                quote = ""
            elif not quote and character in "'\"":
                quote = character
            word.append(character)
    return [*out, "".join(word)] if word else out


def heredoc_words(text: str) -> Iterator[tuple[str, bool, bool]]:
    """(name, expand, chomp) of each heredoc word of a line, in order."""
    pending = words(text, "\\")
    while pending:
        word = pending.pop(0)
        if re.fullmatch(r"\d*<<-?", word) and pending:  # a blank may stand between << and its word
            word += pending.pop(0)
        if found := heredoc_word(word):
            yield found


def heredoc_word(word: str) -> tuple[str, bool, bool] | None:
    """(name, expand, chomp) if word is `<<EOF`, `<<-"EOF"`, `3<<EOF`."""
    match = _HEREDOC.fullmatch(word)
    if match is None or not match[3]:
        return None
    name = re.sub(r"""'([^']*)'|"([^"]*)"|\\(.)""", lambda m: m[1] or m[2] or m[3] or "", match[3])
    quoted = "'" in match[3] or '"' in match[3]
    return (name, not quoted, bool(match[2])) if name else None
