"""`naru hub`: repositories, what is in them, who may, and the rules that are kept in them."""

from __future__ import annotations

import sys

from naru.cli.hub import repository_columns, truth
from naru.cli.hubclient import (
    FORMAT,
    QUIET,
    ago,
    give,
    hub,
    key,
    numbered,
    part,
    place_path,
    plain,
    repository_path,
    show,
    usage,
    yes_or_no,
)  # fmt: skip
from naru.cli.inspect import show as inspect
from naru.cli.session import each
from naru.cli.units import decimal_size
from naru.client import jsontext
from naru.errors import InvalidArgument, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from naru.cli.grammar import Args
    from naru.cli.session import Session

    Json = dict[str, Any]

_PRIVATE = ("--private string", "Whether only those who were let see it: true or false")
_SUMMARY = ("--summary string", "What it is, in a line")
HELP = {
    "hub repo ls": usage("repo ls [OPTIONS] [NAMESPACE]", FORMAT, QUIET, ("--no-trunc", "Don't truncate output")),
    "hub repo create": usage("repo create [OPTIONS] REPOSITORY", _PRIVATE, _SUMMARY),
    "hub repo inspect": usage(
        "repo inspect [OPTIONS] REPOSITORY [REPOSITORY...]", ("-f, --format string", "Format: 'json' or a Go template for each")
    ),
    "hub repo edit": usage(
        "repo edit [OPTIONS] REPOSITORY", _PRIVATE, _SUMMARY, ("--category list", "Categories it is of"),
        ("--immutable string", "Patterns of tags that can be neither moved nor deleted"),
    ),
    "hub repo rm": usage("repo rm [OPTIONS] REPOSITORY [REPOSITORY...]"),
    "hub tags ls": usage(
        "tags ls [OPTIONS] REPOSITORY", FORMAT, QUIET, ("--filter-name string", "Those with this text in their names only"),
        ("--sort string", "name, -name, pushed or -pushed"),
    ),
    "hub tags inspect": usage(
        "tags inspect [OPTIONS] REPOSITORY[:TAG|@DIGEST] [REPOSITORY[:TAG|@DIGEST]...]",
        ("-f, --format string", "Format: 'json' or a Go template for each"),
    ),
    "hub tags rm": usage("tags rm [OPTIONS] REPOSITORY:TAG|REPOSITORY@DIGEST [REPOSITORY:TAG|REPOSITORY@DIGEST...]"),
    "hub pulls": usage(
        "pulls [OPTIONS] REPOSITORY", ("--days int", "Of the last so many days (default 30)"), FORMAT, ("--tag string", "Of this tag only")
    ),
    "hub readme set": usage("readme set [OPTIONS] REPOSITORY [FILE]"),
    "hub readme show": usage("readme show [OPTIONS] REPOSITORY"),
    "hub grant": usage(
        "grant [OPTIONS] REPOSITORY HOLDER PERMISSION", ("--team", "HOLDER is a team of the repository's organization")
    ),
    "hub grants": usage("grants [OPTIONS] REPOSITORY", FORMAT),
    "hub webhook ls": usage("webhook ls [OPTIONS] REPOSITORY|ACCOUNT", FORMAT, QUIET),
    "hub webhook create": usage(
        "webhook create [OPTIONS] REPOSITORY|ACCOUNT URL", ("--event list", "What is told: push, delete, scan or replication (default push)"),
        ("--form string", "Form of what is sent: naru or docker-hub"), ("--name string", "Its name (default is the URL)"),
        ("--secret string", "What deliveries are signed with (default is one that is made)"),
    ),
    "hub webhook edit": usage(
        "webhook edit [OPTIONS] REPOSITORY|ACCOUNT WEBHOOK", ("--active string", "Whether it is told: true or false")
    ),
    "hub webhook rm": usage("webhook rm [OPTIONS] REPOSITORY|ACCOUNT WEBHOOK [WEBHOOK...]"),
    "hub webhook ping": usage("webhook ping [OPTIONS] REPOSITORY|ACCOUNT WEBHOOK"),
    "hub webhook deliveries": usage("webhook deliveries [OPTIONS] REPOSITORY|ACCOUNT WEBHOOK", FORMAT),
    "hub webhook redeliver": usage("webhook redeliver [OPTIONS] REPOSITORY|ACCOUNT WEBHOOK DELIVERY"),
    "hub retention get": usage("retention get [OPTIONS] REPOSITORY"),
    "hub retention set": usage(
        "retention set [OPTIONS] REPOSITORY [FILE]", ("--disabled", "Keep the rules, and do not apply them by themselves"),
        about='Rules are JSON, as [{"tags": "*-dev", "keep_latest": 10}, {"untagged_days": 30}], or what "retention get" prints.',
    ),
    "hub retention run": usage("retention run [OPTIONS] REPOSITORY", ("--dry-run", "Only show what would be deleted"), FORMAT),
    "hub scan": usage(
        "scan [OPTIONS] REPOSITORY[:TAG|@DIGEST]", FORMAT, ("--report", "Print the whole report of an image, and its SBOM, as JSON"),
        ("--start", "Have it scanned (again)"),
    ),
}  # fmt: skip


