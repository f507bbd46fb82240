"""`naru hub`: tokens, organizations, members, teams and robots."""

from __future__ import annotations

from naru.cli.hub import truth
from naru.cli.hubclient import FORMAT, QUIET, ago, give, hub, key, moment, numbered, part, show, usage, yes_or_no
from naru.cli.session import each
from naru.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from naru.cli.grammar import Args
    from naru.cli.session import Session

    Json = dict[str, Any]

_EXPIRES = ("--expires string", "When it ends, as 30d or 2030-01-31 (default is never)")
_PERMISSION = ("--permission list", "What it may, as acme/*=pull,push,delete")
_DISABLE = ("--disabled string", "Whether it is good for nothing for now: true or false")
HELP = {
    "hub token ls": usage("token ls [OPTIONS]", FORMAT, QUIET),
    "hub token create": usage(
        "token create [OPTIONS] NAME", _EXPIRES, ("--scope string", "public, read, write or delete (default read)")
    ),
    "hub token edit": usage("token edit [OPTIONS] TOKEN", _DISABLE),
    "hub token rm": usage("token rm [OPTIONS] TOKEN [TOKEN...]"),
    "hub org ls": usage("org ls [OPTIONS]", FORMAT, QUIET),
    "hub org create": usage("org create [OPTIONS] NAME", ("--full-name string", "Name in full")),
    "hub org rm": usage("org rm [OPTIONS] NAME [NAME...]"),
    "hub member ls": usage("member ls [OPTIONS] ORGANIZATION", FORMAT, QUIET),
    "hub member set": usage("member set [OPTIONS] ORGANIZATION MEMBER ROLE"),
    "hub member rm": usage("member rm [OPTIONS] ORGANIZATION MEMBER [MEMBER...]"),
    "hub team ls": usage("team ls [OPTIONS] ORGANIZATION", FORMAT, QUIET),
    "hub team create": usage("team create [OPTIONS] ORGANIZATION TEAM", ("--about string", "What it is for")),
    "hub team rm": usage("team rm [OPTIONS] ORGANIZATION TEAM [TEAM...]"),
    "hub team add": usage("team add [OPTIONS] ORGANIZATION TEAM MEMBER [MEMBER...]"),
    "hub team remove": usage("team remove [OPTIONS] ORGANIZATION TEAM MEMBER [MEMBER...]"),
    "hub robot ls": usage("robot ls [OPTIONS] ACCOUNT", FORMAT, QUIET),
    "hub robot create": usage("robot create [OPTIONS] ACCOUNT NAME", _EXPIRES, _PERMISSION),
    "hub robot edit": usage("robot edit [OPTIONS] ACCOUNT ROBOT", _DISABLE),
    "hub robot rm": usage("robot rm [OPTIONS] ACCOUNT ROBOT [ROBOT...]"),
}


def _expiry(args: Args) -> Json:
    """Raises UsageError."""
    (found,) = args.read("expires", moment) or ("",)
    return {"expires_at": found} if found else {}


_ENDS = ("Expires", "EXPIRES", lambda one: (one["expires_at"] or "Never")[:10])
_USED = ("Used", "LAST USED", lambda one: ago(one["used_at"]))
_DISABLED = ("Disabled", "DISABLED", lambda one: yes_or_no(one["is_disabled"]))


def hub_token_ls(session: Session, args: Args) -> int:
    columns = (("Name", "NAME", key("name")), ("ID", "ID", key("id")), ("Kind", "KIND", key("kind")))
    found = hub(session, args).every("/account/tokens")
    return show(session, args, found, *columns, ("Scope", "SCOPE", key("scope")), _ENDS, _USED, _DISABLED)


def hub_token_create(session: Session, args: Args) -> int:
    body = {"name": args.words[0], "scope": args.text("scope", "read"), **_expiry(args)}
    session.line(hub(session, args).ask("POST", "/account/tokens", body)["secret"])
    return 0


def hub_token_edit(session: Session, args: Args) -> int:
    return _disable(session, args, "/account/tokens")


def _disable(session: Session, args: Args, path: str) -> int:
    """The token or robot that the last argument names."""
    client, disabled = hub(session, args), truth(args, "disabled")
    ((name, number),) = numbered(client, path, args.words[-1:])
    client.ask("PATCH", f"{path}/{number}", {"is_disabled": disabled})
    session.line(name)
    return 0


def hub_token_rm(session: Session, args: Args) -> int:
    client = hub(session, args)
    numbers = dict(numbered(client, "/account/tokens", args.words))
    return each(session, numbers, lambda name: client.ask("DELETE", f"/account/tokens/{numbers[name]}"))


