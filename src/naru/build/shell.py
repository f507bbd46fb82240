"""Variables and quotes in a Dockerfile word: what `ENV a=${b:-"c d"}` becomes.

Owns the builder's own, small shell language (Dockerfile reference, "Environment replacement"). It never runs a shell
and knows nothing of instructions. Pure. The size of a result is bounded, because `ENV a=$a$a` doubles.
"""

from __future__ import annotations

from collections.abc import Mapping

from naru.build.glob import Glob, Piece, anything, literal
from naru.errors import InvalidArgument

RESULT_LIMIT = 1 << 20
NESTING_LIMIT = 64
_SPECIAL = "@*#!?-$0"


def expand(text: str, variables: Mapping[str, str], *, escape: str = "\\", quotes: bool = True) -> str:
    """One word: variables replaced, quotes (unless they are ordinary text here) and escapes taken away.

    Raises InvalidArgument.
    """
    word, _ = _Lexer(text, variables, escape, quotes).run()
    return word


def expand_words(text: str, variables: Mapping[str, str], *, escape: str = "\\") -> list[str]:
    """Words: as `expand`, and split at blanks that are not quoted, those inside a variable's value included."""
    _, words = _Lexer(text, variables, escape, True).run()
    return words


class _Words:
    """Collects characters; blanks that nothing protected end a word."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self._word: list[str] = []

    def add(self, text: str) -> None:
        for character in text:
            if character.isspace():
                self.end()
            else:
                self._word.append(character)

    def add_raw(self, text: str) -> None:
        self._word.append(text)

    def end(self) -> None:
        word = "".join(self._word)
        if word:
            self.done.append(word)
        self._word.clear()


class _Lexer:
    def __init__(self, text: str, variables: Mapping[str, str], escape: str, quotes: bool) -> None:
        self._text = text
        self._at = 0
        self._variables = variables
        self._escape = escape
        self._special = {"'": self._single_quote, '"': self._double_quote} if quotes else {}
        self._raw = self._pattern = False
        self._depth = 0
        self._spent = 0

    def run(self) -> tuple[str, list[str]]:
        try:
            return self._until("")
        except InvalidArgument as error:
            raise InvalidArgument(f"failed to process {_quoted(self._text)}: {error}") from error

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        character = self._peek()
        self._at += len(character)
        return character

    def _until(self, stop: str, *, raw: bool = False, pattern: bool = False) -> tuple[str, list[str]]:
        """Up to and past an unquoted `stop`; "" means the end of the text. `raw` keeps escapes, `pattern` also makes
        those of quoted text, so that what was quoted is literal when the result is read as a pattern."""
        before = self._raw, self._pattern
        self._raw, self._pattern = raw or pattern, pattern
        self._depth += 1
        if self._depth > NESTING_LIMIT:
            raise InvalidArgument("substitutions are nested too deeply")
        result: list[str] = []
        words = _Words()
        while character := self._peek():
            if character == stop:
                self._next()
                break
            if character in self._special:
                value = self._special[character]()
                words.add_raw(value)
            elif character == "$":
                value = self._dollar()
                words.add(value)
            else:
                value, raw = self._plain()
                (words.add_raw if raw else words.add)(value)
            result.append(value)
            self._spend(value)
        else:
            if stop:
                raise InvalidArgument(
                    "syntax error: missing '}'" if stop == "}" else "syntax error: missing '/' in ${}"
                )
        words.end()
        self._depth -= 1
        self._raw, self._pattern = before
        return "".join(result), words.done

    def _spend(self, value: str) -> None:
        self._spent += len(value)
        if self._spent > RESULT_LIMIT:
            raise InvalidArgument(f"the expanded value is longer than {RESULT_LIMIT} characters")

    def _plain(self) -> tuple[str, bool]:
        character = self._next()
        if character != self._escape:
            return character, False
        escaped = self._next()
        if self._raw and escaped:
            return character + escaped, True
        return escaped, True

    def _single_quote(self) -> str:
        start = self._at + 1
        end = self._text.find("'", start)
        if end < 0:
            raise InvalidArgument("unexpected end of statement while looking for matching single-quote")
        self._at = end + 1
        content = self._text[start:end]
        return content.replace(self._escape, self._escape * 2) if self._pattern else content

    def _double_quote(self) -> str:
        self._next()
        result: list[str] = []
        while True:
            character = self._peek()
            if not character:
                raise InvalidArgument("unexpected end of statement while looking for matching double-quote")
            if character == '"':
                self._next()
                return "".join(result)
            if character == "$":
                result.append(self._dollar())
                continue
            self._next()
            if character == self._escape:
                following = self._peek()
                if not following:
                    continue
                if self._raw:
                    result.append(character)
                if following in ('"', "$", self._escape):
                    character = self._next()
            result.append(character)

    def _name(self) -> str:
        first = self._peek()
        start = self._at
        if first.isdigit():
            while self._peek().isdigit():
                self._next()
        elif first and first in _SPECIAL:
            self._next()
        else:
            while (character := self._peek()) and (character.isalpha() or character.isdigit() or character == "_"):
                self._next()
        return self._text[start : self._at]

    def _dollar(self) -> str:
        self._next()
        if self._peek() != "{":
            name = self._name()
            return self._variables.get(name, "") if name else "$"
        self._next()
        if not self._peek():
            raise InvalidArgument("syntax error: missing '}'")
        if self._peek() in "{}:":
            raise InvalidArgument("syntax error: bad substitution")
        name = self._name()
        value = self._variables.get(name)
        modifier = self._next()
        if modifier == "}":
            return value or ""
        if modifier == "/":
            return self._replace(value or "")
        if modifier == ":":
            modifier += self._next()
        return self._modify(name, value, modifier)

    def _modify(self, name: str, value: str | None, modifier: str) -> str:
        kind = modifier[-1:]
        if not kind or kind not in "-+?#%" or modifier in (":#", ":%"):
            if not modifier:
                raise InvalidArgument("syntax error: missing '}'")
            raise InvalidArgument(f"unsupported modifier ({modifier}) in substitution")
        word, _ = self._until("}", pattern=kind in "#%")
        complaint = "is not allowed to be unset" if value is None else "is not allowed to be empty"
        if modifier.startswith(":") and not value:
            value = None
        if kind == "-":
            return word if value is None else value
        if kind == "+":
            return "" if value is None else word
        if kind == "?":
            if value is None:
                raise InvalidArgument(f"{name}: {word or complaint}")
            return value
        greedy = word.startswith(kind)
        return _trim(value or "", word.removeprefix(kind), at_end=kind == "%", greedy=greedy)

    def _replace(self, value: str) -> str:
        everywhere = self._peek() == "/"
        if everywhere:
            self._next()
        pattern, _ = self._until("/", pattern=True)
        replacement, _ = self._until("}", raw=True)
        return _substitute(value, _pieces(pattern), replacement, everywhere)


def _quoted(text: str) -> str:
    return '"' + text[:200].replace("\\", "\\\\").replace('"', '\\"') + '"'


def _pieces(pattern: str) -> list[Piece]:
    """`*` any run, `?` any character; `\\*`, `\\?`, `\\\\` themselves. Raises InvalidArgument."""
    out: list[Piece] = []
    characters = iter(pattern)
    for character in characters:
        if character == "*":
            out.append(Piece(anything, repeat=True))
        elif character == "?":
            out.append(Piece(anything))
        elif character == "\\":
            escaped = next(characters, "")
            if not escaped or escaped not in "*?\\}/":
                raise InvalidArgument(f"invalid pattern ({pattern}) in substitution: invalid escape '\\{escaped}'")
            out.append(Piece(literal(escaped)))
        else:
            out.append(Piece(literal(character)))
    return out


def _trim(value: str, pattern: str, *, at_end: bool, greedy: bool) -> str:
    pieces = _pieces(pattern)
    if at_end:
        pieces, value = pieces[::-1], value[::-1]
    cuts = Glob(pieces).prefixes(value)
    cut = max(cuts, default=0) if greedy else next(cuts, 0)
    value = value[cut:]
    return value[::-1] if at_end else value


def _substitute(value: str, pieces: list[Piece], replacement: str, everywhere: bool) -> str:
    """Replace the leftmost, longest match, or all of them. A pattern whose fixed head matched and whose starred rest did
    not cannot match further right either: that keeps this linear for all but silly heads."""
    glob = Glob(pieces)
    fixed = next((i for i, piece in enumerate(pieces) if piece.repeat), len(pieces))
    head = Glob(pieces[:fixed])
    out: list[str] = []
    at = 0
    length = 0
    while at <= len(value) and length <= RESULT_LIMIT:
        found = head.matches(value[at : at + fixed]) and len(value) - at >= fixed
        end = max(glob.prefixes(value[at:]), default=-1) if found else -1
        if found and end < 0:
            break
        if end < 0 or (end == 0 and not everywhere and fixed):
            out.append(value[at : at + 1])
            at += 1
            continue
        out.append(replacement)
        length += len(replacement)
        if end == 0:
            out.append(value[at : at + 1])
        at += max(end, 1)
        if not everywhere or at >= len(value):
            break
    if length > RESULT_LIMIT:
        raise InvalidArgument(f"the expanded value is longer than {RESULT_LIMIT} characters")
    return "".join(out) + value[at:]
