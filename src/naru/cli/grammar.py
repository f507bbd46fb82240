"""The help text is the grammar: flags, their kinds and the number of arguments of a verb are read from what --help prints.

    Usage:  naru stop [OPTIONS] CONTAINER [CONTAINER...]

    Options:
      -s, --signal string   Signal to send to the container
      -t, --timeout int     Seconds to wait before killing it

A flag without a word after it is a switch; the word says what it takes: see `_NUMBERS` and `_LISTS`; any other is text.
Flags below a line `Hidden:` are understood but not shown. Flags may stand among the arguments, except before
`[ARG...]`, where all that follows belongs to the container. Words of errors are those of pflag. Pure.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

_NUMBERS = frozenset({"int", "uint", "uint16"})
_LISTS = frozenset({"list", "strings", "map", "filter", "mount", "network", "ulimit"})
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


class UsageError(Exception):
    """The words on the command line make no sense; exit_code as Docker's: 125 for flags, 1 for arguments."""

    def __init__(self, message: str, exit_code: int = 125, advice: str = "Run") -> None:
        super().__init__(message)
        self.exit_code, self.advice = exit_code, advice


class Help(Exception):
    """--help was among the flags."""


class Flag:
    __slots__ = ("default_on", "kind", "name", "short")

    def __init__(self, name: str, short: str, kind: str, default_on: bool) -> None:
        self.name, self.short, self.kind, self.default_on = name, short, kind, default_on

    @property
    def title(self) -> str:
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


class Grammar:
    """What one help text says: `usage` (without the word Usage), flags by name and by letter, bounds of the argument count."""

    def __init__(self, text: str) -> None:
        self.flags: dict[str, Flag] = {}
        usage, _, rest = text.strip().partition("\n")
        self.usage = usage.removeprefix("Usage:").strip()
        for line in rest.split("\n"):
            if line.startswith(("  -", "      --")):
                self._add(line.strip())
        words = self.usage.replace(" | ", "|").replace("[ps OPTIONS]", "[PS...]").split(" ")
        arguments = [word for word in words if word.isupper() or word[0] == "[" or "|" in word]
        arguments = [word for word in arguments if word != "[OPTIONS]"]
        self.minimum = sum(word[0] != "[" for word in arguments)
        self.maximum = None if any("..." in word for word in arguments) else len(arguments)
        self.interspersed = not {"[ARG...]", "[PS...]"}.intersection(arguments)

    def _add(self, line: str) -> None:
        head, _, text = line.partition("  ")
        short = ""
        if head[1] != "-":
            short, head = head[1], head[4:]
        name, _, kind = head[2:].partition(" ")
        flag = Flag(name, short, kind, "(default true)" in text)
        self.flags[name] = flag
        if short:
            self.flags[short] = flag


class Args:
    """The values of flags by name, and the other words in order."""

    def __init__(self, grammar: Grammar, words: list[str], values: dict[str, list[str]]) -> None:
        self._grammar, self.words, self._values = grammar, words, values

    def has(self, name: str) -> bool:
        """Was it given?"""
        return name in self._values

    def on(self, name: str) -> bool:
        if name in self._values:
            return self._values[name][-1] in _TRUE
        return self._grammar.flags[name].default_on

    def text(self, name: str, default: str = "") -> str:
        return self._values[name][-1] if name in self._values else default

    def number(self, name: str, default: int = 0) -> int:
        return int(self._values[name][-1], 0) if name in self._values else default

    def items(self, name: str) -> list[str]:
        return self._values.get(name, [])

    def pairs(self, name: str) -> dict[str, str]:
        """`key=value` items as a dict; a key alone has the value ""."""
        return dict(text.partition("=")[::2] for text in self.items(name))

    def read(self, name: str, reader: Callable[[str], Any]) -> list[Any]:
        """reader(value) of every value; its ValueError becomes the flag's refusal."""
        out = []
        for text in self.items(name):
            try:
                out.append(reader(text))
            except ValueError as error:
                raise self.refuse(name, text, str(error)) from error
        return out

    def refuse(self, name: str, value: str, why: str) -> UsageError:
        """The error for a value that its flag cannot take."""
        return UsageError(f'invalid argument "{value}" for "{self._grammar.flags[name].title}" flag: {why}')


def parse(grammar: Grammar, argv: Sequence[str]) -> Args:
    """Raises UsageError in Docker's words, Help if that is what was asked for."""
    words: list[str] = []
    values: dict[str, list[str]] = {}
    rest = list(argv)
    rest.reverse()
    while rest:
        word = rest.pop()
        if word == "--":
            words += rest[::-1]
            break
        if word.startswith("--"):
            _long(grammar, word, rest, values)
        elif word.startswith("-") and len(word) > 1:
            _letters(grammar, word, rest, values)
        else:
            words.append(word)
            if not grammar.interspersed:
                words += rest[::-1]
                break
    return Args(grammar, words, values)


def check_count(grammar: Grammar, command: str, words: Sequence[str]) -> None:
    """Raises UsageError unless the verb takes so many arguments."""
    count, low, high = len(words), grammar.minimum, grammar.maximum
    if low <= count and (high is None or count <= high):
        return
    if high == 0:
        raise UsageError(f"naru: '{command}' accepts no arguments", 1)
    if low == high:
        bound, number = "", low
    elif count < low:
        bound, number = "at least ", low
    else:
        bound, number = "at most ", high or 0
    advice = "See" if bound == "at least " else "Run"
    raise UsageError(f"naru: '{command}' requires {bound}{number} argument{'s' if number != 1 else ''}", 1, advice)


def _long(grammar: Grammar, word: str, rest: list[str], values: dict[str, list[str]]) -> None:
    name, equals, value = word[2:].partition("=")
    flag = grammar.flags.get(name) if len(name) > 1 else None
    if flag is None:
        if name == "help":
            raise Help
        raise UsageError(f"unknown flag: --{name}")
    if not equals:
        if not flag.kind:
            value = "true"
        elif rest:
            value = rest.pop()
        else:
            raise UsageError(f"flag needs an argument: --{name}")
    _set(flag, value, values)


def _letters(grammar: Grammar, word: str, rest: list[str], values: dict[str, list[str]]) -> None:
    position = 1
    while position < len(word):
        letter, after = word[position], word[position + 1 :]
        flag = grammar.flags.get(letter)
        if flag is None or flag.short != letter:
            if letter == "h":
                raise Help
            raise UsageError(f"unknown shorthand flag: '{letter}' in -{word[position:]}")
        if not flag.kind and not after.startswith("="):
            _set(flag, "true", values)
            position += 1
            continue
        if after:
            value = after.removeprefix("=")
        elif rest:
            value = rest.pop()
        else:
            raise UsageError(f"flag needs an argument: '{letter}' in -{word[position:]}")
        _set(flag, value, values)
        return


def _set(flag: Flag, value: str, values: dict[str, list[str]]) -> None:
    why = ""
    if not flag.kind and value not in _TRUE | _FALSE:
        why = f'strconv.ParseBool: parsing "{value}": invalid syntax'
    elif flag.kind in _NUMBERS:
        try:
            int(value, 0)
        except ValueError:
            why = f'strconv.ParseInt: parsing "{value}": invalid syntax'
    if why:
        raise UsageError(f'invalid argument "{value}" for "{flag.title}" flag: {why}')
    if flag.kind in _LISTS:
        values.setdefault(flag.name, []).append(value)
    else:
        values[flag.name] = [value]
