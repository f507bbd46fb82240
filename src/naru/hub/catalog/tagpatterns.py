"""Which tags a policy is about: globs, and regular expressions that cannot be made to run for ever. Pure.

    v*   *-rc?   20[0-9][0-9]-*   {main,release-*}
        a glob: * any text, ? any character, [a-z] and [!a-z] one of, {a,b} either
    ^v\\d+(\\.\\d+){0,2}$
        a regular expression: from ^ to $, always the whole tag

Regular expressions have RE2's syntax as far as tags need it, which is also Docker Hub's: literals, `.`, classes, \\d
\\w and their opposites, groups, `|`, and `* + ? {m,n}`. There are no back-references and no look-around. Matching steps
through all possibilities at once, in time proportional to the tag (Thompson 1968); Python's `re` tries one after the
other, and people's patterns are not to be trusted with that. Letters count as they are: tags are case-sensitive.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass, field

from naru.errors import InvalidArgument

MAX_CHARACTERS = 256

_ALPHABET = frozenset(string.ascii_letters + string.digits + "._-")  # distribution-spec: what a tag is made of
_DIGITS = frozenset(string.digits)
_WORD = frozenset(string.ascii_letters + string.digits + "_")
_CLASSES = {"d": _DIGITS, "D": _ALPHABET - _DIGITS, "w": _WORD, "W": _ALPHABET - _WORD}
_MAX_REPEATS = 128  # a tag has no more characters
_MAX_STATES = 1_000
_REMEMBERED = 50_000
_GLOB_WORD = re.compile(r"\[[^\]]*\]|[*?.{},]")
_GLOB_WORDS = {"*": ".*", "?": ".", ".": r"\.", "{": "(", "}": ")", ",": "|"}


@dataclass(frozen=True, slots=True)
class TagPattern:
    """A pattern as its owner wrote it; equal to another of the same text."""

    text: str
    _machine: _Machine = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> TagPattern:
        """Raises InvalidArgument, saying what is wrong and where."""
        if not text or len(text) > MAX_CHARACTERS:
            raise InvalidArgument(f"tag pattern: {len(text)} characters, not 1 to {MAX_CHARACTERS}")
        if text.startswith("^"):
            if not text.endswith("$") or len(text) < 2:
                raise InvalidArgument(f"tag pattern {text!r}: a regular expression goes from ^ to $")
            return cls(text, _Machine(_Reader(text, 1, len(text) - 1).expression(), text))
        return cls(text, _Machine(_Reader(text, 0, len(text)).glob(), text))

    def matches(self, tag: str) -> bool:
        """Whether the whole tag is as the pattern says."""
        return self._machine.accepts(tag)


def parse_several(text: str) -> tuple[TagPattern, ...]:
    """Patterns with spaces between them: a tag is meant by any. Raises InvalidArgument."""
    return tuple(map(TagPattern.parse, text.split()))


def expression(pattern: str) -> str:
    """The regular expression, without ^ and $, that means the same as a pattern."""
    if pattern.startswith("^"):
        return pattern[1:-1]
    return _GLOB_WORD.sub(lambda word: _GLOB_WORDS.get(word[0]) or word[0].replace("[!", "[^", 1), pattern)


# -- what a pattern says ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _One:
    characters: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Sequence:
    nodes: tuple[_Node, ...]


@dataclass(frozen=True, slots=True)
class _Either:
    nodes: tuple[_Node, ...]


@dataclass(frozen=True, slots=True)
class _Repeat:
    node: _Node
    least: int
    most: int | None


_Node = _One | _Sequence | _Either | _Repeat
_ANY = _One(_ALPHABET)
_QUANTIFIERS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}


class _Reader:
    """Recursive descent over a pattern's text, from one position to another."""

    def __init__(self, text: str, begin: int, end: int) -> None:
        self._text, self._at, self._end = text, begin, end

    def glob(self) -> _Node:
        node = self._glob_until("")
        if self._at < self._end:
            raise self._wrong("unexpected")
        return node

    def expression(self) -> _Node:
        node = self._alternatives()
        if self._at < self._end:
            raise self._wrong("unexpected")
        return node

    def _glob_until(self, stops: str) -> _Node:
        nodes: list[_Node] = []
        while self._peek() and self._peek() not in stops:
            character = self._take()
            if character == "*":
                nodes.append(_Repeat(_ANY, 0, None))
            elif character == "?":
                nodes.append(_ANY)
            elif character == "[":
                nodes.append(self._class("!^"))
            elif character == "{" and not stops:
                nodes.append(self._choice())
            else:
                nodes.append(self._literal(character))
        return _Sequence(tuple(nodes))

    def _choice(self) -> _Node:
        """`{a,b}`, which does not nest."""
        nodes = [self._glob_until(",}")]
        while self._peek() == ",":
            self._at += 1
            nodes.append(self._glob_until(",}"))
        if self._take() != "}":
            raise self._wrong("{ without }, at the end of", back=0)
        return _Either(tuple(nodes))

    def _alternatives(self) -> _Node:
        nodes = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            nodes.append(self._sequence())
        return _Either(tuple(nodes)) if len(nodes) > 1 else nodes[0]

    def _sequence(self) -> _Node:
        nodes: list[_Node] = []
        while self._peek() and self._peek() not in "|)":
            node = self._atom()
            if quantity := self._quantity():
                node = _Repeat(node, *quantity)
            nodes.append(node)
        return _Sequence(tuple(nodes))

    def _atom(self) -> _Node:
        character = self._take()
        if character == "(":
            if self._text.startswith("?:", self._at):
                self._at += 2
            node = self._alternatives()
            if self._take() != ")":
                raise self._wrong("( without ), at the end of", back=0)
            return node
        if character == "[":
            return self._class("^")
        if character == ".":
            return _ANY
        if character == "\\":
            return self._escaped()
        if character in "*+?{}])^$|":
            raise self._wrong("unexpected", back=1)
        return self._literal(character)

    def _quantity(self) -> tuple[int, int | None] | None:
        character = self._peek()
        if character not in (*_QUANTIFIERS, "{"):
            return None
        self._at += 1
        quantity = _QUANTIFIERS.get(character) or self._counts()
        if self._peek() == "?":  # lazy: of the same tags
            self._at += 1
        return quantity

    def _counts(self) -> tuple[int, int | None]:
        close = self._text.find("}", self._at, self._end)
        least, comma, most = self._text[self._at : max(close, self._at)].partition(",")
        numbers = [int(part) for part in (least, most) if part.isascii() and part.isdigit() and len(part) < 4]
        wanted = 1 + bool(comma and most)
        if close < 0 or len(numbers) != wanted or numbers[-1] > _MAX_REPEATS or numbers[0] > numbers[-1]:
            raise self._wrong(f"not {{m}}, {{m,}} or {{m,n}} of at most {_MAX_REPEATS}:", back=1)
        self._at = close + 1
        return numbers[0], (None if comma and not most else numbers[-1])

    def _class(self, negations: str) -> _Node:
        """What is between [ and ]; the [ has been taken."""
        negated = bool(self._peek()) and self._peek() in negations
        self._at += negated
        characters: set[str] = set()
        while self._peek() != "]":
            if not self._peek():
                raise self._wrong("[ without ], at the end of", back=0)
            first = self._member()
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] != "]":
                self._at += 1
                last = self._member()
                if not (len(first) == len(last) == 1 and min(first) <= min(last)):
                    raise self._wrong("not a range:", back=1)
                first = frozenset(each for each in _ALPHABET if min(first) <= each <= min(last))
            characters |= first
        self._at += 1
        if not characters:
            raise self._wrong("[] of nothing:", back=2)
        return _One(_ALPHABET - characters if negated else frozenset(characters))

    def _member(self) -> frozenset[str]:
        character = self._take()
        return (self._escaped() if character == "\\" else self._literal(character)).characters

    def _escaped(self) -> _One:
        character = self._take()
        if character in _CLASSES:
            return _One(_CLASSES[character])
        if not character or character.isalnum():
            raise self._wrong("unknown escape:", back=1)
        return self._literal(character)

    def _literal(self, character: str) -> _One:
        if character not in _ALPHABET:
            raise self._wrong("no tag has a character like that in it:", back=1)
        return _One(frozenset(character))

    def _peek(self) -> str:
        return self._text[self._at] if self._at < self._end else ""

    def _take(self) -> str:
        character = self._peek()
        self._at += 1
        return character

    def _wrong(self, what: str, back: int = 0) -> InvalidArgument:
        at = max(0, min(self._at - back, self._end))
        return InvalidArgument(f"tag pattern {self._text!r}: {what} {self._text[at : at + 10]!r} (character {at + 1})")


