"""What keeps the pages safe, asked by HTTP: forms, headers, cookies, redirects, hostile text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from landing import Landing, landing

from naru.hub.catalog import readme
from naru.hub.pages import ROUTES
from naru.hub.pages.visit import local
from naru.hub.services import people, repos

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


class _Reader(HTMLParser):
    """What a browser would do with a page: scripts and handlers in it that are not ours."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "script" and not (values.get("src") or "").startswith("/static/"):
            self.found.append(tag)
        self.found += [name for name, value in attrs if name.startswith("on") or "javascript:" in (value or "")]
        if tag in ("iframe", "object", "base") or (tag == "img" and values.get("src") is not None):
            self.found.append(tag)


def _dangers(page: str) -> list[str]:
    reader = _Reader()
    reader.feed(page)
    return reader.found


async def _filled(here: Landing) -> None:
    await here.person("root")
    await here.person("ana")
    await here.hub.do(await here.who("ana"), people.create_organization, "acme")
    await here.push("acme/web", "v1", [("RUN /bin/sh -c true # buildkit", 10)])


async def test_every_answer_has_the_headers(tmp_path: Path) -> None:
    async with landing(tmp_path) as here:
        await _filled(here)
        visitor = await here.visitor("ana")
        for path in ("/", "/explore", "/nothing/here", "/r/acme/web", "/settings/tokens", "/explore?sort=nonsense"):
            answer = await visitor.get(path)
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "same-origin"
            assert "no-cache" in answer.headers["Cache-Control"]
            assert not re.search(r"<script>|<script [^>]*>[^<]|<style|\son\w+=|javascript:|\sstyle=", answer.text), path
            assert not re.search(r"(?:src|href)=\"(?:https?:)?//", answer.text), path


async def test_a_form_without_its_key_is_refused_wherever_it_goes(tmp_path: Path) -> None:
    """Every path that takes forms, of somebody who is logged in, with no key, a wrong one, and one of somebody else."""
    async with landing(tmp_path) as here:
        await _filled(here)
        ana, root = await here.visitor("ana"), await here.visitor("root")
        other = await root.key("/")
        assert other and other != await ana.key("/")
        values = {
            "name": "acme/web",
            "owner": "acme",
            "tag": "v1",
            "hook": "1",
            "token": "1",
            "robot": "1",
            "digest": "sha256:" + "0" * 64,
        }
        paths = {
            re.sub(r"\{(\w+)[^}]*\}+", lambda m: values[m[1]], route.path) for route in ROUTES if route.method == "POST"
        }
        assert len(paths) > 25
        for path in sorted(paths):
            for fields in ({}, {"form_key": ""}, {"form_key": "x" * 43}, {"form_key": other}, {"form_key": "é\udcff"}):
                if "\udcff" in fields.get("form_key", ""):
                    fields = {"form_key": "é"}
                answer = await ana.bare_post(path, fields)
                assert answer.status == 403, (path, fields)


async def test_a_form_of_another_site_is_refused_even_with_its_key(tmp_path: Path) -> None:
    async with landing(tmp_path) as here:
        await _filled(here)
        ana = await here.visitor("ana")
        for headers, status in (
            ({"Origin": "https://evil.example"}, 403), ({"Origin": "null"}, 403), ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Sec-Fetch-Site": "same-site"}, 403), ({"Origin": here.url, "Sec-Fetch-Site": "same-origin"}, 303),
        ):  # fmt: skip
            answer = await ana.post("/r/acme/web/-/star", {"starred": "1"}, **headers)
            assert answer.status == status, headers


async def test_a_stranger_s_forms_have_keys_too(tmp_path: Path) -> None:
    """Else somebody could be logged in, unawares, as somebody else."""
    async with landing(tmp_path) as here:
        await _filled(here)
        first, second = await here.visitor(), await here.visitor()
        stolen = await second.key()
        assert (await first.bare_post("/login", {"name": "ana", "password": "x", "form_key": stolen})).status == 403
        assert (await first.post("/login", {"name": "ana", "password": "x"})).status == 400


