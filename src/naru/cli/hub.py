"""`naru hub`: login, logout, whoami, search, stars, and accounts to begin with."""

from __future__ import annotations

import sys
import time

from naru.cli.hubclient import (
    CONFIG_KEY,
    FORMAT,
    QUIET,
    HubClient,
    address,
    ago,
    give,
    hub,
    key,
    part,
    repository_path,
    show,
    usage,
    where,
)  # fmt: skip
from naru.cli.login import ask_credentials
from naru.cli.session import each
from naru.cli.table import shorten
from naru.client import auth
from naru.client import config as client_config
from naru.errors import InvalidArgument, NaruError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from naru.cli.grammar import Args
    from naru.cli.session import Session

    Json = dict[str, Any]

_PASSWORDS = (("-p, --password string", "Password"), ("--password-stdin", "Take the password from stdin"))
HELP = {
    "hub login": usage(
        "login [OPTIONS] [URL]", ("-u, --username string", "User name"),
        ("-p, --password string", "Password, or a token"), ("--password-stdin", "Take the password from stdin"),
        about="A password is changed for a token that is good for 90 days, and that is what is kept.",
    ),
    "hub logout": usage("logout [OPTIONS] [URL]"),
    "hub whoami": usage("whoami [OPTIONS]", FORMAT),
    "hub search": usage(
        "search [OPTIONS] [TERM]", FORMAT, QUIET, ("--badge string", "official or verified ones only"),
        ("--category string", "Those of this category only"), ("--limit int", "At most so many (default 25)"),
        ("--no-trunc", "Don't truncate output"), ("--platform string", "Those with images for it only, as linux/arm64"),
        ("--sort string", "best, pulls, stars, updated or name"), ("--starred", "Those one has starred only"),
    ),
    "hub star": usage("star [OPTIONS] REPOSITORY [REPOSITORY...]"),
    "hub unstar": usage("unstar [OPTIONS] REPOSITORY [REPOSITORY...]"),
    "hub account create": usage(
        "account create [OPTIONS] NAME", *_PASSWORDS, ("--email string", "E-mail address"), ("--full-name string", "Name in full"),
    ),
    "hub account edit": usage(
        "account edit [OPTIONS] [NAME]", ("--about string", "About oneself, or the organization"),
        ("--email string", "E-mail address"), ("--full-name string", "Name in full"),
        ("--private string", "Whether what is pushed first is private: true or false"),
    ),
    "hub account password": usage("account password [OPTIONS]"),
    "hub account totp": usage("account totp [OPTIONS]", ("--disable", "Do without again")),
    "hub account unlink": usage("account unlink [OPTIONS]"),
    "hub account sessions": usage("account sessions [OPTIONS]", FORMAT, ("--end list", "End this one, or all")),
}  # fmt: skip
_TOKEN_DAYS = 90
_TOKEN_NAME = "naru hub "


def hub_login(session: Session, args: Args) -> int:
    """A password is changed for a token, which is what is kept; a token is kept itself."""
    url = address(args.words[0]) if args.words else where(session, args)
    user, password = ask_credentials(session, args)
    given = {"username": user, "password": password, "serveraddress": auth.normal_server(url)}
    client = HubClient(session, url, given)
    me = client.ask("GET", "/account")
    if me["token"] is None:
        name = f"{_TOKEN_NAME}{time.strftime('%Y-%m-%d %H:%M:%S')} {time.monotonic_ns() % 1000:03}"
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + _TOKEN_DAYS * 86400))
        made = client.ask("POST", "/account/tokens", {"name": name, "scope": "delete", "expires_at": until})
        given["password"] = made["secret"]
    path = auth.store(session.config_dir, {**given, "username": me["name"]})
    client_config.save(session.config_dir, {**client_config.load(session.config_dir), CONFIG_KEY: client.url})
    if path:
        session.warn(f"WARNING! The token is stored unencrypted in '{path}'.")
    session.line(f"Logged in to {client.url} as {me['name']}")
    return 0


def hub_logout(session: Session, args: Args) -> int:
    """The token ends there, if it is one that logging in has made, and is forgotten here in any case."""
    url = address(args.words[0]) if args.words else where(session, args)
    server = auth.normal_server(url)
    client = HubClient(session, url, auth.find(session.config_dir, server))
    code = 0
    try:
        me = client.ask("GET", "/account")
        if any(
            one["id"] == me["token"] and one["name"].startswith(_TOKEN_NAME) for one in client.every("/account/tokens")
        ):
            client.ask("DELETE", f"/account/tokens/{me['token']}")
    except NaruError as error:
        session.warn(f"The token may still be good: {error}")
        code = 1
    config = client_config.load(session.config_dir)
    if config.pop(CONFIG_KEY, None) == url:
        client_config.save(session.config_dir, config)
    known = auth.erase(session.config_dir, server)
    session.line(f"Logged out of {url}" if known else f"Not logged in to {url}")
    return code