def hub_org_ls(session: Session, args: Args) -> int:
    columns = (
        ("Name", "NAME", key("name")),
        ("FullName", "FULL NAME", key("full_name")),
        ("Role", "ROLE", key("role")),
    )
    return show(session, args, hub(session, args).every("/organizations"), *columns)


def hub_org_create(session: Session, args: Args) -> int:
    body = give({"name": args.words[0]}, args, full_name="full-name")
    session.line(hub(session, args).ask("POST", "/organizations", body)["name"])
    return 0


def hub_org_rm(session: Session, args: Args) -> int:
    client = hub(session, args)
    return each(session, args.words, lambda name: client.ask("DELETE", f"/accounts/{part(name)}"))


def _organization(args: Args) -> str:
    return f"/organizations/{part(args.words[0])}"


def hub_member_ls(session: Session, args: Args) -> int:
    return show(
        session, args, hub(session, args).every(f"{_organization(args)}/members"),
        ("Name", "NAME", lambda one: one["account"]["name"]), ("FullName", "FULL NAME", lambda one: one["account"]["full_name"]),
        ("Role", "ROLE", key("role")),
    )  # fmt: skip


def hub_member_set(session: Session, args: Args) -> int:
    """ROLE is owner, editor or member."""
    _, member, role = args.words
    hub(session, args).ask("PUT", f"{_organization(args)}/members/{part(member)}", {"role": role})
    return 0


def hub_member_rm(session: Session, args: Args) -> int:
    client, path = hub(session, args), f"{_organization(args)}/members"
    return each(session, args.words[1:], lambda name: client.ask("DELETE", f"{path}/{part(name)}"))


def hub_team_ls(session: Session, args: Args) -> int:
    return show(
        session, args, hub(session, args).every(f"{_organization(args)}/teams"),
        ("Name", "NAME", key("name")), ("About", "ABOUT", key("about")),
        ("Members", "MEMBERS", lambda one: ", ".join(one["members"])),
    )  # fmt: skip


def hub_team_create(session: Session, args: Args) -> int:
    body = give({"name": args.words[1]}, args, about="about")
    session.line(hub(session, args).ask("POST", f"{_organization(args)}/teams", body)["name"])
    return 0


def hub_team_rm(session: Session, args: Args) -> int:
    client, path = hub(session, args), f"{_organization(args)}/teams"
    return each(session, args.words[1:], lambda name: client.ask("DELETE", f"{path}/{part(name)}"))


def hub_team_add(session: Session, args: Args) -> int:
    client, path = hub(session, args), f"{_organization(args)}/teams/{part(args.words[1])}/members"
    return each(session, args.words[2:], lambda name: client.ask("PUT", f"{path}/{part(name)}"))


def hub_team_remove(session: Session, args: Args) -> int:
    client, path = hub(session, args), f"{_organization(args)}/teams/{part(args.words[1])}/members"
    return each(session, args.words[2:], lambda name: client.ask("DELETE", f"{path}/{part(name)}"))


# robots


def hub_robot_ls(session: Session, args: Args) -> int:
    def permissions(one: Json) -> str:
        return "; ".join(f"{each['repository']}={','.join(each['actions'])}" for each in one["permissions"])

    found = hub(session, args).every(f"/accounts/{part(args.words[0])}/robots")
    columns = (("Name", "NAME", key("name")), ("ID", "ID", key("id")), ("Permissions", "PERMISSIONS", permissions))
    return show(session, args, found, *columns, _ENDS, _USED, _DISABLED)


def hub_robot_create(session: Session, args: Args) -> int:
    permissions = []
    for text in args.items("permission"):
        pattern, equals, actions = text.partition("=")
        if not equals:
            raise args.refuse("permission", text, "must be REPOSITORY=ACTION,...")
        permissions.append({"repository": pattern, "actions": actions.split(",")})
    if not permissions:
        raise InvalidArgument("a robot without a --permission can do nothing")
    account, name = args.words
    body = {"name": name, "permissions": permissions, **_expiry(args)}
    made = hub(session, args).ask("POST", f"/accounts/{part(account)}/robots", body)
    session.warn(f"Its user name is {made['username']}")
    session.line(made["secret"])
    return 0


def hub_robot_edit(session: Session, args: Args) -> int:
    return _disable(session, args, f"/accounts/{part(args.words[0])}/robots")


def hub_robot_rm(session: Session, args: Args) -> int:
    client, path = hub(session, args), f"/accounts/{part(args.words[0])}/robots"
    numbers = dict(numbered(client, path, args.words[1:]))
    return each(session, numbers, lambda name: client.ask("DELETE", f"{path}/{numbers[name]}"))
