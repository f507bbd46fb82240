"""What services say was wrong is said in Korean on Korean pages: all of it, but for what no form brings about."""

from __future__ import annotations

import ast
import time
from pathlib import Path

import pytest
from landing import PASSWORD, Visitor, landing

import naru.hub
from naru.hub.pages.words import Language, problems
from naru.hub.pages.words.shapes import Shapes, literals
from naru.hub.services import people
from naru.registry.errors import CODES

HUB = Path(naru.hub.__file__).parent
KINDS = {"InvalidArgument", "Forbidden", "NotFound", "Conflict", "Unauthenticated", "Unsupported", "Refusal"}
# Whose errors are no answers to forms: of the API, of programs that pull and push, of jobs, of the start of a hub.
ELSEWHERE = (
    "api", "authority.py", "gate/guard.py", "peers/copying.py", "peers/pullthrough.py", "peers/remotes.py", "peers/replicate.py",
    "peers/scanner.py", "peers/scanning.py", "peers/tee.py", "proxies.py", "ratelimit.py", "search.py", "server.py",
    "secondstep.py", "services/lookups.py", "signingkeys.py", "resealed.py", "jobs.py",
)  # fmt: skip
# What the hub's own pages cannot bring about, as what they send is always of that form.
NOT_BY_FORMS = {
    "config {}: larger than {} bytes",  # such an image has no page
    "not Basic credentials",
    "incorrect username, or a token that is unknown, expired or disabled",
    "this account has a second factor: log in with a personal access token as the password",
    "the token's scope does not allow this: it takes scope delete",  # browsers have no tokens
    "repository {}: the token's scope does not allow this",
    "{}: the token's scope does not allow this",
    "{}: must be an object",
    "rules: not a list",
    "{}: not an object",
    "{}.tags: not a text",
    "{}.{}: no such field (there are {})",
    "{}: there is no such setting",
    "nothing to change",
    "organisations have no password",
    "scan of {}@{}: not found",  # only the API has reports by themselves
    "webhook: a signature takes a secret",
    "webhook: {} attempts; there has been one at least",
    "webhook URL: {} has no address",  # names are looked up when something is sent
    "webhook URL: {} resolved to {}, not an address",
    "a one-time password's secret is made of {} random bytes, not {}",
    "recovery codes are made of {} random bytes, not {}",
    "{} of a one-time password: {} is empty or has a colon",
    "a QR code of {} bytes: too long",
    "tag pattern {}: {} {} (character {})",  # each of its texts is there by itself
}
# What is said by another name than at the place where it is raised.
_NAMED = {("people/identity.py", "_WRONG"), ("pages/login.py", "visit.language('problem.signup')")}
# Said by the registry below, to which pages hand digests, names and tags.
_BELOW = {
    "invalid checksum digest format: {}",
    "unsupported digest algorithm: {}",
    "invalid checksum digest length: {}",
    *(CODES[code][1] for code in ("DENIED", "MANIFEST_UNKNOWN", "NAME_UNKNOWN", "NAME_INVALID", "TOOMANYREQUESTS")),
}


def _shape(said: ast.expr) -> str | None:
    """A text as a key of the table; None if it is not written where it is raised."""
    if isinstance(said, ast.Constant) and isinstance(said.value, str):
        return said.value.replace("{", "{{").replace("}", "}}")
    if isinstance(said, ast.JoinedStr):
        return "".join(_shape(part) or "" if isinstance(part, ast.Constant) else "{}" for part in said.values)
    return None


def _raised() -> tuple[set[str], set[tuple[str, str]]]:
    """The shapes of all that is said, and what is not written out."""
    found, named = set(), set()
    for path in sorted(HUB.rglob("*.py")):
        name = path.relative_to(HUB).as_posix()
        if name.startswith(ELSEWHERE):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if called not in KINDS | {"_wrong"} or (called == "Refusal" and len(node.args) == 1):
                continue
            said = node.args[1 if called == "Refusal" else 0]
            shape = _shape(said)
            if shape is None:
                named.add((name, ast.unparse(said)))
            else:
                found.add(shape if called != "_wrong" else f"tag pattern {{}}: {shape} {{}} (character {{}})")
    return found, named


def test_everything_that_a_form_can_bring_about_is_said_in_korean() -> None:
    raised, named = _raised()
    assert len(raised) > 150  # it has really looked
    assert sorted(raised - set(problems.TEXTS) - NOT_BY_FORMS) == []
    assert named == _NAMED


def test_nothing_is_translated_that_nobody_says() -> None:
    raised, _ = _raised()
    assert sorted(set(problems.TEXTS) - raised - _BELOW) == []
    assert sorted(NOT_BY_FORMS - raised) == []
    assert not NOT_BY_FORMS & set(problems.TEXTS)


def test_what_replications_leave_behind_is_said_as_it_is_written() -> None:
    """Its parts are put together in several places of `replicate`: each is a part of a key."""
    source = (HUB / "peers/replicate.py").read_text(encoding="utf-8")
    for piece in (
        " tags copied, ",
        " were there",
        " failed: ",
        "; to be tried again",
        "repositories could not be listed: ",
    ):
        assert piece in source and any(piece in key for key in problems.RESULTS), piece


def test_places_are_there_and_the_right_key_is_found() -> None:
    say = Language("ko")
    for table in (problems.TEXTS, problems.RESULTS):
        for key, korean in table.items():
            count = len(literals(key)) - 1
            text = key.format(*(f"<{at}>" for at in range(count)))
            assert say.said(text) == _filled(korean, count), key
            assert any("가" <= letter <= "힣" for letter in korean) or key == "{}.tags: {}", key
            assert Language("en").said(text) == text


