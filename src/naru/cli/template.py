"""Go's text/template, as far as people use it in --format: parsing and evaluation, without `re`.

    {{.Field.Sub}} {{json .}} {{range $k, $v := .Map}}…{{else}}…{{end}} {{if eq .A "b"}}…{{else if …}}…{{end}}
    {{with .X}}…{{end}} {{index .M "key" 0}} {{.Name | upper | printf "%-10s"}} {{$x := len .L}} {{- trimmed -}}

Values are plain JSON values; a row of a table is a `Row`, whose fields are computed when they are asked for. Missing keys
of maps print `<no value>`; missing fields of rows are errors. Functions are in `template_functions.py`. Pure.
Package text/template, "Actions", "Pipelines", "Variables".
"""

from __future__ import annotations

from naru.cli.template_functions import FUNCTIONS, Missing, TemplateError, go_text, truth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    # ("text", str) | ("action", pipe) | ("if" or "with" or "range", pipe, body, otherwise) | ("break",) | ("continue",)
    Node = tuple[Any, ...]

_PUNCTUATION = "()|,"
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "'": "'", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


class Row:
    """A record seen through named columns: `fields` maps a name to the function that computes it from the record."""

    __slots__ = ("_fields", "_kind", "_record")

    def __init__(self, record: Any, fields: Mapping[str, Callable[[Any], Any]], kind: str = "Context") -> None:
        self._record, self._fields, self._kind = record, fields, kind

    def field(self, name: str) -> Any:
        if name not in self._fields:
            raise TemplateError(f"can't evaluate field {name} in type *formatter.{self._kind}")
        return self._fields[name](self._record)

    def as_dict(self) -> dict[str, Any]:
        """Every column but those that take an argument, by name."""
        values = {name: self.field(name) for name in sorted(self._fields)}
        values = {name: value for name, value in values.items() if not callable(value)}
        return {name: value.as_dict() if hasattr(value, "as_dict") else value for name, value in values.items()}


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """(kind, text) of an action's inside: string, number, word (names, .fields, $variables, :=), punctuation, space."""
    position, end = 0, len(text)
    while position < end:
        character = text[position]
        start = position
        if character in " \t\r\n":
            position += 1
            yield "space", " "
        elif character in '"`':
            position += 1
            while position < end and text[position] != character:
                position += 2 if text[position] == "\\" and character == '"' else 1
            if position >= end:
                raise TemplateError("unterminated quoted string")
            position += 1
            inner = text[start + 1 : position - 1]
            yield "string", _unescape(inner) if character == '"' else inner
        elif character in _PUNCTUATION:
            position += 1
            yield character, character
        else:
            while position < end and text[position] not in ' \t\r\n"`' + _PUNCTUATION:
                position += 1
            yield "word", text[start:position]


def _unescape(text: str) -> str:
    pieces = text.split("\\")
    out, position = [pieces[0]], 1
    while position < len(pieces):
        piece = pieces[position]
        if not piece:  # an escaped backslash leaves an empty piece behind
            out.append("\\" + (pieces[position + 1] if position + 1 < len(pieces) else ""))
            position += 2
            continue
        if piece[0] not in _ESCAPES:
            raise TemplateError(f"bad character escape \\{piece[0]}")
        out.append(_ESCAPES[piece[0]] + piece[1:])
        position += 1
    return "".join(out)


class _Actions:
    """The template as a sequence of texts and actions, trim markers applied."""

    def __init__(self, source: str) -> None:
        self.items: list[tuple[bool, str]] = []  # (is an action, text)
        trim = False
        while source:
            text, opening, rest = source.partition("{{")
            if trim:
                text = text.lstrip()
            if opening and rest[:1] == "-" and rest[1:2].isspace():
                text, rest = text.rstrip(), rest[1:]
            if text:
                self.items.append((False, text))
            if not opening:
                break
            inside, source = self._inside(rest)
            trim = inside.endswith("-") and inside[-2:-1].isspace()
            inside = (inside[:-1] if trim else inside).strip()
            if not inside.startswith("/*"):
                self.items.append((True, inside))

    @staticmethod
    def _inside(rest: str) -> tuple[str, str]:
        quote, position = "", 0
        while position < len(rest):
            character = rest[position]
            if quote:
                if character == "\\" and quote == '"':
                    position += 1
                elif character == quote:
                    quote = ""
            elif character in '"`':
                quote = character
            elif rest.startswith("}}", position):
                return rest[:position], rest[position + 2 :]
            position += 1
        raise TemplateError("unclosed action")


