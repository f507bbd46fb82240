"""Pages about the other servers that a hub works with: mirrors, replication, scanners."""

from __future__ import annotations

import time
from pathlib import Path

from landing import Landing, Visitor, landing

from naru.hub.catalog import repositories, upstreams
from naru.hub.peers import replications, scans
from naru.hub.people import accounts
from naru.hub.people.permissions import Level
from naru.hub.services import people, repos
from naru.registry.database import Connection

ELSEWHERE = "https://registry.example.org"
SECRET = "hunter2-never-shown"


async def _people(here: Landing) -> tuple[Visitor, Visitor]:
    """The site's admin, and the owner of the organisations copy and acme."""
    await here.person("root")
    owner = await here.person("owner")
    for name in ("copy", "acme"):
        await here.hub.do(owner, people.create_organization, name)
    return await here.visitor("root"), await here.visitor("owner")


async def test_a_mirror_is_set_up_changed_and_given_up(tmp_path: Path) -> None:
    async with landing(tmp_path) as here:
        root, owner = await _people(here)
        at = "/u/copy/settings/mirror"

        def upstream(c: Connection) -> upstreams.Upstream | None:
            return upstreams.find(c, accounts.get(c, "copy").id)

        assert at in (await root.get("/u/copy/settings")).text
        settings = (await owner.get("/u/copy/settings")).text
        assert at not in settings and 'class="side"' not in settings  # it is not theirs to set
        assert "No namespace is a mirror" in (await root.get("/admin/mirrors")).text
        wanted = {"url": "docker.io", "username": "bot", "password": SECRET, "fresh_s": "60"}
        answer = await root.post(at, wanted)
        assert (answer.status, answer.headers["Location"]) == (303, at)
        found = await here.hub.database.read(upstream)
        assert found is not None and (found.username, found.password, found.fresh_s) == ("bot", SECRET, 60)
        for path in (at, "/admin/mirrors"):
            shown = (await root.get(path)).text
            assert "https://registry-1.docker.io" in shown and "bot" in shown and SECRET not in shown
        assert at in (await root.get("/admin/mirrors")).text

        await root.post(at, wanted | {"password": "", "fresh_s": ""})  # as it was; and as it is with nobody's wish
        found = await here.hub.database.read(upstream)
        assert found is not None and (found.password, found.fresh_s) == (SECRET, upstreams.FRESH_S)
        await root.post(at, wanted | {"password": "", "url": ELSEWHERE})
        found = await here.hub.database.read(upstream)
        assert found is not None and (found.url, found.password) == (ELSEWHERE, "")  # it is not told to another

        answer = await root.post(at, {"url": "https://x/y", "username": "<b>", "password": SECRET})
        assert answer.status == 400 and "&lt;b&gt;" in answer.text and SECRET not in answer.text
        assert (await root.post(at, {"action": "remove"})).status == 303
        assert await here.hub.database.read(upstream) is None
        assert (await root.post(at, {"action": "remove"})).status == 404
        assert "docker.io" in (await root.get("/u/acme/settings/mirror")).text


async def test_a_persons_namespace_may_be_a_mirror_too(tmp_path: Path) -> None:
    async with landing(tmp_path) as here:
        root, owner = await _people(here)
        assert (await root.post("/u/owner/settings/mirror", {"url": ELSEWHERE})).status == 303
        shown = (await root.get("/u/owner/settings/mirror")).text
        assert ELSEWHERE in shown and 'href="/u/owner/settings"' not in shown  # there is no such page of a person
        assert (await owner.get("/u/owner/settings/mirror")).status == 403


RULE = {"name": "to <there> / & back", "direction": "push", "trigger": "daily", "url": ELSEWHERE, "source": "acme/*"}


