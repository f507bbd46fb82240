"""The site in a real browser: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import base64
import json
import os
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from landing import PASSWORD, Landing, landing
from playwright.async_api import Page, async_playwright, expect

from naru.hub.people import totp
from naru.oci.digest import Digest
from naru.oci.image import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST, Descriptor, Manifest

CHROMIUM = "/usr/bin/chromium"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.path.exists(CHROMIUM), reason="there is no Chromium"),
]

# What a screen reader, and people without a mouse, need most; run in each page that a test comes to.
CHECKS = """() => {
  const found = [];
  const name = (e) => (e.getAttribute('aria-label') || (e.getAttribute('aria-labelledby') || '').split(' ')
    .map((id) => document.getElementById(id)?.textContent || '').join('') || e.textContent || e.title || '').trim();
  for (const e of document.querySelectorAll('input:not([type=hidden]):not([hidden]), select, textarea'))
    if (!(e.labels && e.labels.length) && !e.getAttribute('aria-label')) found.push('no label: ' + e.outerHTML.slice(0, 100));
  for (const e of document.querySelectorAll('a, button, summary'))
    if (!name(e)) found.push('no name: ' + e.outerHTML.slice(0, 100));
  let last = 0;
  const headings = [...document.querySelectorAll('h1, h2, h3, h4, h5')].filter((e) => !e.closest('.readme'));
  for (const e of headings) {
    const level = Number(e.tagName[1]);
    if (level > last + 1) found.push('heading skips to ' + e.outerHTML.slice(0, 100));
    last = level;
  }
  if (headings.filter((e) => e.tagName === 'H1').length !== 1) found.push('not one h1');
  const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
  for (const id of new Set(ids)) if (ids.filter((one) => one === id).length > 1) found.push('id twice: ' + id);
  for (const e of document.querySelectorAll('[aria-labelledby], [aria-describedby]'))
    for (const id of ((e.getAttribute('aria-labelledby') || '') + ' ' + (e.getAttribute('aria-describedby') || '')).split(' '))
      if (id && !document.getElementById(id)) found.push('refers to nothing: ' + id);
  for (const e of document.querySelectorAll('img, svg[role=img]'))
    if (!e.getAttribute('alt') && !e.getAttribute('aria-label')) found.push('picture without text');
  if (!document.documentElement.lang) found.push('no language');
  if (document.querySelectorAll('main').length !== 1 || !document.title) found.push('no main, or no title');
  if (document.documentElement.scrollWidth > document.documentElement.clientWidth) found.push('wider than the window');
  for (const e of document.querySelectorAll('th:not([scope])')) if (!e.closest('.readme')) found.push('th without scope');
  return found;
}"""


class Site:
    """A page, and what went wrong in it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.troubles: list[str] = []
        page.on("console", lambda said: self.troubles.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("request", lambda sent: None if sent.url.startswith(url) else self.troubles.append(sent.url))

    async def go(self, path: str) -> None:
        await self.page.goto(self.url + path)
        await self.check()

    async def check(self) -> None:
        assert await self.page.evaluate(CHECKS) == [], self.page.url
        assert self.troubles == [], self.page.url


@asynccontextmanager
async def browsing(root: Path, *, width: int = 1280, scripts: bool = True) -> AsyncIterator[tuple[Landing, Site]]:
    async with landing(root) as here, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            size = {"width": width, "height": 800}
            context = await browser.new_context(viewport=size, java_script_enabled=scripts, locale="en-US")  # type: ignore[arg-type]
            context.set_default_timeout(15_000)
            yield here, Site(await context.new_page(), here.url)
        finally:
            await browser.close()


async def _push(url: str, name: str, tag: str, steps: list[tuple[str, bytes]], password: str, user: str) -> None:
    """As a client does: a token, blobs, the manifest."""
    basic = {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}
    async with aiohttp.ClientSession(url) as client:
        async with client.get(f"/token?service=naru-hub&scope=repository:{name}:pull,push", headers=basic) as answer:
            bearer = {"Authorization": f"Bearer {(await answer.json())['token']}"}

        async def blob(data: bytes, media_type: str) -> Descriptor:
            digest = Digest.of(data)
            async with client.post(f"/v2/{name}/blobs/uploads/?digest={digest}", data=data, headers=bearer) as answer:
                assert answer.status == 201, await answer.text()
            return Descriptor(media_type, digest, len(data))

        layers = [await blob(data, OCI_LAYER_GZIP) for _, data in steps]
        history = [{"created_by": line, "created": "2026-11-01T00:00:00Z"} for line, _ in steps]
        config = {"os": "linux", "architecture": "amd64", "config": {"Env": [f"V={tag}"]}, "history": history}
        raw = Manifest.build(await blob(json.dumps(config).encode(), OCI_CONFIG), tuple(layers)).raw
        sent = {**bearer, "Content-Type": OCI_MANIFEST}
        async with client.put(f"/v2/{name}/manifests/{tag}", data=raw, headers=sent) as answer:
            assert answer.status == 201, await answer.text()


async def test_from_signing_up_to_logging_in_with_a_code(tmp_path: Path) -> None:
    async with browsing(tmp_path) as (here, site):
        page = site.page
        await site.go("/")
        await page.locator("main").get_by_role("link", name="Sign up").click()
        await page.get_by_label("Username").fill("ada")
        await page.get_by_label("E-mail").fill("ada@example.org")
        await page.get_by_label("Password", exact=True).fill(PASSWORD)
        await page.get_by_label("Password, again").fill(PASSWORD)
        await site.check()
        await page.get_by_role("button", name="Sign up").click()
        await expect(page.get_by_role("heading", name="Your repositories")).to_be_visible()

        await site.go("/new/organization")
        await page.get_by_label("Name", exact=True).fill("acme")
        await page.get_by_role("button", name="Create").click()
        await expect(page.get_by_role("heading", name="acme")).to_be_visible()
        await site.check()

        base = ("/bin/sh -c #(nop) ADD file:1 in / ", b"base" * 900)
        await _push(
            here.url, "acme/web", "1.0", [base, ("RUN /bin/sh -c make v1 # buildkit", b"one" * 50)], PASSWORD, "ada"
        )
        await _push(
            here.url, "acme/web", "2.0", [base, ("RUN /bin/sh -c make v2 # buildkit", b"two" * 90)], PASSWORD, "ada"
        )

        await site.go("/explore")
        await page.get_by_label("Search").fill("acme")  # as one types, the list follows
        await page.wait_for_url("**q=acme**")
        await site.check()
        await page.get_by_role("link", name="acme/web").click()
        await expect(page.get_by_text("docker pull")).to_contain_text("/acme/web:2.0")
        await site.check()
        await page.get_by_role("button", name="Star").click()
        await expect(page.get_by_role("button", name="Starred")).to_have_attribute("aria-pressed", "true")
        assert page.url.endswith("/r/acme/web")  # only the button was exchanged

        await page.get_by_role("navigation", name="Repository").get_by_role("link", name="Tags").click()
        await site.check()
        await page.get_by_role("searchbox", name="Filter tags").fill("1.")
        await expect(page.get_by_role("row")).to_have_count(2)
        await page.get_by_role("link", name="1.0").click()
        await expect(page.get_by_text("RUN make v1", exact=True)).to_be_visible()
        await site.check()
        await page.get_by_role("link", name="Compare with another tag").click()
        await page.get_by_label("To", exact=True).fill("2.0")
        await page.get_by_role("button", name="Compare").click()
        await expect(
            page.get_by_role("cell", name="1.0").or_(page.get_by_role("columnheader", name="1.0"))
        ).not_to_have_count(0)
        await expect(page.get_by_text("1 layer")).to_be_visible()
        await site.check()

        await site.go("/r/acme/web/-/settings/readme")
        await page.get_by_label("Text, in Markdown").fill("# Hello\n\n**bold** <script>alert(1)</script>")
        await page.get_by_role("button", name="Preview").click()
        await expect(page.locator("#preview strong")).to_have_text("bold")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("heading", name="Hello")).to_be_visible()
        await site.check()

        await site.go("/settings/tokens")
        await page.get_by_label("Name").fill("laptop")
        await page.get_by_role("button", name="New token").click()
        assert (await page.locator(".once code").inner_text()).startswith("naru_pat_")
        await site.check()
        await _push(here.url, "ada/tool", "1", [("RUN x", b"x")], await _secret(here, site), "ada")

        await site.go("/settings/security")
        await page.get_by_role("link", name="Set up an app").click()
        await site.check()
        secret = await page.locator("input[name=totp_secret]").input_value()
        await page.get_by_label("Password", exact=True).fill(PASSWORD)
        await page.get_by_label("Code", exact=True).fill(totp.code(secret, time.time()))
        await page.get_by_role("button", name="Turn on").click()
        await expect(page.locator(".codes li")).to_have_count(10)
        await site.check()

        await page.get_by_label("Account menu").click()
        await page.get_by_role("button", name="Log out").click()
        await expect(page.get_by_role("link", name="Log in")).to_be_visible()
        await site.go("/settings")
        await page.get_by_label("Username or e-mail").fill("ada")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Log in").click()
        await site.check()
        await page.get_by_label("Code", exact=True).fill(totp.code(secret, time.time() + 30))
        await page.get_by_role("button", name="Log in").click()
        await expect(page.get_by_role("heading", name="Profile")).to_be_visible()
        assert page.url == f"{here.url}/settings"
        await site.check()