class _Break(Exception):
    def __init__(self, again: bool) -> None:
        super().__init__()
        self.again = again


class Template:
    """A parsed template; `render` may be called for any number of values."""

    def __init__(self, source: str) -> None:
        """Raises TemplateError with the words of Go's parser."""
        self._items = _Actions(source).items
        self._at = 0
        self._nodes, ended = self._block()
        if ended:
            raise TemplateError(f"unexpected {{{{{ended}}}}}")

    def _block(self) -> tuple[list[Node], str]:
        nodes: list[Node] = []
        while self._at < len(self._items):
            action, text = self._items[self._at]
            self._at += 1
            keyword, _, rest = text.partition(" ")
            if not action:
                nodes.append(("text", text))
            elif keyword in ("end", "else"):
                return nodes, text
            elif keyword in ("if", "with", "range"):
                nodes.append(self._control(keyword, rest))
            elif keyword in ("break", "continue"):
                nodes.append((keyword,))
            elif not text:
                raise TemplateError("missing value for command")
            else:
                nodes.append(("action", _Pipe(text)))
        return nodes, ""

    def _control(self, keyword: str, rest: str) -> Node:
        pipe = _Pipe(rest)
        body, ended = self._block()
        otherwise: list[Node] = []
        if ended.startswith("else"):
            chained, _, condition = ended[4:].strip().partition(" ")
            if chained:
                return (keyword, pipe, body, [self._control(chained, condition)])
            otherwise, ended = self._block()
        if ended != "end":
            raise TemplateError("unexpected EOF")
        return (keyword, pipe, body, otherwise)

    def render(self, value: Any) -> str:
        """Raises TemplateError."""
        out: list[str] = []
        _run(self._nodes, value, {"$": value}, out)
        return "".join(out)


class _Pipe:
    """`$a, $b := command | command`: commands are lists of operands, an operand (kind, text or value or _Pipe, fields)."""

    def __init__(self, text: str) -> None:
        self.variables: list[str] = []
        tokens = [*_tokens(text)]
        words = [token for token in tokens if token[0] != "space"]
        for index, (kind, word) in enumerate(words[:4]):
            if kind == "word" and word in (":=", "="):
                self.variables = [name for kind, name in words[:index] if kind == "word"]
                tokens = tokens[tokens.index(("word", word)) + 1 :]
                break
        self.commands, used = self._commands(tokens, 0)
        if used != len(tokens):
            raise TemplateError("unexpected right paren")

    def _commands(self, tokens: list[tuple[str, str]], at: int) -> tuple[list[list[Any]], int]:
        commands: list[list[Any]] = [[]]
        glued = False  # does this token touch the operand before it? `(f x).Field` and `$x.Field` do
        while at < len(tokens) and tokens[at][0] != ")":
            kind, text = tokens[at]
            at += 1
            if kind == "(":
                inner = _Pipe("")
                inner.commands, at = self._commands(tokens, at)
                if at >= len(tokens):
                    raise TemplateError("unclosed left paren")
                at += 1
                commands[-1].append(["pipe", inner, []])
            elif kind == "|":
                if not commands[-1]:
                    raise TemplateError("missing value for command")
                commands.append([])
            elif kind == "word" and glued and text.startswith("."):
                commands[-1][-1][2] += _fields(text)
            elif kind != "space":
                commands[-1].append(_operand(kind, text))
            glued = kind == "("
        if len(commands) > 1 and not commands[-1]:
            raise TemplateError("missing value for command")
        return commands, at

    def evaluate(self, dot: Any, scope: dict[str, Any]) -> Any:
        value: Any = None
        for position, command in enumerate(self.commands):
            value = _call(command, [value] if position else [], dot, scope)
        return value


def _fields(text: str) -> list[str]:
    names = text.split(".")[1:]
    if "" in names and text != ".":
        raise TemplateError(f'unexpected <.> in operand "{text}"')
    return [name for name in names if name]