async def test_replication_rules_from_beginning_to_end(tmp_path: Path) -> None:
    async with landing(tmp_path) as here:
        root, _ = await _people(here)
        at, name = "/admin/replications", RULE["name"]
        more = {"username": "bot", "password": SECRET, "tags": "v*"}
        assert (await root.post(at, RULE | more)).status == 303
        rule = await here.hub.database.read(replications.get, name)
        assert (rule.source, rule.tags, rule.trigger, rule.password) == ("acme/*", "v*", "daily", SECRET)
        shown = (await root.get(at)).text
        assert (
            "to &lt;there&gt; / &amp; back" in shown and "as bot" in shown and "Never" in shown and SECRET not in shown
        )

        answer = await root.post(at, RULE | more | {"source": "acme/other"})
        assert answer.status == 409 and 'value="acme/other"' in answer.text and SECRET not in answer.text
        assert answer.text.count('role="alert"') == 1
        await here.hub.database.write(replications.note, rule.id, "acme/web: <3 tags copied", time.time())
        assert "acme/web: &lt;3 tags copied" in (await root.get(at)).text

        assert (await root.post(f"{at}/change", {"rule": name, "action": "disable"})).status == 303
        assert not (await here.hub.database.read(replications.get, name)).is_enabled
        assert "Disabled" in (await root.get(at)).text
        assert (await root.post(f"{at}/change", {"rule": name, "action": "run"})).status == 303
        assert (await root.post(f"{at}/change", {"rule": name, "action": "enable"})).status == 303
        assert (await here.hub.database.read(replications.get, name)).is_enabled
        assert "replication.start" in (await root.get("/admin/audit")).text
        assert (await root.post(f"{at}/change", {"rule": name, "action": "delete"})).status == 303
        assert "There are no rules" in (await root.get(at)).text
        assert (await root.post(f"{at}/change", {"rule": name, "action": "run"})).status == 404


async def test_results_are_told_in_korean(tmp_path: Path) -> None:
    async with landing(tmp_path) as here:
        root, _ = await _people(here)
        await root.post("/admin/replications", RULE)
        result = "acme/web: 3 tags copied, 1 were there, 1 failed: repository acme/web: not found"
        await here.hub.database.write(replications.note, 1, result, time.time())
        shown = (await root.get("/admin/replications", **{"Accept-Language": "ko"})).text
        assert "acme/web: 태그 3개 복사, 1개는 이미 있음, 1개 실패: 저장소 acme/web을(를) 찾을 수 없습니다." in shown


async def test_scanners_and_the_button_that_asks_them(tmp_path: Path) -> None:
    async with landing(tmp_path) as here:
        root, owner = await _people(here)
        digest = await here.push("acme/web", "v1", [("RUN x", 10)], by="owner")
        who = await here.who("owner")
        reader = await here.person("reader")
        await here.hub.do(who, repos.grant, "acme/web", "account", reader.principal.name, Level.READ)
        at, tag, manifest = "/admin/scanners", "/r/acme/web/-/tags/v1", f"/r/acme/web/-/manifests/{digest}"
        assert "Scan now" not in (await owner.get(tag)).text

        assert (await root.post(at, {"name": "trivy", "url": ELSEWHERE, "authorization": SECRET})).status == 303
        assert (await root.post(at, {"name": "a/b", "url": ELSEWHERE})).status == 303
        shown = (await root.get(at)).text
        assert SECRET not in shown and shown.count("badge-verified") == 1 and "no default scanner" not in shown
        answer = await root.post(at, {"name": "trivy", "url": ELSEWHERE, "authorization": SECRET})
        assert answer.status == 409 and SECRET not in answer.text and answer.text.count('role="alert"') == 1

        for path in (tag, manifest):
            assert "Scan now" in (await owner.get(path)).text
            assert "Scan now" not in (await (await here.visitor("reader")).get(path)).text
            answer = await owner.post(f"{path}/scan", {})
            assert (answer.status, answer.headers["Location"]) == (303, path)
        repository = await here.hub.database.read(repositories.get, "acme/web")
        scan = await here.hub.database.read(scans.find, repository.id, digest)
        assert scan is not None and scan.scanner == "trivy"

        assert (await root.post(f"{at}/change", {"scanner": "a/b", "action": "default"})).status == 303
        default = await here.hub.database.read(scans.default_scanner)
        assert default is not None and default.name == "a/b"
        assert (await root.post(f"{at}/change", {"scanner": "a/b", "action": "none"})).status == 303
        assert await here.hub.database.read(scans.default_scanner) is None
        assert "no default scanner" in (await root.get(at)).text
        assert "Scan now" not in (await owner.get(tag)).text
        for name in ("trivy", "a/b"):
            assert (await root.post(f"{at}/change", {"scanner": name, "action": "remove"})).status == 303
        assert "There are no scanners" in (await root.get(at)).text
        assert (await root.post(f"{at}/change", {"scanner": "trivy", "action": "default"})).status == 404