@pytest.mark.parametrize(
    "path",
    ["https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example", "evil", "", "/a\nb", "/a b", "javascript:alert(1)",
     "/\t/evil.example", "///evil.example"],
)  # fmt: skip
def test_only_paths_of_ours_are_gone_on_to(path: str) -> None:
    assert local(path) == "/"


def test_a_path_of_ours_is_gone_on_to() -> None:
    assert local("/r/acme/web?x=1&y=%20#a") == "/r/acme/web?x=1&y=%20#a"


async def test_no_redirect_leads_away(tmp_path: Path) -> None:
    async with landing(tmp_path) as here:
        await _filled(here)
        ana = await here.visitor("ana")
        for path in ("/login?next=", "/language/ko?next=", "/theme/dark?next="):
            for evil in ("https://evil.example/", "//evil.example", "/%5Cevil.example", "/%09/evil.example"):
                answer = await ana.get(path + evil)
                assert (answer.status, answer.headers["Location"]) == (303, "/"), path + evil
        answer = await ana.post("/r/acme/web/-/star", {"starred": "1", "next": "//evil.example"})
        assert answer.headers["Location"] == "/"


async def test_what_people_write_is_text(tmp_path: Path) -> None:
    """Names cannot hold markup; everything else can, and is shown as it was written."""
    async with landing(tmp_path) as here:
        await _filled(here)
        ana = await here.who("ana")
        do = here.hub.do
        await do(
            ana, repos.update, "acme/web", {"summary": EVIL[:100], "readme": EVIL, "readme_html": readme.render(EVIL)}
        )
        await do(ana, people.update_account, "ana", {"full_name": EVIL, "about": EVIL})
        await do(ana, people.update_account, "acme", {"full_name": EVIL, "about": EVIL})
        await do(ana, people.create_team, "acme", "core", EVIL)
        await do(ana, people.create_token, EVIL, "read", None)
        await do(ana, repos.create_webhook, here.hub.outbound, "acme/web", EVIL, "https://example.org/" + "x", ["push"])
        run = {"Env": [EVIL], "Labels": {EVIL: EVIL}, "Cmd": EVIL, EVIL: EVIL}
        steps = [(EVIL, 10), (f"RUN /bin/sh -c {EVIL} # buildkit", 20), ("\ud800", 0)]
        await here.push(
            "acme/web", "evil", steps[:2], run=run, annotations={EVIL: EVIL, "org.opencontainers.image.title": EVIL}
        )
        root = await here.visitor("root")
        for path in (
            "/", "/explore?q=%3Cscript%3E%22", "/r/acme/web", "/r/acme/web/-/tags?q=%22%3E%3Cscript%3E", "/r/acme/web/-/tags/evil",
            "/r/acme/web/-/compare?from=v1&to=evil", "/r/acme/web/-/settings", "/r/acme/web/-/settings/readme", "/u/acme",
            "/u/acme/members", "/u/acme/teams", "/u/ana", "/r/acme/web/-/settings/webhooks", "/r/acme/web/-/settings/webhooks/1",
            "/r/acme/web/-/audit", "/admin/users?q=%22%3E%3Cscript%3E", "/admin/users/ana", "/admin/audit",
            "/admin/storage?digest=%22%3E%3Cscript%3E", "/login?next=/%22%3E%3Cscript%3E", "/%3Cscript%3Ealert(1)%3C/script%3E",
        ):  # fmt: skip
            answer = await root.get(path)
            assert answer.status in (200, 303, 400, 404), (path, answer.status)
            assert "<script>alert" not in answer.text and "<img src=x" not in answer.text, path
            assert _dangers(answer.text) == [], path
        mine = await here.visitor("ana")
        assert "<script>alert" not in (await mine.get("/settings/tokens")).text
        assert "&lt;script&gt;alert(1)" in (await root.get("/r/acme/web/-/tags/evil")).text