def _operand(kind: str, text: str) -> list[Any]:
    if kind == "string":
        return ["value", text, []]
    if text[0] == ".":
        return ["dot", text, _fields(text)]
    if text[0] == "$":
        name, dot, rest = text.partition(".")
        return ["variable", name, _fields(dot + rest) if dot else []]
    if text in ("true", "false", "nil"):
        return ["value", {"true": True, "false": False, "nil": None}[text], []]
    if text[0].isdigit() or text[0] in "+-":
        try:
            return ["value", int(text, 0) if "." not in text else float(text), []]
        except ValueError as error:
            raise TemplateError(f'bad number syntax: "{text}"') from error
    if text not in FUNCTIONS:
        raise TemplateError(f'function "{text}" not defined')
    return ["function", text, []]


def _call(command: list[Any], piped: list[Any], dot: Any, scope: dict[str, Any]) -> Any:
    if not command:
        raise TemplateError("missing value for command")
    kind, what, _ = command[0]
    if kind == "function":
        if what in ("and", "or"):  # these stop at the first operand that decides
            result: Any = None
            for operand in [*command[1:], *[["value", value, []] for value in piped]]:
                result = _value(operand, dot, scope)
                if truth(result) == (what == "or"):
                    break
            return result
        arguments = [_value(operand, dot, scope) for operand in command[1:]]
        try:
            return FUNCTIONS[what](*arguments, *piped)
        except TypeError as error:
            raise TemplateError(f"error calling {what}: {error}") from error
    value = _value(command[0], dot, scope)
    arguments = [_value(operand, dot, scope) for operand in command[1:]] + piped
    if callable(value):  # a method with an argument: {{.Label "x"}}
        return value(*arguments)
    if arguments:
        raise TemplateError(f"can't give argument to non-function {what if isinstance(what, str) else '(…)'}")
    return value


def _value(operand: list[Any], dot: Any, scope: dict[str, Any]) -> Any:
    kind, what, fields = operand
    if kind == "function":
        return _call([operand], [], dot, scope)
    if kind == "variable":
        if what not in scope:
            raise TemplateError(f'undefined variable "{what}"')
        value = scope[what]
    else:
        value = dot if kind == "dot" else what.evaluate(dot, scope) if kind == "pipe" else what
    for name in fields:
        value = _field(value, name, what if isinstance(what, str) else "." + ".".join(fields))
    return value


def _by_go_name(value: dict[str, Any], name: str) -> Any:
    """JSON's `ApiVersion` is Go's `.APIVersion`: people write the field's name in Go, where the letter case may differ."""
    same = [key for key in value if key.lower() == name.lower()]
    return value[same[0]] if len(same) == 1 else Missing(name)


def _field(value: Any, name: str, path: str) -> Any:
    if isinstance(value, Row):
        try:
            return value.field(name)
        except TemplateError as error:
            raise TemplateError(f'executing "" at <{path}>: {error}') from error
    if isinstance(value, dict):
        return value[name] if name in value else _by_go_name(value, name)
    if isinstance(value, Missing) or value is None:
        raise TemplateError(f'executing "" at <{path}>: nil data; no entry for key "{name}"')
    raise TemplateError(f'executing "" at <{path}>: can\'t evaluate field {name} in type {type(value).__name__}')


def _run(nodes: list[Node], dot: Any, scope: dict[str, Any], out: list[str]) -> None:
    for node in nodes:
        kind = node[0]
        if kind == "text":
            out.append(node[1])
        elif kind == "action":
            value = node[1].evaluate(dot, scope)
            if node[1].variables:
                scope[node[1].variables[0]] = value
            else:
                out.append(go_text(value))
        elif kind in ("break", "continue"):
            raise _Break(kind == "continue")
        else:
            _branch(node, dot, scope, out)


def _branch(node: Node, dot: Any, scope: dict[str, Any], out: list[str]) -> None:
    kind, pipe, body, otherwise = node
    value = pipe.evaluate(dot, scope)
    inner = dict(scope)
    if not truth(value):
        _run(otherwise, dot, inner, out)
        return
    if kind != "range":
        if pipe.variables:
            inner[pipe.variables[0]] = value
        _run(body, value if kind == "with" else dot, inner, out)
        return
    if isinstance(value, dict):
        pairs = sorted(value.items())
    elif isinstance(value, list):
        pairs = list(enumerate(value))
    else:
        raise TemplateError(f"range can't iterate over {go_text(value)}")
    for key, item in pairs:
        names = pipe.variables
        if names:
            inner.update(zip(names, (key, item) if len(names) == 2 else (item,), strict=False))
        try:
            _run(body, item, inner, out)
        except _Break as stop:
            if not stop.again:
                break