def _filled(korean: str, count: int) -> str:
    for how in (":said", ":level"):
        korean = korean.replace(how, "")
    return korean.format(*(f"<{at}>" for at in range(count)))


def test_what_stands_in_texts_is_said_too() -> None:
    say = Language("ko").said
    assert say("repository acme/web: this takes admin permission") == "저장소 acme/web: 관리 권한이 필요합니다."
    assert say("about: longer than 500 characters") == "소개: 500자를 넘을 수 없습니다."
    assert say("rules[0].tags: tag pattern '[': [ without ], at the end of '' (character 2)") == (
        "rules[0]: 태그 패턴 '[': [를 ]로 닫지 않았습니다."
    )
    assert say("webhook URL: h is at 10.0.0.1, and 10.0.0.1 is private").endswith("사설 주소여서 사용할 수 없습니다.")
    assert say("acme/web: 2 tags copied, 1 were there; to be tried again") == (
        "acme/web: 태그 2개 복사, 1개는 이미 있음. 다시 시도합니다"
    )
    assert say("something that nobody has said yet") == "something that nobody has said yet"
    assert (
        say("name '{0}{9}{x.y}' is taken") == "이름 '{0}{9}{x.y}'은(는) 이미 사용 중입니다."
    )  # what strangers write is no pattern


def test_shapes() -> None:
    shapes = Shapes({"a {} b": "1", "a {} b {} c": "2", "{{}}": "3", "{}": "4", "": "5"})
    found = {text: shapes.find(text) for text in ("a x b", "a x b y c", "{}", "zz", "", "a b", "a  b")}
    assert found == {
        "a x b": ("1", ["x"]), "a x b y c": ("2", ["x", "y"]), "{}": ("3", []), "zz": ("4", ["zz"]), "": ("4", [""]),
        "a b": ("4", ["a b"]), "a  b": ("1", [""]),
    }  # fmt: skip
    assert Shapes({"ab{}ba": "x"}).find("aba") is None  # the ends do not overlap


def test_a_long_text_does_not_take_long() -> None:
    say = Language("ko").said
    for text in ("repository " + ": this takes " * 50_000, "{}: " * 200_000, "x.tags: " * 100_000):
        begun = time.monotonic()
        say(text)
        assert time.monotonic() - begun < 2


FORMS: tuple[tuple[str, dict[str, str], int, str], ...] = (
    ("/new/organization", {"name": "acme"}, 409, "이미 사용 중입니다"),
    ("/new/organization", {"name": "A!"}, 400, "소문자와 숫자 2~39자"),
    ("/new/organization", {"name": "admin"}, 400, "사이트에서 쓰는 이름입니다"),
    ("/new", {"namespace": "acme", "name": "-"}, 400, "저장소 이름이 올바르지 않습니다"),
    ("/u/acme/members", {"member": "ana", "role": "member"}, 409, "소유자가 있어야 합니다"),
    ("/u/acme/members", {"member": "nobody", "role": "member"}, 404, "계정 nobody을(를) 찾을 수 없습니다"),
    ("/u/acme/robots", {"title": "ci", "repositories": "acme/A!", "action": "pull"}, 400, "네임스페이스/이름 형식"),
    ("/u/acme/webhooks", {"title": "x", "url": "ftp://x", "event": "push"}, 400, "http 또는 https여야 합니다"),
    ("/u/acme/webhooks", {"title": "x", "url": "http://10.0.0.1", "event": "push"}, 403, "사설 주소여서"),
    ("/settings/security", {"current": PASSWORD, "password": "x", "again": "x"}, 400, "8자 이상이어야 합니다"),
    ("/admin/users/ana", {"people": "1", "badge": ""}, 409, "자신을 내보낼 수 없습니다"),
    ("/u/acme/settings/mirror", {"url": "https://x/y"}, 400, "경로 없이"),
    ("/u/acme/settings/mirror", {"url": "https://x", "fresh_s": "often"}, 400, "숫자가 아닙니다"),
    ("/u/acme/settings/mirror", {"url": "https://x", "password": "p"}, 400, "사용자 이름도 적어야 합니다"),
    ("/admin/replications", {"name": "x", "direction": "pull", "trigger": "push", "url": "x", "source": "*"}, 400, "‘매일’을 고르세요"),
    ("/admin/scanners", {"name": "", "url": "https://x"}, 400, "1~100자여야"),
)  # fmt: skip


async def test_forms_answer_in_the_language_of_the_page(tmp_path: Path) -> None:
    async with landing(tmp_path) as here:
        await here.person("ana")
        await here.hub.do(await here.who("ana"), people.create_organization, "acme")
        ana = await here.visitor("ana")
        for path, fields, status, said in FORMS:
            answer = await _sent(ana, path, fields, "ko")
            assert (answer[0], said in answer[1]) == (status, True), (path, fields, answer[1])
            assert 'role="alert"' in answer[1]  # in the form, which still has what was written
            status_en, text = await _sent(ana, path, fields, "en")
            assert status_en == status and not any("가" <= letter <= "힣" for letter in text.replace("한국어", "")), (
                path
            )


async def _sent(visitor: Visitor, path: str, fields: dict[str, str], language: str) -> tuple[int, str]:
    answer = await visitor.post(path, fields, **{"Accept-Language": language})
    return answer.status, answer.text


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_too_many_tries_are_told_without_a_code(tmp_path: Path, language: str) -> None:
    async with landing(tmp_path) as here:
        await here.person("ana")
        stranger = await here.visitor()
        status, text = 0, ""
        for _ in range(30):
            status, text = await _sent(stranger, "/login", {"name": "ana", "password": "wrong"}, language)
            if status == 429:
                break
        assert status == 429 and "toomanyrequests" not in text
        assert ("로그인에 너무 많이 실패했습니다" if language == "ko" else "too many failed logins") in text
