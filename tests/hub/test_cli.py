"""`naru hub …` against a hub: the command in a process of its own, as people run it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from peer import PASSWORD, Peer, peering

from naru.cli.hubclient import address, moment, part, place_path, plain, repository_path
from naru.cli.hubrepos import tagged
from naru.cli.main import main
from naru.cli.verbs import SUBGROUPS, VERBS
from naru.errors import InvalidArgument
from naru.hub.catalog import repositories
from naru.hub.peers import scans
from naru.hub.people import accounts
from naru.hub.server import Settings
from naru.registry.database import Connection

SOURCE = Path(__file__).parent.parent.parent / "src"
RUN = f"import sys; sys.path.insert(0, {str(SOURCE)!r}); from naru.__main__ import main; main()"
NOT_LOADED = {
    "re",
    "json",
    "http",
    "http.client",
    "asyncio",
    "aiohttp",
    "ssl",
    "socket",
    "subprocess",
    "dataclasses",
    "typing",
}


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


class Client:
    """Someone at a terminal, with a configuration of their own."""

    def __init__(self, peer: Peer, folder: Path) -> None:
        self.peer, self.folder = peer, folder

    async def run(self, words: str, *more: str, stdin: str = "", code: str = RUN) -> Ended:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", "-c", code, "hub", *words.split(), *more,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "DOCKER_CONFIG": str(self.folder), "TZ": "UTC"},
        )  # fmt: skip
        out, err = await process.communicate(stdin.encode())
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())

    async def ok(self, words: str, *more: str, stdin: str = "") -> str:
        """What is printed, in success."""
        ended = await self.run(words, *more, stdin=stdin)
        assert ended.code == 0, ended
        return ended.out

    async def fails(self, words: str, *more: str, stdin: str = "") -> str:
        """What is said of why, without a traceback."""
        ended = await self.run(words, *more, stdin=stdin)
        assert ended.code == 1 and "Traceback" not in ended.err, ended
        return ended.err.strip()

    async def login(self, name: str, password: str = PASSWORD) -> None:
        await self.ok(f"login -u {name} --password-stdin {self.peer.url}", stdin=password)


@asynccontextmanager
async def clients(settings: Settings, folder: Path) -> AsyncIterator[tuple[Peer, Client, Client]]:
    """A hub, an admin of it who is logged in, and somebody who is not."""
    async with peering(settings) as peer:
        await peer.user("root", is_admin=True)
        root = Client(peer, folder / "root")
        await root.login("root")
        yield peer, root, Client(peer, folder / "ann")


async def test_beginning(hub_settings: Settings, tmp_path: Path) -> None:
    """A hub with nobody: an account, a login that keeps no password, and its end."""
    async with peering(hub_settings) as peer:
        ann = Client(peer, tmp_path / "ann")
        assert "which hub?" in await ann.fails("whoami")
        assert "naru hub login" in await ann.fails(f"whoami --hub {peer.url}")
        made = await ann.ok(
            f"account create --hub {peer.url} --email ann@example.com --password-stdin ann", stdin="long enough\n"
        )
        assert made == "ann\n"
        assert "incorrect" in await ann.fails(f"login -u ann --password-stdin {peer.address}", stdin="wrong")
        assert not (tmp_path / "ann" / "config.json").exists()
        await ann.login("ann", "long enough")
        kept = (tmp_path / "ann" / "config.json").read_text()
        assert "long enough" not in kept and json.loads(kept)["naruHub"] == peer.url
        assert (tmp_path / "ann" / "config.json").stat().st_mode & 0o777 == 0o600
        out = await ann.ok("whoami --format", "{{.Name}} {{.Scope}} {{.Admin}}")
        assert out == "ann delete yes\n"
        (name,) = (await ann.ok("token ls -q")).splitlines()
        assert name.startswith("naru hub ")
        bearer = await peer.token(_kept(kept, peer.address), "repository:ann/app:pull,push")
        assert bearer  # what is kept is good for docker, too
        assert "Logged out" in await ann.ok("logout")
        assert json.loads((tmp_path / "ann" / "config.json").read_text()) == {"auths": {}}
        assert (await peer.ask("GET", "/api/v1/account", _kept(kept, peer.address))).status == 401


def _kept(config: str, host: str) -> str:
    return "Basic " + str(json.loads(config)["auths"][host]["auth"])


async def test_a_token_as_the_password(hub_settings: Settings, tmp_path: Path) -> None:
    async with clients(hub_settings, tmp_path) as (_, root, ann):
        secret = (await root.ok("token create --scope read --expires 30d ci")).strip()
        await root.ok("token edit ci --disabled true")
        assert "disabled" in await ann.fails(f"login -u root --password-stdin {root.peer.url}", stdin=secret)
        await root.ok("token edit ci --disabled false")
        await ann.login("root", secret)
        assert (await ann.ok("whoami --format {{.Scope}}")) == "read\n"
        assert "scope" in await ann.fails("org create acme")
        assert "may still be good" not in (await ann.run("logout")).err
        await ann.login("root", secret)  # logging out has not ended what logging in has not made
        await root.ok("token rm ci")
        assert "unknown, expired or disabled" in await ann.fails("whoami")
        assert "not found" in await root.fails("token rm ci")
        for wrong in ("soon", "12d12", "2030-13-01"):
            assert (await root.run(f"token create --expires {wrong} x")).code == 125


async def test_repositories(hub_settings: Settings, tmp_path: Path) -> None:
    async with clients(hub_settings, tmp_path) as (peer, root, ann):
        assert await root.ok("repo create --private=false root/app --summary", "An app") == "root/app\n"
        await root.ok("repo create root/a/tags")
        assert await root.ok("repo ls -q root") == "root/a/tags\nroot/app\n"
        assert "not found" in await root.fails("repo ls nobody")
        (shown,) = json.loads(await root.ok("repo inspect root/a/tags"))
        assert (shown["name"], shown["is_private"]) == ("root/a/tags", True)
        await root.ok("repo edit root/app --category", "Security", "--category", "Web servers", "--immutable", "v*")
        assert await root.ok("repo inspect -f {{.immutable}}{{.categories}} root/app") == "v*[Security Web servers]\n"
        await root.ok("readme set root/app -", stdin="# 안녕\n")
        assert await root.ok("readme show root/app") == "# 안녕\n"
        assert "no-such-file" in await root.fails("readme set root/app no-such-file")
        await peer.push("root/app", "v1", "Basic " + _auth(root))
        await peer.push("root/app", "dev", "Basic " + _auth(root))
        table = await root.ok("tags ls root/app --sort name")
        assert [line.split()[0] for line in table.splitlines()] == ["TAG", "dev", "v1"]
        assert "immutable" in await root.fails("tags rm root/app:v1 root/app:dev")
        assert await root.ok("tags ls -q root/app") == "v1\n"
        assert "has no tag" in await root.fails("tags rm root/app")
        assert (
            await root.ok("tags inspect -f {{.media_type}} root/app:v1")
            == "application/vnd.oci.image.manifest.v1+json\n"
        )
        assert (await root.ok("pulls root/app --days 7 --tag v1")).startswith("DAY")
        extra = await peer.push("root/other", "x", "Basic " + _auth(root))
        await root.ok(f"tags rm root/other@{extra}")
        assert await root.ok("tags ls -q root/other") == ""
        await root.ok("repo rm root/other")
        await root.ok("star root/app")
        assert await root.ok("search --starred --format", "{{.Name}} {{.Stars}}") == "root/app 1\n"
        assert await ann.ok(f"search --hub {peer.address} -q app") == "root/app\n"
        assert json.loads(await root.ok("search --format json app"))["Summary"] == "An app"
        await root.ok("unstar root/app")
        rules = '[{"tags": "*", "keep_latest": 1}]'
        await root.ok("retention set --disabled root/app", stdin=rules)
        assert json.loads(await root.ok("retention get root/app"))["rules"] == json.loads(rules)
        assert "v1" in await root.ok("retention run --dry-run root/app")
        await root.ok("retention run root/app")
        assert "rules[0]" in await root.fails("retention set root/app", stdin='[{"tags": 1}]')
        assert "not JSON" in await root.fails("retention set root/app", stdin="{")
        assert "no scanner" in await root.fails("scan --start root/app:v1")
        assert (await root.ok("scan root/app:v1")).startswith("DIGEST")
        assert "not found" in await root.fails("scan --report root/app:v1")
        await peer.hub.database.write(_scan, "root/app", "v1")
        told = json.loads(await root.ok("scan --report root/app:v1"))
        assert (told["scanner"], told["report"], told["sbom"]) == ("trivy", None, None)
        assert await root.ok("repo rm root/a/tags") == "root/a/tags\n"
        assert "not found" in await root.fails("repo rm root/a/tags")
        assert "NAMESPACE/NAME" in await root.fails("repo rm app")


def _scan(c: Connection, name: str, tag: str) -> None:
    """Begun, and not ended: nobody is at that address."""
    scanner = scans.add_scanner(c, "trivy", "http://127.0.0.1:9", "", 1)
    found = repositories.get(c, name)
    ((digest,),) = c.rows("SELECT digest FROM tag WHERE repository = ? AND name = ?", found.id, tag)
    scans.start(c, found.id, name, digest, scanner.id, 1)


def _auth(client: Client) -> str:
    return str(json.loads((client.folder / "config.json").read_text())["auths"][client.peer.address]["auth"])


async def test_people(hub_settings: Settings, tmp_path: Path) -> None:
    async with clients(hub_settings, tmp_path) as (_, root, ann):
        await root.ok("admin account create --password-stdin --email ann@example.com ann", stdin="long enough")
        await ann.login("ann", "long enough")
        await ann.ok("account edit --about", "me & you", "--private", "false")
        await root.ok("org create --full-name Acme acme")
        await root.ok("member set acme ann editor")
        assert await ann.ok("member ls acme --format", "{{.Name}}={{.Role}}") == "ann=editor\nroot=owner\n"
        assert "acme" in await ann.ok("org ls -q")
        await root.ok("team create --about all acme crew")
        await root.ok("team add acme crew ann")
        assert await ann.ok("team ls acme --format", "{{.Name}}: {{.Members}}") == "crew: ann\n"
        await root.ok("repo create root/secret")
        for words in ("grant root/secret ann write", "grant root/secret ann none", "grant root/secret ann admin"):
            await root.ok(words)
        assert await root.ok("grants root/secret --format", "{{.Holder}} {{.Permission}}") == "ann admin\n"
        assert "must be one of" in await root.fails("grant root/secret ann all")
        ended = await root.run("robot create acme ci --permission acme/*=pull,push --expires 2999-01-31")
        assert "acme+ci" in ended.err and ended.out.startswith("naru_robot_")
        assert (
            await root.ok("robot ls acme --format", "{{.Permissions}} {{.Expires}}") == "acme/*=pull,push 2999-01-31\n"
        )
        await root.ok("robot edit acme ci --disabled true")
        assert await root.ok("robot ls acme --format {{.Disabled}}") == "yes\n"
        assert (await root.run("robot edit acme ci")).code == 125
        await root.ok("robot rm acme ci")
        await root.ok("team remove acme crew ann")
        await root.ok("team rm acme crew")
        await root.ok("member rm acme ann")
        assert "keeps an owner" in await root.fails("member rm acme root")
        await root.ok("admin account edit ann --disabled true --quota 1000000")
        assert "unknown, expired or disabled" in await ann.fails("whoami")
        assert (
            await root.ok("admin account ls --format", "{{.Name}} {{.Disabled}} {{.Email}}")
            == "ann yes ann@example.com\nroot no \n"
        )
        await root.ok("org rm acme")
        await root.ok("admin account edit ann --disabled false --reset-totp --password-stdin", stdin="another one")
        await ann.login("ann", "another one")
        assert await ann.ok("account sessions --format {{.Session}}") == ""
        await ann.ok("account sessions --end all")
        await root.ok("admin account rm ann")


async def test_webhooks_and_admins(hub_settings: Settings, tmp_path: Path) -> None:
    async with clients(hub_settings, tmp_path) as (peer, root, ann):
        number = (await root.ok("webhook create root http://127.0.0.1:9/ --name h --event push --event delete")).strip()
        assert (
            await root.ok("webhook ls root --format", "{{.ID}} {{.Name}} {{.Events}}") == f"{number} h push, delete\n"
        )
        await root.ok("webhook ping root h")
        delivery = (await root.ok("webhook deliveries root h --format {{.ID}}")).strip()
        await root.ok(f"webhook redeliver root {number} {delivery}")
        await root.ok("webhook edit root h --active false")
        assert await root.ok("webhook ls root --format {{.Active}}") == "no\n"
        await root.ok("webhook rm root h")
        assert "loopback" not in await root.ok("webhook ls root")
        digest = await peer.push("root/app", "v1", "Basic " + _auth(root))
        told = await root.ok(f"admin explain {digest}")
        assert told == f"{digest} is a manifest of root/app\n  tagged v1\n"
        assert "repositories" in await root.ok("admin storage")
        assert json.loads(await root.ok("admin storage -f json"))["tags"] == 1
        await root.ok("admin jobs")
        assert [line.split()[-3] for line in (await root.ok("audit root/app --limit 1")).splitlines()[1:]] == [
            "root/app"
        ]
        assert len((await root.ok("audit --limit 3")).splitlines()) == 4
        await root.ok("org create mirror")
        await root.ok("admin upstream set mirror http://127.0.0.1:9 --fresh 60")
        assert await root.ok("admin upstream ls --format", "{{.Namespace}} {{.Fresh}}") == "mirror 60s\n"
        await root.ok("admin upstream rm mirror")
        await root.ok("admin replication create r push http://127.0.0.1:9 root/* --tags v*")
        await root.ok("admin replication run r")
        assert await root.ok("admin replication edit r --enabled false") == "r\n"
        assert await root.ok("admin replication ls -q") == "r\n"
        await root.ok("admin replication rm r")
        await root.ok("admin scanner add s http://127.0.0.1:9")
        await root.ok("admin scanner default")
        assert await root.ok("admin scanner ls --format", "{{.Name}} {{.Default}}") == "s no\n"
        await root.ok("admin scanner rm s")
        await root.ok("account create --password-stdin ann", stdin="long enough")
        await ann.login("ann", "long enough")
        for words in ("admin storage", "admin account ls", "audit", "admin scanner ls"):
            assert "only admins" in await ann.fails(words)
        assert "not found" in await ann.fails("audit root/app")


async def test_it_is_quick_to_start(hub_settings: Settings, tmp_path: Path) -> None:
    """What is loaded is counted, for counts are the same on a busy machine."""
    counted = (
        f"import sys, os; sys.path.insert(0, {str(SOURCE)!r}); from naru.cli.main import main; code = main(sys.argv[1:]); "
        "sys.stdout.flush(); os.write(2, ' '.join(sys.modules).encode()); os._exit(code)"
    )
    async with clients(hub_settings, tmp_path) as (_, root, _ann):
        for words in ("repo ls", "whoami", "token ls", "audit", "search x"):
            ended = await root.run(words, code=counted)
            assert ended.code == 0, ended
            loaded = set(ended.err.split())
            assert not loaded & NOT_LOADED
            assert len(loaded) < 75


async def test_no_hub(tmp_path: Path) -> None:
    from aiohttp import web

    client = Client.__new__(Client)
    client.folder = tmp_path
    assert "cannot reach the hub at http://127.0.0.1:9" in await client.fails("whoami --hub 127.0.0.1:9")

    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<html>", status=502)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", page)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        where = f"http://127.0.0.1:{runner.addresses[0][1]}"
        assert "is no hub" in await client.fails(f"whoami --hub {where}")
    finally:
        await runner.cleanup()


async def test_no_longer_by_a_provider(hub_settings: Settings, tmp_path: Path) -> None:
    async with clients(hub_settings, tmp_path) as (peer, root, _):

        def subject(c: Connection) -> object:
            return c.rows("SELECT oidc_subject FROM account WHERE name = 'root'")[0][0]

        def link(c: Connection, password: str | None) -> None:
            accounts.update(c, accounts.get(c, "root").id, oidc_subject="https://id#1", password=password)

        await peer.hub.database.write(link, None)
        assert "no way in" in await root.fails("account unlink")
        assert await peer.hub.database.read(subject) == "https://id#1"
        await peer.hub.database.write(link, "hash")
        assert await root.ok("account unlink") == ""
        assert await peer.hub.database.read(subject) is None


async def test_what_others_wrote_commands_no_terminal(hub_settings: Settings, tmp_path: Path) -> None:
    """A hub of another version may let more through than ours does."""
    async with clients(hub_settings, tmp_path) as (peer, root, _):
        await root.ok("repo create root/app")

        def spoil(c: Connection) -> None:
            repositories.update(
                c, repositories.get(c, "root/app").id, 1, summary="\x1b[2Jtwo\nlines 다람쥐", is_private=False
            )

        await peer.hub.database.write(spoil)
        table = await root.ok("search")
        assert "\x1b" not in table and len(table.splitlines()) == 2 and "\ufffd[2Jtwo\ufffdlines 다람쥐" in table
        assert "\x1b" not in await root.ok("search --format", "{{.Summary}}")


# words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hub.example", "https://hub.example"), ("hub.example:5500/", "https://hub.example:5500"), ("localhost:1", "http://localhost:1"),
        ("127.0.0.1", "http://127.0.0.1"), ("[::1]:5500", "http://[::1]:5500"), ("http://hub.example", "http://hub.example"),
    ],
)  # fmt: skip
def test_addresses(text: str, expected: str) -> None:
    assert address(text) == expected


def test_words_that_make_no_sense() -> None:
    for text in ("", "ftp://x", "https://", "https://x/y", "https://me:pw@x"):
        with pytest.raises(InvalidArgument):
            address(text)
    for text in ("", "x", "/x", "x/", "../x", "x/.."):
        with pytest.raises(InvalidArgument):
            repository_path(text)
    for text in ("", ".", ".."):
        with pytest.raises(InvalidArgument):
            part(text)
    for text in ("d", "-1d", "1000000d", "now"):
        with pytest.raises(ValueError, match=r".+"):
            moment(text)


def test_paths() -> None:
    assert repository_path("acme/a/b") == "/repositories/acme/a%2Fb"
    assert place_path("acme") == "/accounts/acme"
    assert part("a b/?#%") == "a%20b%2F%3F%23%25"
    assert tagged("acme/app:v1") == ("/repositories/acme/app", "v1")
    assert tagged("acme/app") == ("/repositories/acme/app", "")
    assert moment("2030-01-31") == "2030-01-31T00:00:00Z"


def test_plain_text() -> None:
    assert plain("다람쥐 👩\u200d💻 a\u00a0b") == "다람쥐 👩\u200d💻 a\u00a0b"
    assert plain("a\x1b]0;x\x07\n\x9bb\u202ec") == "a\ufffd]0;x\ufffd\ufffd\ufffdb\ufffdc"
    assert plain("a\n\tb\r", "\n\t") == "a\n\tb\ufffd"


def test_groups_in_groups(capsys: pytest.CaptureFixture[str]) -> None:
    names = [name for name in VERBS if name.startswith("hub ")]
    assert {name.rpartition(" ")[0] for name in names} - {"hub"} | {"hub admin"} == set(SUBGROUPS)
    for argv in (["hub", "repo"], ["hub", "repo", "--help"], ["help", "hub", "repo"]):
        assert main(argv) == 0
        out = capsys.readouterr().out
        assert out.startswith("Usage:  naru hub repo COMMAND\n") and "  create   Create an empty repository\n" in out
    assert main(["hub", "admin"]) == 0
    assert "  account      Manage everybody's accounts\n" in capsys.readouterr().out
    assert main(["hub", "repo", "list", "--help"]) == 0
    assert "naru hub repo list, naru hub repo ls" in capsys.readouterr().out
    assert main(["hub", "repo", "buy"]) == 1
    assert "unknown command: naru hub repo buy" in capsys.readouterr().err