def hub_repo_ls(session: Session, args: Args) -> int:
    client = hub(session, args)
    if args.words:
        client.ask("GET", f"/accounts/{part(args.words[0])}")
    found = client.every("/repositories", namespace="".join(args.words), sort="name")
    return show(session, args, found, *repository_columns(truncate=not args.on("no-trunc")))


def _described(args: Args) -> Json:
    body = give({}, args, summary="summary")
    if args.has("private"):
        body["is_private"] = truth(args, "private")
    return body


def hub_repo_create(session: Session, args: Args) -> int:
    session.line(hub(session, args).ask("POST", "/repositories", {"name": args.words[0], **_described(args)})["name"])
    return 0


def hub_repo_inspect(session: Session, args: Args) -> int:
    client = hub(session, args)
    return inspect(session, args.words, lambda name: client.ask("GET", repository_path(name)), args.text("format"))


def hub_repo_edit(session: Session, args: Args) -> int:
    body = give(_described(args), args, immutable="immutable")
    if args.has("category"):
        body["categories"] = [one for one in args.items("category") if one]
    session.line(hub(session, args).ask("PATCH", repository_path(args.words[0]), body)["name"])
    return 0


def hub_repo_rm(session: Session, args: Args) -> int:
    client = hub(session, args)
    return each(session, args.words, lambda name: client.ask("DELETE", repository_path(name)))


# what is in them


def hub_tags_ls(session: Session, args: Args) -> int:
    path = f"{repository_path(args.words[0])}/tags"
    found = hub(session, args).every(path, q=args.text("filter-name"), sort=args.text("sort"))
    return show(
        session, args, found,
        ("Name", "TAG", key("name")), ("Digest", "DIGEST", lambda one: one["digest"].partition(":")[2][:12]),
        ("Platforms", "PLATFORMS", lambda one: ", ".join(one["platforms"])),
        ("Size", "SIZE", lambda one: decimal_size(one["size_bytes"], 3)), ("Pushed", "PUSHED", lambda one: ago(one["pushed_at"])),
        ("Pulled", "LAST PULL", lambda one: one["last_pull_day"] or "Never"), ("Severity", "SEVERITY", key("severity")),
    )  # fmt: skip


def tagged(text: str) -> tuple[str, str]:
    """`NAMESPACE/NAME:TAG` as the path of the repository, and the tag, "" if there is none; or `NAMESPACE/NAME@DIGEST` and the digest."""
    name, at, digest = text.partition("@")
    if at:
        return repository_path(name), digest
    name, colon, tag = text.rpartition(":")
    return (repository_path(name), tag) if colon and "/" not in tag else (repository_path(text), "")


