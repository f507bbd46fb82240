from __future__ import annotations

import os
import re

from naru.hub.catalog import referrers
from naru.hub.catalog.repositories import CATEGORIES
from naru.hub.pages import admin, assets, home, rendering, replications, site, tags
from naru.hub.pages.words import WORDS, Language, choose, places
from naru.hub.peers import deliveries, scans
from naru.hub.people.accounts import BADGES
from naru.hub.people.permissions import ACTIONS, ROLES, SCOPES

_PAGES = os.path.dirname(rendering.__file__)
_SAID = re.compile(r"\bt\('([^']+)'(\s*~)?")

# keys that are put together: beginning → ends
FAMILIES: dict[str, tuple[str, ...]] = {
    "category.": CATEGORIES,
    "badge.": BADGES[1:],
    "sort.": home.SORTS,
    "tagsort.": tags.SORTS,
    "theme.": ("auto", *site.THEMES),
    "role.": ROLES,
    "level.": ("read", "write", "admin"),
    "scope.": tuple(f"{scope}{end}" for scope in SCOPES for end in ("", ".hint")),
    "action.": tuple(ACTIONS),
    "event.": deliveries.EVENTS,
    "format.": deliveries.FORMATS,
    "delivery.": (deliveries.WAITING, deliveries.DELIVERED, deliveries.FAILED),
    "referrer.": (referrers.SIGNATURE, referrers.SBOM, referrers.ATTESTATION, referrers.OTHER),
    "kinds.": admin.KINDS,
    "stored.": ("repositories", "tags", "manifests", "blobs"),
    "rule.": ("tags", "keep_latest", "keep_pushed_days", "keep_pulled_days", "untagged_days"),
    "compare.": ("less", "more", "same"),
    "ago.": ("years", "months", "days", "hours", "minutes", "now"),
    "error.": ("400", "401", "403", "404", "409", "413", "429", "500", "503"),
    "severity.": ("critical", "high", "medium", "low", "negligible", "none", "unknown"),
    "direction.": tuple(f"{one}{end}" for one in replications.DIRECTIONS for end in ("", ".long")),
    "trigger.": replications.TRIGGERS,
    "scan.": (scans.WAITING, scans.RUNNING, scans.FAILED, scans.UNSUPPORTED),
}


def _sources(folder: str, ending: str) -> dict[str, str]:
    found = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(ending):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                found[name] = file.read()
    return found


def test_every_key_that_a_template_says_is_there() -> None:
    for name, text in _sources(rendering.FOLDER, ".html").items():
        for key, joined in _SAID.findall(text):
            assert joined or key in WORDS, (name, key)
            assert not joined or key in FAMILIES, (name, key)


def test_every_key_that_is_put_together_is_there() -> None:
    missing = [beginning + end for beginning, ends in FAMILIES.items() for end in ends if beginning + end not in WORDS]
    assert missing == []


def test_every_key_that_a_handler_says_is_there() -> None:
    said = re.compile(r'"((?:done|problem|compare|admin\.settings)\.[a-z.]+)"')
    for name, text in _sources(_PAGES, ".py").items():
        for key in said.findall(text):
            assert key in WORDS or key.endswith((".html", ".")), (name, key)


def test_both_languages_say_it_with_the_same_places() -> None:
    for key, (english, korean) in WORDS.items():
        assert english.strip() and korean.strip(), key
        assert places(english) == places(korean), key
        assert english == korean or re.search("[가-힣]", korean), key


def test_numbers_of_things_in_english() -> None:
    say = Language("en")
    assert say("results.n", n=1) == "1 repository"
    assert say("results.n", n=1234) == "1,234 repositories"
    assert Language("ko")("results.n", n=1234) == "저장소 1,234개"


def test_what_browsers_ask_for() -> None:
    for accepted, code in (
        ("ko-KR,ko;q=0.9,en;q=0.8", "ko"), ("en-US,ko;q=0.9", "en"), ("de, fr;q=0.9", "en"), ("de, ko;q=0.1", "ko"), ("", "en"),
        ("ko;q=0", "en"), ("en;q=0.5, ko;q=0.7", "ko"), ("ko;q=x, en", "en"), (",;,;q=", "en"), ("ko" * 5000, "en"),
    ):  # fmt: skip
        assert choose("", accepted).code == code, accepted
    assert choose("ko", "en").code == "ko"
    assert choose("xx", "ko").code == "ko"


def test_sizes_and_times() -> None:
    say = Language("en")
    sizes = {
        0: "0 B",
        999: "999 B",
        1000: "1.0 KB",
        999_499: "999 KB",
        999_999: "1.0 MB",
        12_345_678: "12.3 MB",
        10**18: "1000 PB",
    }
    assert {size: say.size(size) for size in sizes} == sizes
    assert say.count(1234) == "1.2K" and say.count(999) == "999" and say.count(2_000_000) == "2M"
    assert say.ago(1000, 1000) == "just now" and say.ago(0, 7200) == "2 hours ago"
    assert say.ago(5000, 1000) == "1 Jan 1970"  # a clock that is wrong says when, not "in the future"
    assert Language("ko").date(1_790_000_000) == "2026년 9월 21일"


def test_the_licence_of_what_is_not_ours_lies_beside_it() -> None:
    names = os.listdir(assets.FOLDER)
    assert {"htmx.min.js", "htmx.LICENSE", "site.css", "site.js", "icons.svg", "icon.svg"} <= set(names)


def test_every_icon_that_is_drawn_is_there() -> None:
    with open(os.path.join(assets.FOLDER, "icons.svg"), encoding="utf-8") as file:
        there = set(re.findall(r'symbol id="([a-z]+)"', file.read()))
    for name, text in _sources(rendering.FOLDER, ".html").items():
        assert set(re.findall(r"icon\('([a-z]+)'\)", text)) <= there, name
