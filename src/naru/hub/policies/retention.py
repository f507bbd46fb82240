"""Which tags and manifests of a repository may go, by its owner's rules. Pure: facts and time in, reasoned plan out.

- A rule speaks of the tags that its pattern matches, and keeps some of them. A tag of which rules speak is deleted if
  none of them keeps it. A tag of which no rule speaks is kept.
- A tag is judged by its own name and times, not by its manifest: two tags of one manifest can fare differently.
- A tag that is named after an image (`sha256-….sig` of cosign; distribution-spec "Referrers Tag Schema") is a part of it:
  it stays as long as that does, and is not one of the latest. What is immutable stays.
- A manifest goes only under a rule with `untagged_days`, when no tag that stays names it, it is older than that, no
  index that stays has it as a part, and what it refers to as its `subject` is gone or going.

Deleting parts of multi-platform images, and signatures of images that are still there, is what users of other
registries complain about most; that they stay is tested as an invariant.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from naru.errors import InvalidArgument
from naru.hub.catalog.tagpatterns import TagPattern
from naru.oci.digest import Digest
from naru.oci.image import Json

MAX_RULES = 50

_ATTACHED = re.compile(r"((?:sha256|sha512)-[0-9a-f]{64})[0-9a-f]*(?:\.[a-z0-9.]+)?")

_DAY_S = 86_400
_LARGEST = 36_500  # days of a century; and more tags than anybody counts


@dataclass(frozen=True, slots=True)
class Rule:
    """With `tags`, one or more of the three `keep_`: a tag is kept if any of them holds. With `untagged_days` alone or
    as well: manifests without tags that were pushed longer ago may go; where rules differ, the longest time holds."""

    tags: TagPattern | None = None
    keep_latest: int | None = None  # so many that were pushed last
    keep_pushed_days: int | None = None  # pushed within so many days
    keep_pulled_days: int | None = None  # pulled within so many days; before the first pull, pushed
    untagged_days: int | None = None


@dataclass(frozen=True, slots=True)
class TagFact:
    """Times are epoch seconds; `pulled_at` None: never."""

    name: str
    digest: Digest
    pushed_at: float
    pulled_at: float | None = None
    is_immutable: bool = False


@dataclass(frozen=True, slots=True)
class ManifestFact:
    """A manifest or index; `parents` are the indexes that have it as a part. Those of a repository are given all at
    once: what is not among them is gone."""

    digest: Digest
    pushed_at: float
    tags: tuple[str, ...] = ()
    parents: tuple[Digest, ...] = ()
    subject: Digest | None = None


@dataclass(frozen=True, slots=True)
class TagDecision:
    tag: str
    reason: str


@dataclass(frozen=True, slots=True)
class ManifestDecision:
    digest: Digest
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Every tag and every manifest without a tag that stays, and why; in the order of the facts."""

    kept: tuple[TagDecision, ...]
    deleted_tags: tuple[TagDecision, ...]
    kept_manifests: tuple[ManifestDecision, ...]
    deleted_manifests: tuple[ManifestDecision, ...]


def plan(rules: Sequence[Rule], tags: Sequence[TagFact], manifests: Sequence[ManifestFact], now_s: float) -> Plan:
    kept, against = _judged(rules, tags, now_s)
    subjects = belonging(tags, manifests)
    days = max((rule.untagged_days for rule in rules if rule.untagged_days is not None), default=None)
    attached = [(subjects[tag.name], tag.digest) for tag in tags if tag.name in subjects]
    reasons = _staying(manifests, _named(tags, manifests, kept), attached, days, now_s)
    for name, subject in subjects.items():
        if subject in reasons:
            kept.setdefault(name, f"belongs to {subject}, which stays")
    named = _named(tags, manifests, kept)
    untagged = [manifest for manifest in manifests if manifest.digest not in named]
    return Plan(
        kept=tuple(TagDecision(tag.name, kept[tag.name]) for tag in tags if tag.name in kept),
        deleted_tags=tuple(TagDecision(tag.name, against[tag.name]) for tag in tags if tag.name not in kept),
        kept_manifests=tuple(ManifestDecision(m.digest, reasons[m.digest]) for m in untagged if m.digest in reasons),
        deleted_manifests=tuple(
            ManifestDecision(m.digest, f"{_nameless(m)}; pushed {_ago(now_s - m.pushed_at)}, more than {days} days")
            for m in untagged
            if m.digest not in reasons
        ),
    )


