"""Retention: who goes, who stays, why; and what must never go."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naru.errors import InvalidArgument
from naru.hub.catalog.tagpatterns import TagPattern
from naru.hub.policies.retention import ManifestFact, Plan, Rule, TagFact, parse_rules, plan, rules_json
from naru.oci.digest import Digest

DAY = 86_400
NOW = 1_800_000_000.0
D = [Digest.of(bytes([number])) for number in range(12)]


def rule(tags: str | None = None, **more: int) -> Rule:
    return Rule(TagPattern.parse(tags) if tags else None, **more)


def tag(name: str, pushed_days: float, pulled_days: float | None = None, digest: Digest = D[0]) -> TagFact:
    return TagFact(name, digest, NOW - pushed_days * DAY, None if pulled_days is None else NOW - pulled_days * DAY)


def manifest(number: int, pushed_days: float = 100, **more: Any) -> ManifestFact:
    return ManifestFact(D[number], NOW - pushed_days * DAY, **more)


def reasons(found: Plan) -> tuple[dict[str, str], dict[str, str]]:
    return {d.tag: d.reason for d in found.kept}, {d.tag: d.reason for d in found.deleted_tags}


def gone(found: Plan) -> list[int]:
    return [D.index(decision.digest) for decision in found.deleted_manifests]


# -- tags -------------------------------------------------------------------------------------------------------------


def test_the_latest_of_those_a_rule_speaks_of() -> None:
    tags = [tag("v1", 30), tag("v2", 20), tag("v3", 10), tag("main", 99), tag("vb", 20)]
    assert reasons(plan([rule("v*", keep_latest=2)], tags, [], NOW)) == (
        {"v2": "rule 1 (v*): one of the 2 latest", "v3": "rule 1 (v*): one of the 2 latest", "main": "no rule"},
        {"v1": "rule 1 (v*): not one of the 2 latest", "vb": "rule 1 (v*): not one of the 2 latest"},
    )


def test_pushed_and_pulled_days_and_their_bounds() -> None:
    tags = [
        tag("a", 30),
        tag("b", 30.001),
        tag("c", 90, 7),
        tag("d", 90, 8),
        tag("e", 7),
        tag("f", -1),
        tag("g", 90, 7.5),
    ]
    kept, deleted = reasons(plan([rule("[ab]", keep_pushed_days=30), rule("[c-g]", keep_pulled_days=7)], tags, [], NOW))
    assert kept == {
        "a": "rule 1 ([ab]): pushed 30 days ago, within 30 days",
        "c": "rule 2 ([c-g]): pulled 7 days ago, within 7 days",
        "e": "rule 2 ([c-g]): never pulled, pushed 7 days ago, within 7 days",
        "f": "rule 2 ([c-g]): never pulled, pushed today, within 7 days",
    }
    assert deleted == {
        "b": "rule 1 ([ab]): pushed 30 days ago, more than 30 days",
        "d": "rule 2 ([c-g]): pulled 8 days ago, more than 7 days",
        "g": "rule 2 ([c-g]): pulled 7 days ago, more than 7 days",
    }


def test_any_clause_of_any_rule_keeps() -> None:
    tags = [tag("v1", 50, 40), tag("v2", 50, 1), tag("v3", 1, 40)]
    rules = [rule("v*", keep_latest=1), rule("*", keep_pushed_days=10, keep_pulled_days=10), rule("w*", keep_latest=9)]
    kept, deleted = reasons(plan(rules, tags, [], NOW))
    assert kept == {"v2": "rule 2 (*): pulled 1 day ago, within 10 days", "v3": "rule 1 (v*): the latest"}
    assert deleted == {
        "v1": "rule 1 (v*): not the latest; rule 2 (*): pushed 50 days ago, more than 10 days, pulled 40 days ago, more than 10 days"
    }


def test_without_rules_nothing_goes() -> None:
    found = plan([], [tag("v1", 9999)], [manifest(1, 9999)], NOW)
    assert reasons(found) == ({"v1": "no rule"}, {})
    assert [decision.reason for decision in found.kept_manifests] == ["no rule"]
    assert gone(plan([rule("*", keep_latest=1)], [], [manifest(1, 9999)], NOW)) == []


def test_tags_of_one_manifest_fare_each_for_itself() -> None:
    rules = [rule("v*", keep_latest=1), rule(untagged_days=1)]
    found = plan(rules, [tag("v1", 9), tag("v2", 5), tag("main", 9)], [manifest(0, tags=("main", "v1", "v2"))], NOW)
    assert [decision.tag for decision in found.deleted_tags] == ["v1"]
    assert gone(found) == [] and found.kept_manifests == ()


def test_what_is_immutable_stays() -> None:
    fixed = TagFact("v1", D[0], NOW - 99 * DAY, is_immutable=True)
    found = plan(
        [rule("*", keep_latest=1), rule(untagged_days=1)],
        [fixed, tag("v2", 1, digest=D[1])],
        [manifest(0, tags=("v1",))],
        NOW,
    )
    assert reasons(found) == ({"v1": "immutable", "v2": "rule 1 (*): the latest"}, {}) and gone(found) == []


def test_tags_that_are_named_after_an_image_stay_with_it_and_are_not_the_latest() -> None:
    signature, fallback, orphan = f"sha256-{D[1].hex}.sig", f"sha256-{D[2].hex}", f"sha256-{D[9].hex}.att"
    tags = [
        tag("v1", 50, digest=D[1]), tag("v2", 40, digest=D[2]), tag(signature, 1, digest=D[3]), tag(fallback, 2, digest=D[4]),
        tag(orphan, 3, digest=D[5]),
    ]  # fmt: skip
    manifests = [
        manifest(1, 50, tags=("v1",)), manifest(2, 40, tags=("v2",)), manifest(3, tags=(signature,)),
        manifest(4, tags=(fallback,)), manifest(5, tags=(orphan,)), manifest(6, parents=(D[4],)),
    ]  # fmt: skip
    latest = rule("*", keep_latest=1)
    kept, deleted = reasons(found := plan([latest, rule(untagged_days=7)], tags, manifests, NOW))
    assert kept == {"v2": "rule 1 (*): the latest", fallback: f"belongs to {D[2]}, which stays"}
    assert deleted.keys() == {"v1", signature, orphan} and gone(found) == [1, 3, 5]
    kept, deleted = reasons(plan([latest], tags, manifests, NOW))  # v1's image stays, without a tag
    assert signature in kept and deleted.keys() == {"v1", orphan}
    kept, deleted = reasons(plan([rule("v*", keep_latest=1)], tags, manifests, NOW))
    assert kept[signature] == kept[orphan] == "no rule"


# -- manifests --------------------------------------------------------------------------------------------------------


def test_untagged_manifests_by_their_age() -> None:
    found = plan([rule(untagged_days=7), rule(untagged_days=3)], [], [manifest(1, 7), manifest(2, 7.01)], NOW)
    assert [(d.digest, d.reason) for d in found.kept_manifests] == [
        (D[1], "untagged; pushed 7 days ago, within 7 days")
    ]
    assert [(d.digest, d.reason) for d in found.deleted_manifests] == [
        (D[2], "untagged; pushed 7 days ago, more than 7 days")
    ]


def test_a_manifest_goes_with_its_last_tag() -> None:
    rules = [rule("v*", keep_latest=1), rule(untagged_days=7)]
    tags = [tag("v1", 50, digest=D[1]), tag("v2", 2, digest=D[2])]
    found = plan(rules, tags, [manifest(1, 50, tags=("v1",)), manifest(2, 50, tags=("v2",))], NOW)
    assert [(d.digest, d.reason) for d in found.deleted_manifests] == [
        (D[1], "its tags go (v1); pushed 50 days ago, more than 7 days")
    ]


def test_parts_stay_with_their_index_and_go_with_it() -> None:
    parts = [manifest(1, parents=(D[0], D[9])), manifest(2, parents=(D[9],)), manifest(3, parents=(D[8],))]
    index, nested = manifest(0, tags=("v2",)), manifest(8, parents=(D[0],))
    old = manifest(9, tags=("v1",))
    found = plan(
        [rule("v*", keep_latest=1), rule(untagged_days=7)],
        [tag("v1", 50, digest=D[9]), tag("v2", 2, digest=D[0])],
        [*parts, index, nested, old], NOW,
    )  # fmt: skip
    assert gone(found) == [2, 9]
    assert {d.digest: d.reason for d in found.kept_manifests} == {
        D[1]: f"part of {D[0]}, which stays", D[3]: f"part of {D[8]}, which stays", D[8]: f"part of {D[0]}, which stays",
    }  # fmt: skip


def test_what_refers_to_an_image_stays_with_it_and_goes_with_it() -> None:
    manifests = [
        manifest(0, tags=("v1",)), manifest(1, subject=D[0]), manifest(2, subject=D[1]), manifest(3, parents=(D[2],)),
        manifest(4), manifest(5, subject=D[4]), manifest(6, subject=D[11]), manifest(7, 1, subject=D[4]),
    ]  # fmt: skip
    found = plan([rule(untagged_days=7)], [tag("v1", 50)], manifests, NOW)
    assert gone(found) == [4, 5, 6]  # 6 refers to what is gone; 7 is young, which does not keep what it refers to
    assert {d.digest: d.reason for d in found.kept_manifests}[D[2]] == f"refers to {D[1]}, which stays"


def test_circles_do_not_hold_themselves() -> None:
    manifests = [
        manifest(1, parents=(D[2],)), manifest(2, parents=(D[1],)), manifest(3, subject=D[3]), manifest(4, subject=D[5]),
        manifest(5, subject=D[4]),
    ]  # fmt: skip
    assert gone(plan([rule(untagged_days=7)], [], manifests, NOW)) == [1, 2, 3, 4, 5]


def test_a_tag_that_only_the_manifest_knows_of_holds_it() -> None:
    assert gone(plan([rule("v*", keep_latest=1), rule(untagged_days=1)], [], [manifest(1, tags=("v1",))], NOW)) == []


NAMES = st.sampled_from(["v1", "v2", "v3", "main", "pr-1", "pr-2"])
DAYS = st.integers(1, 20)
RULES = st.one_of(
    st.builds(
        lambda tags, latest, pushed, pulled, untagged: Rule(TagPattern.parse(tags), latest, pushed, pulled, untagged),
        st.sampled_from(["*", "v*", "pr-*", "^v[12]$"]), st.integers(1, 3) | st.none(), DAYS, DAYS | st.none(), DAYS | st.none(),
    ),
    st.builds(lambda days: Rule(untagged_days=days), DAYS),
)  # fmt: skip


@st.composite
def repositories(draw: st.DrawFn) -> tuple[list[TagFact], list[ManifestFact]]:
    count = draw(st.integers(1, 8))
    numbers = st.integers(0, count - 1)
    tags = [
        TagFact(name, D[draw(numbers)], NOW - draw(st.integers(0, 25)) * DAY, draw(st.none() | st.just(NOW - 5 * DAY)))
        for name in draw(st.lists(NAMES, unique=True))
    ]
    manifests = [
        ManifestFact(
            D[number], NOW - draw(st.integers(0, 25)) * DAY, tuple(tag.name for tag in tags if tag.digest == D[number]),
            tuple({D[draw(numbers)] for _ in range(draw(st.integers(0, 2)))}), draw(st.none() | numbers.map(D.__getitem__)),
        )
        for number in range(count)
    ]  # fmt: skip
    return tags, manifests


@given(st.lists(RULES, max_size=4), repositories())
def test_what_must_never_go(rules: list[Rule], facts: tuple[list[TagFact], list[ManifestFact]]) -> None:
    tags, manifests = facts
    found = plan(rules, tags, manifests, NOW)
    kept, deleted = reasons(found)
    lost = {decision.digest for decision in found.deleted_manifests}
    stays = {each.digest for each in manifests} - lost
    # every tag and every manifest is decided on once, with a reason
    assert sorted([*kept, *deleted]) == sorted(each.name for each in tags)
    assert all([*kept.values(), *deleted.values()])
    named = {each.digest for each in tags if each.name in kept}
    assert {d.digest for d in found.kept_manifests} == stays - named
    # images of tags that stay, parts of indexes that stay, and what refers to what stays
    assert not named & lost
    for each in manifests:
        if each.digest in lost:
            assert not stays & set(each.parents)
            assert each.subject not in stays
            assert any(rule.untagged_days and NOW - each.pushed_at > rule.untagged_days * DAY for rule in rules)
    # and once is enough
    again = plan(rules, [t for t in tags if t.name in kept], [m for m in manifests if m.digest in stays], NOW)
    assert again.deleted_tags == again.deleted_manifests == ()
    for name in kept:
        assert any(r.tags and r.tags.matches(name) for r in rules) == (kept[name] != "no rule")


def test_a_large_repository_takes_a_moment() -> None:
    digests = [Digest.of(str(number).encode()) for number in range(10_000)]
    tags = [TagFact(f"v1.{n}", digests[n], NOW - n * DAY) for n in range(10_000)]
    manifests = [ManifestFact(digests[n], NOW, (f"v1.{n}",), (digests[n - 1],), digests[n - 1]) for n in range(10_000)]
    begin = time.process_time()
    found = plan([rule(r"^v\d+\.\d+$", keep_latest=10), rule(untagged_days=1)], tags, manifests, NOW)
    assert time.process_time() - begin < 3
    assert len(found.deleted_tags) == 9_990 and found.deleted_manifests == ()


# -- rules as JSON ----------------------------------------------------------------------------------------------------


def test_rules_there_and_back() -> None:
    written = [
        {"tags": "v*", "keep_latest": 10, "keep_pulled_days": 30},
        {"tags": r"^pr-\d+$", "keep_pushed_days": 7, "untagged_days": 1},
        {"untagged_days": 14},
    ]
    rules = parse_rules(json.loads(json.dumps(written)))
    assert rules_json(rules) == written
    assert parse_rules(rules_json(rules)) == rules
    assert parse_rules([{"tags": None, "untagged_days": 1, "keep_latest": None}]) == (Rule(untagged_days=1),)
    assert parse_rules([]) == ()


REFUSED: list[tuple[Any, str]] = [
    (None, "rules: not a list"),
    ({}, "rules: not a list"),
    ([{"untagged_days": 1}] * 51, "rules: more than 50"),
    ([{"untagged_days": 1}, []], "rules[1]: not an object"),
    ([{}], "rules[0]: neither tags nor untagged_days"),
    ([{"tags": "*"}], "rules[0]: it would delete all it matches"),
    ([{"tags": "*", "untagged_days": 1}], "rules[0]: it would delete all it matches"),
    ([{"keep_latest": 1}], 'rules[0].tags: missing; "*" for all'),
    ([{"tags": 5, "keep_latest": 1}], "rules[0].tags: not a text"),
    ([{"tags": "a/b", "keep_latest": 1}], "rules[0].tags: tag pattern 'a/b': no tag has"),
    ([{"tags": "*", "keep_latest": 0}], "rules[0].keep_latest: not a whole number from 1"),
    ([{"tags": "*", "keep_latest": True}], "rules[0].keep_latest: not a whole number"),
    ([{"tags": "*", "keep_pushed_days": 1.5}], "rules[0].keep_pushed_days: not a whole number"),
    ([{"tags": "*", "keep_pulled_days": "7"}], "rules[0].keep_pulled_days: not a whole number"),
    ([{"untagged_days": 10**9}], "rules[0].untagged_days: not a whole number"),
    ([{"untagged_days": 1, "keepLatest": 1}], "rules[0].keepLatest: no such field (there are tags, keep_latest"),
]


@pytest.mark.parametrize(("value", "message"), REFUSED)
def test_rules_that_are_refused_say_where(value: Any, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_rules(value)
    assert str(caught.value).startswith(message)
