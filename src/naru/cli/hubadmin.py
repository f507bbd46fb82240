"""`naru hub audit`, and `naru hub admin`: accounts, storage, jobs, and the other servers that a hub works with."""

from __future__ import annotations

from naru.cli.hub import new_password, truth
from naru.cli.hubclient import FORMAT, QUIET, ago, give, hub, key, part, place_path, show, usage, yes_or_no
from naru.cli.session import each
from naru.cli.units import decimal_size
from naru.client import jsontext
from naru.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from naru.cli.grammar import Args
    from naru.cli.hubclient import HubClient
    from naru.cli.session import Session

    Json = dict[str, Any]

_NAMES = (("--email string", "E-mail address"), ("--full-name string", "Name in full"))
HELP = {
    "hub audit": usage("audit [OPTIONS] [REPOSITORY|ACCOUNT]", FORMAT, ("--limit int", "At most so many (default 50)")),
    "hub admin account ls": usage(
        "admin account ls [OPTIONS] [TEXT]", FORMAT, QUIET, ("--organizations", "Organizations, not people")
    ),
    "hub admin account create": usage(
        "admin account create [OPTIONS] NAME", ("--admin", "An admin of the site"), _NAMES[0],
        ("-p, --password string", "Password"), ("--password-stdin", "Take the password from stdin"),
    ),
    "hub admin account edit": usage(
        "admin account edit [OPTIONS] NAME", *_NAMES, ("--admin string", "Whether an admin of the site: true or false"),
        ("--badge string", "official, verified, or empty"), ("--disabled string", "Whether shut out: true or false"),
        ("--password-stdin", "Set the password, taken from stdin"), ("--quota string", "Bytes it may store, or none"),
        ("--reset-totp", "Disable the second factor of somebody who has lost it"),
    ),
    "hub admin account rm": usage("admin account rm [OPTIONS] NAME [NAME...]"),
    "hub admin storage": usage("admin storage [OPTIONS]", ("-f, --format string", "Format: 'json' or a table (default)")),
    "hub admin explain": usage("admin explain [OPTIONS] DIGEST"),
    "hub admin jobs": usage("admin jobs [OPTIONS]", FORMAT),
    "hub admin signing-key": usage("admin signing-key [OPTIONS]"),
    "hub admin upstream ls": usage("admin upstream ls [OPTIONS]", FORMAT, QUIET),
    "hub admin upstream set": usage(
        "admin upstream set [OPTIONS] NAMESPACE URL", ("--fresh int", "Seconds for which a tag is not looked at again (default 300)"),
        ("-p, --password string", "Password there"), ("-u, --username string", "User name there"),
    ),
    "hub admin upstream rm": usage("admin upstream rm [OPTIONS] NAMESPACE [NAMESPACE...]"),
    "hub admin replication ls": usage("admin replication ls [OPTIONS]", FORMAT, QUIET),
    "hub admin replication create": usage(
        "admin replication create [OPTIONS] NAME push|pull URL SOURCE", ("--destination string", "What replaces the first part of names"),
        ("-p, --password string", "Password there"), ("--tags string", "Pattern of tags (default is all)"),
        ("--trigger string", "manual, push or daily (default manual)"), ("-u, --username string", "User name there"),
        about="SOURCE is a pattern of names, as acme/*: of repositories of this hub (push), or of that registry (pull).",
    ),
    "hub admin replication rm": usage("admin replication rm [OPTIONS] NAME [NAME...]"),
    "hub admin replication edit": usage(
        "admin replication edit [OPTIONS] NAME", ("--enabled string", "Whether it goes on: true or false")
    ),
    "hub admin replication run": usage("admin replication run [OPTIONS] NAME"),
    "hub admin scanner ls": usage("admin scanner ls [OPTIONS]", FORMAT, QUIET),
    "hub admin scanner add": usage("admin scanner add [OPTIONS] NAME URL", ("--authorization string", "Value of that header")),
    "hub admin scanner rm": usage("admin scanner rm [OPTIONS] NAME [NAME...]"),
    "hub admin scanner default": usage(
        "admin scanner default [OPTIONS] [NAME]", about="Without a name, what is pushed is not scanned by itself."
    ),
}  # fmt: skip