async def test_bad_input_is_answered_as_such(tmp_path: Path) -> None:
    async with landing(tmp_path) as here:
        await _filled(here)
        root = await here.visitor("root")
        for path, status in (
            ("/explore?page=x", 400), ("/explore?page=-1", 400), ("/explore?page=99999999999999999999", 400), ("/explore?page=0", 200),
            ("/explore?sort=x", 400), ("/explore?badge=x", 400), ("/explore?q=%00", 400), ("/u/%00", 400), ("/r/a%00/b", 400),
            ("/r/acme/web/-/tags?sort=x", 400), ("/r/acme/web/-/tags/a%00b", 400), ("/r/acme/web/-/manifests/sha256:00", 404),
            ("/r/acme/web/-/compare?from=v1&to=nope", 404), ("/r/acme/web/-/tags/v1?platform=nope/nope", 200),
            ("/admin/audit?before=x", 400), ("/admin/storage?digest=x", 400), ("/admin/users?kind=x", 400),
            ("/r/acme/web/-/settings/webhooks/99999999999999999999", 400), ("/r/" + "a/" * 2000 + "b", 404), ("/explore?q=" + "a " * 900, 200),
            ("/explore?q=%ff%fe", 200), ("/static/0/site.css", 404), ("/static/..%2f..%2f/site.py", 404), ("/language/xx", 404), ("/theme/xx", 404),
        ):  # fmt: skip
            assert (await root.get(path)).status == status, path
        for path, fields in (
            ("/new", {"namespace": "acme", "name": "UPPER CASE!"}), ("/new", {"namespace": "nobody", "name": "x"}), ("/new", {}),
            ("/new/organization", {"name": "../x"}), ("/settings/tokens", {"title": "", "scope": "read"}),
            ("/settings/tokens", {"title": "x", "scope": "all"}), ("/settings/tokens", {"title": "x", "scope": "read", "days": "-5"}),
            ("/u/acme/robots", {"title": "ci", "repositories": "other/*", "action": "pull"}), ("/u/acme/members", {"member": "ana", "role": "king"}),
            ("/r/acme/web/-/settings", {"summary": "x" * 101}), ("/r/acme/web/-/settings", {"summary": "", "category": "nonsense"}),
            ("/r/acme/web/-/settings", {"summary": "", "visibility": "private", "immutable": "((("}),
            ("/r/acme/web/-/settings/retention", {"rule": "1", "keep_latest.0": "-1"}), ("/r/acme/web/-/settings/retention", {"rule": "1e9"}),
            ("/r/acme/web/-/settings/access", {"kind": "account", "holder": "ana", "level": "god"}),
            ("/r/acme/web/-/settings/webhooks", {"title": "x", "url": "ftp://x", "event": "push"}),
            ("/r/acme/web/-/settings/webhooks", {"title": "x", "url": "http://127.0.0.1/", "event": "push"}),
            ("/admin/users/ana", {"badge": "golden", "quota": "1"}), ("/admin/users/ana", {"badge": "", "quota": "9" * 17}),
            ("/settings/delete", {"confirm": "not me"}), ("/r/acme/web/-/settings/delete", {"confirm": "acme"}),
            ("/settings", {"email": "no address"}), ("/r/acme/web/-/star", {"starred": "a\0b"}),
        ):  # fmt: skip
            answer = await root.post(path, fields)
            assert 400 <= answer.status < 500, (path, fields, answer.status)
            assert 'role="alert"' in answer.text or 'class="code"' in answer.text, (path, fields)
        nonsense = {"Content-Type": "application/x-www-form-urlencoded; charset=nonsense"}
        assert (await root.bare_post("/login", {"a": "b"}, **nonsense)).status == 400


async def test_files_are_kept_for_good_and_named_by_content(tmp_path: Path) -> None:
    async with landing(tmp_path) as here:
        await _filled(here)
        visitor = await here.visitor()
        page = (await visitor.get("/")).text
        for path in re.findall(r'(?:href|src)="(/static/[^"#]+)', page):
            answer = await visitor.get(path)
            assert answer.status == 200 and "immutable" in answer.headers["Cache-Control"]
        assert (await visitor.get("/favicon.ico")).headers["Location"].startswith("/static/")