# -- tags -------------------------------------------------------------------------------------------------------------


def belonging(tags: Iterable[TagFact], manifests: Iterable[ManifestFact]) -> dict[str, Digest]:
    """Of the tags whose names say so: to which of these manifests they belong."""
    known = {f"{one.digest.algorithm}-{one.digest.hex[:64]}": one.digest for one in manifests}
    found = ((tag.name, _ATTACHED.fullmatch(tag.name)) for tag in tags)
    return {name: known[match[1]] for name, match in found if match and match[1] in known}


def _named(tags: Sequence[TagFact], manifests: Sequence[ManifestFact], kept: Mapping[str, str]) -> set[Digest]:
    """The manifests of tags that stay; tags that nobody has judged stay too."""
    going = {tag.name for tag in tags if tag.name not in kept}
    named = {tag.digest for tag in tags if tag.name in kept}
    return named | {manifest.digest for manifest in manifests if not going.issuperset(manifest.tags)}


def _judged(rules: Sequence[Rule], tags: Sequence[TagFact], now_s: float) -> tuple[dict[str, str], dict[str, str]]:
    """Those that are kept, and what the rules say against others: by name, and why."""
    kept = {tag.name: "immutable" for tag in tags if tag.is_immutable}
    against: defaultdict[str, list[str]] = defaultdict(list)
    for number, rule in enumerate(rules, 1):
        if rule.tags is None:
            continue
        matched = [tag for tag in tags if rule.tags.matches(tag.name)]
        counted = [tag for tag in matched if not _ATTACHED.fullmatch(tag.name)]
        latest = {
            tag.name for tag in sorted(counted, key=lambda tag: (-tag.pushed_at, tag.name))[: rule.keep_latest or 0]
        }
        for tag in matched:
            clauses = list(_clauses(rule, tag, tag.name in latest, now_s))
            because = next((text for holds, text in clauses if holds), None)
            which = f"rule {number} ({rule.tags.text}): "
            if because is not None:
                kept.setdefault(tag.name, which + because)
            else:
                against[tag.name].append(which + ", ".join(text for _, text in clauses))
    for tag in tags:
        if tag.name not in against:
            kept.setdefault(tag.name, "no rule")
    return kept, {name: "; ".join(reasons) for name, reasons in against.items()}


def _clauses(rule: Rule, tag: TagFact, is_latest: bool, now_s: float) -> Iterator[tuple[bool, str]]:
    """What the rule asks of the tag, whether it holds, and in words."""
    if rule.keep_latest is not None:
        them = "the latest" if rule.keep_latest == 1 else f"one of the {rule.keep_latest} latest"
        yield is_latest, them if is_latest else f"not {them}"
    if rule.keep_pushed_days is not None:
        yield _within(now_s - tag.pushed_at, rule.keep_pushed_days, "pushed")
    if rule.keep_pulled_days is not None:
        if tag.pulled_at is None:
            yield _within(now_s - tag.pushed_at, rule.keep_pulled_days, "never pulled, pushed")
        else:
            yield _within(now_s - tag.pulled_at, rule.keep_pulled_days, "pulled")


def _within(age_s: float, days: int, what: str) -> tuple[bool, str]:
    holds = age_s <= days * _DAY_S
    return holds, f"{what} {_ago(age_s)}, {'within' if holds else 'more than'} {days} days"