async def _secret(here: Landing, site: Site) -> str:
    """A token that may push: the form's other choice."""
    page = site.page
    await page.goto(f"{here.url}/settings/tokens")
    await page.get_by_label("Name").fill("pusher")
    await page.get_by_label("Write").check()
    await page.get_by_role("button", name="New token").click()
    return await page.locator(".once code").inner_text()


async def test_with_nothing_but_a_keyboard(tmp_path: Path) -> None:
    async with browsing(tmp_path) as (here, site):
        await _filled(here)
        page = site.page
        await site.go("/")
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.className") == "skip"
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.id") == "home-search"
        await page.keyboard.type("web")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/explore?q=web")
        for _ in range(60):
            await page.keyboard.press("Tab")
            if await page.evaluate("document.activeElement.getAttribute('href')") == "/r/acme/web":
                break
        outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/r/acme/web")
        await page.keyboard.press("/")
        await page.keyboard.type("no such thing")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("Nothing found.")).to_be_visible()
        assert site.troubles == []


async def _filled(here: Landing) -> None:
    from naru.hub.peers import replications
    from naru.hub.services import people, policies, repos

    await here.person("ana")
    await here.hub.do(await here.who("ana"), people.create_organization, "acme")
    digest = await here.push("acme/web", "v1", [("ADD x /", 3000), ("RUN /bin/sh -c true # buildkit", 10)])
    await here.attach("acme/web", digest, "application/spdx+json", "application/spdx+json")
    await here.push("acme/web", "v2", [("ADD x /", 3000), ("RUN /bin/sh -c false # buildkit", 20)])
    ana = await here.who("ana")
    await here.hub.do(ana, repos.update, "acme/web", {"is_private": False, "summary": "The storefront"})
    await here.hub.do(ana, repos.create_webhook, here.hub.outbound, "acme/web", "x", "https://example.org/", ["push"])
    await here.hub.do(ana, people.create_team, "acme", "core")
    permissions = [{"repository": "acme/*", "actions": ["pull"]}]
    await here.hub.do(ana, people.create_robot, "acme", "ci", permissions, None)
    await here.hub.do(ana, people.create_token, "laptop", "read", None)
    await here.hub.do(ana, people.create_organization, "copy")
    outbound, elsewhere = here.hub.outbound, "https://a-registry-with-quite-a-long-name.example.org:5000"
    await here.hub.do(ana, policies.set_upstream, outbound, "copy", elsewhere, username="ana", password="secret")
    await here.hub.do(
        ana, policies.create_replication, outbound, "nightly", "push", elsewhere, "acme/*", username="ana", tags="v*"
    )
    await here.hub.do(
        ana, policies.create_replication, outbound, "off", "pull", elsewhere, "x/*", destination="acme", trigger="daily"
    )
    await here.hub.do(ana, policies.enable_replication, "off", is_enabled=False)
    await here.hub.database.write(replications.note, 1, "acme/web: 2 tags copied, 0 were there", ana.now_s)
    await here.hub.do(ana, policies.add_scanner, outbound, "trivy", "https://scanner.example.org/trivy", "Basic secret")
    await here.hub.do(ana, policies.add_scanner, outbound, "clair", "https://scanner.example.org/clair")