def hub_audit(session: Session, args: Args) -> int:
    limit = args.number("limit", 50)
    if limit < 1:
        raise InvalidArgument("--limit: must be 1 or more")
    where = place_path(args.words[0]) if args.words else ""
    return show(
        session, args, _first(limit, hub(session, args), f"{where}/audit"),
        ("At", "AT", lambda one: one["at"][:19].replace("T", " ")), ("Actor", "ACTOR", key("actor")),
        ("Action", "ACTION", key("action")), ("Where", "WHERE", lambda one: one["repository"] or one["namespace"] or ""),
        ("Object", "OBJECT", key("object")), ("Address", "ADDRESS", key("address")),
    )  # fmt: skip


def _first(count: int, client: HubClient, path: str) -> Iterator[Json]:
    for number, one in enumerate(client.every(path), 1):
        yield one
        if number == count:
            return


def hub_admin_account_ls(session: Session, args: Args) -> int:
    kind = "organization" if args.on("organizations") else "user"
    return show(
        session, args, hub(session, args).every("/accounts", kind=kind, q="".join(args.words)),
        ("Name", "NAME", key("name")), ("FullName", "FULL NAME", key("full_name")), ("Email", "E-MAIL", key("email")),
        ("Badge", "BADGE", key("badge")), ("Admin", "ADMIN", lambda one: yes_or_no(one["is_admin"])),
        ("Disabled", "DISABLED", lambda one: yes_or_no(one["is_disabled"])), ("Created", "CREATED", lambda one: ago(one["created_at"])),
    )  # fmt: skip


def hub_admin_account_create(session: Session, args: Args) -> int:
    body = give({"name": args.words[0], "password": new_password(session, args)}, args, email="email")
    if args.on("admin"):
        body["is_admin"] = True
    session.line(hub(session, args).ask("POST", "/accounts", body)["name"])
    return 0


def hub_admin_account_edit(session: Session, args: Args) -> int:
    body = give({}, args, badge="badge", email="email", full_name="full-name")
    for field, flag in (("is_admin", "admin"), ("is_disabled", "disabled")):
        if args.has(flag):
            body[field] = truth(args, flag)
    if args.has("quota"):
        text = args.text("quota")
        if text != "none" and not text.isdecimal():
            raise args.refuse("quota", text, "must be a number of bytes, or none")
        body["quota_bytes"] = None if text == "none" else int(text)
    client, path = hub(session, args), f"/accounts/{part(args.words[0])}"
    if args.on("password-stdin"):
        client.ask("PUT", f"{path}/password", {"password": new_password(session, args)})
    if args.on("reset-totp"):
        client.ask("DELETE", f"{path}/totp")
    if body or not (args.on("password-stdin") or args.on("reset-totp")):
        client.ask("PATCH", path, body)
    session.line(args.words[0])
    return 0


def hub_admin_account_rm(session: Session, args: Args) -> int:
    client = hub(session, args)
    return each(session, args.words, lambda name: client.ask("DELETE", f"/accounts/{part(name)}"))


# storage and work


def hub_admin_storage(session: Session, args: Args) -> int:
    found = hub(session, args).ask("GET", "/admin/storage")
    if args.text("format"):
        session.line(jsontext.pretty(found))
        return 0
    rows = [{"what": name.replace("_", " "), "value": value} for name, value in found.items() if name != "largest"]
    rows += [{"what": f"blob bytes of {one['namespace']}", "value": one["bytes"]} for one in found["largest"]]

    def value(one: Json) -> str:
        if one["what"].startswith("blob bytes"):
            return decimal_size(one["value"])
        return "-" if one["value"] is None else str(one["value"])

    return show(session, args, rows, ("What", "WHAT", key("what")), ("Value", "VALUE", value))


def hub_admin_explain(session: Session, args: Args) -> int:
    found = hub(session, args).ask("GET", f"/admin/explain/{part(args.words[0])}")
    session.out("".join([f"{line}\n" for line in _told(found)]))
    return 0


def _told(found: Json) -> Iterator[str]:
    if not found["holdings"]:
        yield f"{found['digest']} is in no repository"
    size = "" if found["size_bytes"] is None else f", {found['size_bytes']} bytes"
    for one in found["holdings"]:
        yield f"{found['digest']} is a {one['kind']} of {one['repository']}{size}"
        for tag in one["tags"]:
            yield f"  tagged {tag}"
        for manifest in one["manifests"]:
            yield f"  referred to by {manifest}"
        if one["due_at"]:
            yield f"  {one['event']}; looked at again on {one['due_at'][:19].replace('T', ' ')}"