# -- and how it is matched --------------------------------------------------------------------------------------------


class _Machine:
    """A nondeterministic automaton: state → the characters that lead on (None: at once) and where to.

    Sets of states that have been met are remembered with where each character leads from them, while there is room.
    """

    def __init__(self, node: _Node, text: str) -> None:
        self._text = text
        self._characters: list[frozenset[str] | None] = [None]
        self._next: list[list[int]] = [[]]  # state 0 is the end
        self._built = 0
        self._start = self._closure([self._build(node, 0)])
        self._known: dict[tuple[frozenset[int], str], frozenset[int]] = {}
        self._remembered = 0  # states in all sets of `_known`

    def accepts(self, text: str) -> bool:
        states = self._start
        for character in text:
            if not states:
                return False
            states = self._step(states, character)
        return 0 in states

    def _step(self, states: frozenset[int], character: str) -> frozenset[int]:
        found = self._known.get((states, character))
        if found is None:
            reached = [self._next[state][0] for state in states if character in (self._characters[state] or ())]
            found = self._closure(reached)
            if self._remembered > _REMEMBERED:
                self._known.clear()
                self._remembered = 0
            self._known[states, character] = found
            self._remembered += 1 + len(found)
        return found

    def _closure(self, states: list[int]) -> frozenset[int]:
        """With all that can be reached without a character."""
        found, left = set(states), list(states)
        while left:
            state = left.pop()
            if self._characters[state] is None:
                fresh = [each for each in self._next[state] if each not in found]
                found.update(fresh)
                left += fresh
        return frozenset(found)

    def _build(self, node: _Node, then: int) -> int:
        """States for `node` that lead to `then`: the first of them. Raises InvalidArgument when there are too many."""
        self._built += 1
        if self._built > _MAX_STATES:
            raise InvalidArgument(f"tag pattern {self._text!r}: its repetitions come to too much")
        if isinstance(node, _One):
            return self._state(node.characters, [then])
        if isinstance(node, _Sequence):
            for each in reversed(node.nodes):
                then = self._build(each, then)
            return then
        if isinstance(node, _Either):
            return self._state(None, [self._build(each, then) for each in node.nodes])
        entry = then
        if node.most is None:
            entry = self._state(None, [then])
            self._next[entry].append(self._build(node.node, entry))
        for _ in range((node.most or node.least) - node.least):
            entry = self._state(None, [self._build(node.node, entry), then])
        for _ in range(node.least):
            entry = self._build(node.node, entry)
        return entry

    def _state(self, characters: frozenset[str] | None, then: list[int]) -> int:
        self._characters.append(characters)
        self._next.append(then)
        return len(self._next) - 1