PAGES = (
    "/", "/explore", "/r/acme/web", "/r/acme/web/-/tags", "/r/acme/web/-/tags/v1", "/r/acme/web/-/compare?from=v1&to=v2",
    "/r/acme/web/-/settings", "/r/acme/web/-/settings/readme", "/r/acme/web/-/settings/access", "/r/acme/web/-/settings/retention",
    "/r/acme/web/-/settings/webhooks", "/r/acme/web/-/settings/webhooks/1", "/r/acme/web/-/audit", "/u/acme", "/u/acme/members",
    "/u/acme/teams", "/u/acme/robots", "/u/acme/webhooks", "/u/acme/audit", "/u/acme/settings", "/u/ana", "/new", "/new/organization",
    "/settings", "/settings/security", "/settings/totp", "/settings/tokens", "/settings/sessions", "/admin/users", "/admin/users/ana",
    "/admin/storage", "/admin/mirrors", "/admin/replications", "/admin/scanners", "/u/copy/settings/mirror", "/u/acme/settings/mirror",
    "/admin/jobs", "/admin/audit", "/admin/settings",
)  # fmt: skip


@pytest.mark.parametrize("width", [1280, 390])
async def test_every_page_is_in_order(tmp_path: Path, width: int) -> None:
    """Labels, names, headings, no other host, no complaint in the console, nothing wider than the window; in both languages."""
    async with browsing(tmp_path, width=width) as (here, site):
        await _filled(here)
        visitor = await here.visitor("ana")
        await site.page.context.add_cookies(
            [{"name": "naru_session", "value": visitor.cookies["naru_session"], "url": here.url}]
        )
        for language in ("en", "ko"):
            await site.page.goto(f"{here.url}/language/{language}?next=/")
            for path in PAGES:
                await site.go(path)
                assert await site.page.get_attribute("html", "lang") == language