def hub_tags_inspect(session: Session, args: Args) -> int:
    client = hub(session, args)

    def find(text: str) -> Any:
        path, reference = tagged(text)
        return client.ask("GET", f"{path}/manifests/{part(reference or 'latest')}")

    return inspect(session, args.words, find, args.text("format"))


def hub_pulls(session: Session, args: Args) -> int:
    path = f"{repository_path(args.words[0])}/pulls"
    found = hub(session, args).ask("GET", path, days=args.number("days", 30), tag=args.text("tag"))
    return show(session, args, found["days"], ("Day", "DAY", key("day")), ("Pulls", "PULLS", key("count")))


def hub_tags_rm(session: Session, args: Args) -> int:
    client = hub(session, args)

    def remove(text: str) -> None:
        path, tag = tagged(text)
        if not tag:
            raise InvalidArgument(f"{text}: has no tag")
        client.ask("DELETE", f"{path}/{'manifests' if ':' in tag else 'tags'}/{part(tag)}")

    return each(session, args.words, remove)


def _text(words: list[str], at: int) -> str:
    """What the file of this argument says; stdin, without one. Raises NotFound, InvalidArgument."""
    if len(words) <= at or words[at] == "-":
        return sys.stdin.read()
    try:
        with open(words[at], encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise NotFound(f"cannot read {words[at]}: {error.strerror}") from error
    except ValueError as error:
        raise InvalidArgument(f"{words[at]}: is no UTF-8 text") from error


def hub_readme_set(session: Session, args: Args) -> int:
    path = repository_path(args.words[0])
    hub(session, args).ask("PUT", f"{path}/readme", {"readme": _text(args.words, 1)})
    return 0


def hub_readme_show(session: Session, args: Args) -> int:
    text = hub(session, args).ask("GET", f"{repository_path(args.words[0])}/readme")["readme"]
    session.out(plain(text, "\n\t") if sys.stdout.isatty() else text)
    return 0


def hub_scan(session: Session, args: Args) -> int:
    path, tag = tagged(args.words[0])
    path = f"{path}/manifests/{part(tag or 'latest')}/scans"
    client = hub(session, args)
    if args.on("start"):
        for digest in client.ask("POST", path, {})["digests"]:
            session.line(digest)
        return 0
    if args.on("report"):
        session.line(jsontext.pretty(client.ask("GET", f"{path}/report")))
        return 0
    return show(
        session, args, client.every(path),
        ("Digest", "DIGEST", lambda one: one["digest"].partition(":")[2][:12]), ("Scanner", "SCANNER", key("scanner")),
        ("Status", "STATUS", key("status")), ("Severity", "SEVERITY", key("severity")),
        ("Counts", "COUNTS", lambda one: ", ".join(f"{count} {name}" for name, count in one["counts"].items())),
        ("Message", "MESSAGE", key("message")),
    )  # fmt: skip


# who may


def hub_grant(session: Session, args: Args) -> int:
    """PERMISSION is read, write or admin; none takes it away."""
    name, holder, permission = args.words
    path = f"{repository_path(name)}/grants/{'team' if args.on('team') else 'account'}/{part(holder)}"
    if permission == "none":
        hub(session, args).ask("DELETE", path)
    else:
        hub(session, args).ask("PUT", path, {"permission": permission})
    return 0


def hub_grants(session: Session, args: Args) -> int:
    found = hub(session, args).every(f"{repository_path(args.words[0])}/grants")
    columns = (("Holder", "HOLDER", key("holder")), ("Kind", "KIND", key("kind")))
    return show(session, args, found, *columns, ("Permission", "PERMISSION", key("permission")))


# webhooks


def _webhook(session: Session, args: Args) -> tuple[Any, str]:
    """The hub, and the path of the webhook of the second argument."""
    client, path = hub(session, args), f"{place_path(args.words[0])}/webhooks"
    ((_, number),) = numbered(client, path, args.words[1:2])
    return client, f"{path}/{number}"


def hub_webhook_ls(session: Session, args: Args) -> int:
    return show(
        session, args, hub(session, args).every(f"{place_path(args.words[0])}/webhooks"),
        ("ID", "ID", key("id")), ("Name", "NAME", key("name")), ("URL", "URL", key("url")),
        ("Events", "EVENTS", lambda one: ", ".join(one["events"])), ("Active", "ACTIVE", lambda one: yes_or_no(one["is_active"])),
    )  # fmt: skip


def hub_webhook_create(session: Session, args: Args) -> int:
    place, url = args.words
    body = {"name": args.text("name", url)[:100], "url": url, "events": args.items("event") or ["push"]}
    made = hub(session, args).ask(
        "POST", f"{place_path(place)}/webhooks", give(body, args, secret="secret", format="form")
    )
    session.line(str(made["id"]))
    if not args.has("secret"):
        session.warn(f"Deliveries are signed with {made['secret']}")
    return 0


def hub_webhook_edit(session: Session, args: Args) -> int:
    active = truth(args, "active")
    client, path = _webhook(session, args)
    client.ask("PATCH", path, {"is_active": active})
    return 0


def hub_webhook_rm(session: Session, args: Args) -> int:
    client, path = hub(session, args), f"{place_path(args.words[0])}/webhooks"
    numbers = dict(numbered(client, path, args.words[1:]))
    return each(session, numbers, lambda name: client.ask("DELETE", f"{path}/{numbers[name]}"))


def hub_webhook_ping(session: Session, args: Args) -> int:
    client, path = _webhook(session, args)
    client.ask("POST", f"{path}/ping")
    return 0


def hub_webhook_deliveries(session: Session, args: Args) -> int:
    client, path = _webhook(session, args)
    return show(
        session, args, client.every(f"{path}/deliveries"),
        ("ID", "ID", key("id")), ("Event", "EVENT", key("event")), ("Status", "STATUS", key("status")),
        ("Attempts", "ATTEMPTS", key("attempts")), ("Created", "CREATED", lambda one: ago(one["created_at"])),
        ("Answer", "ANSWER", lambda one: one["answer"].partition("\n")[0]),
    )  # fmt: skip


def hub_webhook_redeliver(session: Session, args: Args) -> int:
    client, path = _webhook(session, args)
    client.ask("POST", f"{path}/deliveries/{part(args.words[2])}")
    return 0


# retention


def hub_retention_get(session: Session, args: Args) -> int:
    found = hub(session, args).ask("GET", f"{repository_path(args.words[0])}/retention")
    session.line(jsontext.pretty(found))
    return 0


def hub_retention_set(session: Session, args: Args) -> int:
    """Of a file with a JSON list of rules, or with what `get` prints."""
    try:
        rules = jsontext.decode(_text(args.words, 1))
    except ValueError as error:
        raise InvalidArgument(f"rules: {error}") from error
    rules = rules.get("rules") if isinstance(rules, dict) else rules
    body = {"rules": rules, "is_enabled": not args.on("disabled")}
    hub(session, args).ask("PUT", f"{repository_path(args.words[0])}/retention", body)
    return 0


def hub_retention_run(session: Session, args: Args) -> int:
    client, path = hub(session, args), f"{repository_path(args.words[0])}/retention"
    if not args.on("dry-run"):
        client.ask("POST", f"{path}/run")
        return 0
    plan = client.ask("POST", f"{path}/plan", {})
    rows = [
        {"what": one["what"], "reason": one["reason"], "fate": name.partition("_")[0]}
        for name in ("deleted_tags", "deleted_manifests", "kept_tags", "kept_manifests")
        for one in plan[name]
    ]
    columns = (("What", "TAG OR MANIFEST", key("what")), ("Fate", "FATE", key("fate")))
    return show(session, args, rows, *columns, ("Reason", "REASON", key("reason")))