def hub_admin_jobs(session: Session, args: Args) -> int:
    return show(
        session, args, hub(session, args).ask("GET", "/admin/jobs")["waiting"],
        ("Kind", "KIND", key("kind")), ("Subject", "SUBJECT", key("subject")), ("Attempts", "ATTEMPTS", key("attempts")),
        ("Due", "DUE", lambda one: one["due_at"][:19].replace("T", " ")), ("Error", "ERROR", key("error")),
    )  # fmt: skip


# other servers


def hub_admin_signing_key(session: Session, args: Args) -> int:
    hub(session, args).ask("POST", "/admin/signing-key")
    return 0


_UPSTREAMS, _REPLICATIONS, _SCANNERS = "/admin/upstreams", "/admin/replications", "/admin/scanners"


def hub_admin_upstream_ls(session: Session, args: Args) -> int:
    columns = (
        ("Namespace", "NAMESPACE", key("namespace")),
        ("URL", "URL", key("url")),
        ("User", "USER", key("username")),
    )
    found = hub(session, args).every(_UPSTREAMS)
    return show(session, args, found, *columns, ("Fresh", "FRESH", lambda one: f"{one['fresh_s']}s"))


def hub_admin_upstream_set(session: Session, args: Args) -> int:
    namespace, url = args.words
    body: Json = give({"url": url}, args, username="username", password="password")
    if args.has("fresh"):
        body["fresh_s"] = args.number("fresh")
    hub(session, args).ask("PUT", f"{_UPSTREAMS}/{part(namespace)}", body)
    return 0


def hub_admin_upstream_rm(session: Session, args: Args) -> int:
    return _remove(session, args, _UPSTREAMS)


def _remove(session: Session, args: Args, path: str) -> int:
    client = hub(session, args)
    return each(session, args.words, lambda name: client.ask("DELETE", f"{path}/{part(name)}"))


def hub_admin_replication_ls(session: Session, args: Args) -> int:
    return show(
        session, args, hub(session, args).every(_REPLICATIONS),
        ("Name", "NAME", key("name")), ("Direction", "DIRECTION", key("direction")), ("URL", "URL", key("url")),
        ("Source", "SOURCE", key("source")), ("Trigger", "TRIGGER", key("trigger")),
        ("Enabled", "ENABLED", lambda one: yes_or_no(one["is_enabled"])), ("Ran", "RAN", lambda one: ago(one["ran_at"])),
        ("Result", "RESULT", key("result")),
    )  # fmt: skip


def hub_admin_replication_create(session: Session, args: Args) -> int:
    name, direction, url, source = args.words
    body = {"name": name, "direction": direction, "url": url, "source": source}
    flags = {field: field for field in ("username", "password", "destination", "tags", "trigger")}
    session.line(hub(session, args).ask("POST", _REPLICATIONS, give(body, args, **flags))["name"])
    return 0


def hub_admin_replication_edit(session: Session, args: Args) -> int:
    body = {"is_enabled": truth(args, "enabled")}
    session.line(hub(session, args).ask("PATCH", f"{_REPLICATIONS}/{part(args.words[0])}", body)["name"])
    return 0


def hub_admin_replication_rm(session: Session, args: Args) -> int:
    return _remove(session, args, _REPLICATIONS)


def hub_admin_replication_run(session: Session, args: Args) -> int:
    hub(session, args).ask("POST", f"{_REPLICATIONS}/{part(args.words[0])}/run")
    return 0


def hub_admin_scanner_ls(session: Session, args: Args) -> int:
    columns = (("Name", "NAME", key("name")), ("URL", "URL", key("url")))
    found = hub(session, args).every(_SCANNERS)
    return show(session, args, found, *columns, ("Default", "DEFAULT", lambda one: yes_or_no(one["is_default"])))


def hub_admin_scanner_add(session: Session, args: Args) -> int:
    name, url = args.words
    body = give({"name": name, "url": url}, args, authorization="authorization")
    session.line(hub(session, args).ask("POST", _SCANNERS, body)["name"])
    return 0


def hub_admin_scanner_rm(session: Session, args: Args) -> int:
    return _remove(session, args, _SCANNERS)


def hub_admin_scanner_default(session: Session, args: Args) -> int:
    """Without a name: what is pushed is not scanned by itself."""
    hub(session, args).ask("PUT", "/admin/default-scanner", {"name": "".join(args.words)})
    return 0