async def test_without_scripts_all_of_it_works(tmp_path: Path) -> None:
    async with browsing(tmp_path, scripts=False) as (here, site):
        await _filled(here)
        page = site.page
        await page.goto(f"{here.url}/login?next=/r/acme/web")
        await page.get_by_label("Username or e-mail").fill("ana")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Log in").click()
        await page.get_by_role("button", name="Star").click()
        await expect(page.get_by_role("button", name="Starred")).to_be_visible()
        await expect(page.get_by_role("button", name="Copy")).to_have_count(0)
        await page.goto(f"{here.url}/r/acme/web/-/tags")
        await page.get_by_role("searchbox", name="Filter tags").fill("v2")
        await page.get_by_role("button", name="Filter").click()
        await expect(page.get_by_role("row")).to_have_count(2)
        await page.get_by_role("button", name="Delete tag v2").click()
        await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        await expect(page.get_by_text("The tag is gone.")).to_be_visible()
        await page.goto(f"{here.url}/r/acme/web/-/settings/readme")
        await page.get_by_label("Text, in Markdown").fill("*seen*")
        await page.get_by_role("button", name="Preview").click()
        await expect(page.locator("#preview em")).to_have_text("seen")
        await expect(page.get_by_label("Text, in Markdown")).to_have_value("*seen*")
        await page.goto(f"{here.url}/u/copy/settings/mirror")
        await expect(page.get_by_label("Password or token there")).to_have_value("")
        await page.get_by_label("Username there").fill("bot")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_text("The mirror is set up.")).to_be_visible()
        await page.get_by_role("button", name="Stop mirroring").click()
        await page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        await expect(page.get_by_role("button", name="Make it a mirror")).to_be_visible()
        await page.goto(f"{here.url}/admin/replications")
        await page.get_by_role("button", name="Enable: off").click()
        await page.get_by_role("button", name="Delete nightly?").click()
        await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        await expect(page.get_by_role("heading", name="nightly")).to_have_count(0)
        await page.goto(f"{here.url}/admin/scanners")
        await page.get_by_role("button", name="Make default: clair").click()
        await expect(page.get_by_role("button", name="Not by default: clair")).to_be_visible()
        await page.get_by_label("Account menu").click()
        await page.get_by_role("button", name="Log out").click()
        await expect(page.get_by_role("link", name="Log in")).to_be_visible()


async def test_light_dark_and_what_the_system_says(tmp_path: Path) -> None:
    async with browsing(tmp_path) as (here, site):
        page = site.page
        colour = "getComputedStyle(document.body).backgroundColor"
        await page.emulate_media(color_scheme="light")
        await site.go("/")
        light = await page.evaluate(colour)
        await page.emulate_media(color_scheme="dark")
        dark = await page.evaluate(colour)
        assert light != dark
        await page.get_by_role("link", name="Light").click()
        await page.wait_for_load_state()
        assert await page.evaluate(colour) == light
        await page.emulate_media(color_scheme="light")
        await page.get_by_role("link", name="Dark").click()
        await page.wait_for_load_state()
        assert await page.evaluate(colour) == dark
        assert re.search(r"rgb", light) and here.url