def hub_whoami(session: Session, args: Args) -> int:
    client = hub(session, args)
    me = client.ask("GET", "/account")
    return show(
        session, args, [me],
        ("Name", "NAME", key("name")), ("Hub", "HUB", lambda _: client.url), ("Scope", "SCOPE", key("scope")),
        ("Admin", "ADMIN", lambda one: "yes" if one["account"]["is_admin"] else "no"),
        ("Organizations", "ORGANIZATIONS", lambda one: ", ".join(each["name"] for each in one["organizations"])),
    )  # fmt: skip


def repository_columns(*, truncate: bool) -> tuple[Any, ...]:
    def summary(one: Json) -> str:
        return shorten(str(one["summary"]), 45) if truncate else str(one["summary"])

    return (
        ("Name", "NAME", key("name")), ("Summary", "SUMMARY", summary), ("Stars", "STARS", key("stars")),
        ("Pulls", "PULLS", key("pulls")), ("Badge", "BADGE", key("badge")),
        ("Private", "PRIVATE", lambda one: "yes" if one["is_private"] else "no"),
    )  # fmt: skip


def hub_search(session: Session, args: Args) -> int:
    limit = args.number("limit", 25)
    if not 1 <= limit <= 100:
        raise InvalidArgument("--limit: must be 1 to 100")
    found = hub(session, args).ask(
        "GET", "/repositories", q=" ".join(args.words), category=args.text("category"), platform=args.text("platform"),
        badge=args.text("badge"), starred=args.on("starred"), sort=args.text("sort"), page_size=limit,
    )  # fmt: skip
    return show(session, args, found["results"], *repository_columns(truncate=not args.on("no-trunc")))


def hub_star(session: Session, args: Args) -> int:
    client = hub(session, args)
    return each(session, args.words, lambda name: client.ask("PUT", f"{repository_path(name)}/star"))


def hub_unstar(session: Session, args: Args) -> int:
    client = hub(session, args)
    return each(session, args.words, lambda name: client.ask("DELETE", f"{repository_path(name)}/star"))


# accounts


def new_password(session: Session, args: Args) -> str:
    """Of the flags, or typed twice. Raises InvalidArgument."""
    from naru.cli.login import ask_password

    if args.on("password-stdin"):
        return sys.stdin.read().rstrip("\r\n")
    if args.has("password"):
        session.warn("WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
        return args.text("password")
    password = ask_password()
    if ask_password("Once more: ") != password:
        raise InvalidArgument("these are two passwords")
    return password


def hub_account_create(session: Session, args: Args) -> int:
    """Sign up; the first account of a hub is its admin. Whoever is logged in has to be an admin."""
    client = hub(session, args)
    body = {"name": args.words[0], "password": new_password(session, args)}
    made = client.ask("POST", "/accounts", give(body, args, email="email", full_name="full-name"))
    session.line(made["name"])
    return 0


def hub_account_edit(session: Session, args: Args) -> int:
    body = give({}, args, about="about", email="email", full_name="full-name")
    if args.has("private"):
        body["is_private"] = truth(args, "private")
    path = f"/accounts/{part(args.words[0])}" if args.words else "/account"
    session.line(hub(session, args).ask("PATCH", path, body)["name"])
    return 0


def truth(args: Args, flag: str) -> bool:
    """Raises UsageError."""
    value = args.text(flag)
    if value not in ("true", "false"):
        raise args.refuse(flag, value, "must be true or false")
    return value == "true"


def hub_account_password(session: Session, args: Args) -> int:
    from naru.cli.login import ask_password

    client = hub(session, args)
    old = ask_password("Old password: ")
    new = ask_password("New password: ")
    if ask_password("Once more: ") != new:
        raise InvalidArgument("these are two passwords")
    client.ask("PUT", "/account/password", {"old_password": old, "new_password": new})
    return 0


def hub_account_totp(session: Session, args: Args) -> int:
    """Set up an app for codes: its secret is shown, a code of it asked for, and recovery codes printed, once."""
    from naru.cli.login import ask_password

    client = hub(session, args)
    if args.on("disable"):
        client.ask("POST", "/account/totp/disable", {"password": ask_password()})
        return 0
    new = client.ask("POST", "/account/totp")
    session.warn(f"Secret for the app: {new['secret']}\n{new['uri']}")
    body = {"secret": new["secret"], "code": ask_password("Code it shows: "), "password": ask_password()}
    found = client.ask("PUT", "/account/totp", body)
    session.warn("Each of these is good once in place of a code. Keep them where the app is not:")
    session.out("".join([f"{code}\n" for code in found["recovery_codes"]]))
    return 0


def hub_account_unlink(session: Session, args: Args) -> int:
    hub(session, args).ask("DELETE", "/account/oidc")
    return 0


def hub_account_sessions(session: Session, args: Args) -> int:
    client, path = hub(session, args), "/account/sessions"
    if args.has("end"):
        return each(
            session,
            args.items("end"),
            lambda one: client.ask("DELETE", path if one == "all" else f"{path}/{part(one)}"),
        )
    return show(
        session, args, client.every(path),
        ("Session", "SESSION", key("key")), ("Agent", "BROWSER", lambda one: shorten(one["agent"], 40)),
        ("Address", "ADDRESS", key("address")), ("Created", "CREATED", lambda one: ago(one["created_at"])),
    )  # fmt: skip