def _ago(age_s: float) -> str:
    days = int(age_s // _DAY_S)
    return "today" if days <= 0 else f"{days} day{'s' if days > 1 else ''} ago"


# -- manifests --------------------------------------------------------------------------------------------------------


def _staying(
    manifests: Sequence[ManifestFact],
    named: set[Digest],
    attached: Iterable[tuple[Digest, Digest]],
    days: int | None,
    now_s: float,
) -> dict[Digest, str]:
    """Every manifest that stays, and why: for a tag, for its age, or for the sake of another that stays. `attached`: pairs of
    one, and another that refers to it by its tag."""
    reasons: dict[Digest, str] = {}
    parts: defaultdict[Digest, list[Digest]] = defaultdict(list)
    referrers: defaultdict[Digest, list[Digest]] = defaultdict(list)
    for subject, other in attached:
        referrers[subject].append(other)
    for manifest in manifests:
        for parent in manifest.parents:
            parts[parent].append(manifest.digest)
        if manifest.subject is not None:
            referrers[manifest.subject].append(manifest.digest)
        if manifest.digest in named:
            reasons[manifest.digest] = "tagged"
        elif days is None:
            reasons[manifest.digest] = "no rule"
        else:
            is_young, text = _within(now_s - manifest.pushed_at, days, f"{_nameless(manifest)}; pushed")
            if is_young:
                reasons[manifest.digest] = text
    left = deque(reasons)
    while left:
        digest = left.popleft()
        for others, relation in ((parts, "part of"), (referrers, "refers to")):
            for other in others[digest]:
                if other not in reasons:
                    reasons[other] = f"{relation} {digest}, which stays"
                    left.append(other)
    return reasons


def _nameless(manifest: ManifestFact) -> str:
    return f"its tags go ({', '.join(manifest.tags)})" if manifest.tags else "untagged"


# -- rules as JSON ----------------------------------------------------------------------------------------------------


def parse_rules(value: Any) -> tuple[Rule, ...]:
    """Rules of a list of objects with the fields of `Rule`, null as good as absent.

    Raises InvalidArgument, beginning with the path of the field that is wrong: `rules[0].keep_latest: …`.
    """
    if not isinstance(value, list):
        raise InvalidArgument("rules: not a list")
    if len(value) > MAX_RULES:
        raise InvalidArgument(f"rules: more than {MAX_RULES}")
    return tuple(_rule(item, f"rules[{index}]") for index, item in enumerate(value))


def rules_json(rules: Sequence[Rule]) -> list[Json]:
    """What `parse_rules` reads."""
    out = []
    for rule in rules:
        given = {field.name: getattr(rule, field.name) for field in fields(rule)}
        given["tags"] = rule.tags and rule.tags.text
        out.append({name: item for name, item in given.items() if item is not None})
    return out


def _rule(value: Any, path: str) -> Rule:
    if not isinstance(value, dict):
        raise InvalidArgument(f"{path}: not an object")
    for name in value:
        if name not in _FIELDS:
            raise InvalidArgument(f"{path}.{str(name)[:50]}: no such field (there are {', '.join(_FIELDS)})")
    numbers = {name: _number(value.get(name), f"{path}.{name}") for name in _FIELDS if name != "tags"}
    keeps = any(numbers[name] is not None for name in _KEEPS)
    tags = value.get("tags")
    if tags is None:
        if keeps:
            raise InvalidArgument(f'{path}.tags: missing; "*" for all')
        if numbers["untagged_days"] is None:
            raise InvalidArgument(f"{path}: neither tags nor untagged_days")
        return Rule(None, **numbers)
    if not keeps:
        raise InvalidArgument(f"{path}: it would delete all it matches; give one of {', '.join(_KEEPS)}")
    if not isinstance(tags, str):
        raise InvalidArgument(f"{path}.tags: not a text")
    try:
        return Rule(TagPattern.parse(tags), **numbers)
    except InvalidArgument as error:
        raise InvalidArgument(f"{path}.tags: {error}") from error


def _number(value: Any, path: str) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _LARGEST:
        raise InvalidArgument(f"{path}: not a whole number from 1 to {_LARGEST}")
    return value


_FIELDS = tuple(field.name for field in fields(Rule))
_KEEPS = tuple(name for name in _FIELDS if name.startswith("keep_"))
