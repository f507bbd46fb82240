"""Routes about accounts, organizations, their members, teams and robots."""

from __future__ import annotations

from typing import Any

from naru.errors import Forbidden
from naru.hub.api import shapes
from naru.hub.api.account import EXPIRY, NUMBERED, PASSWORD, PROFILE, SIZE, identifier, paged
from naru.hub.api.fields import Anything, Field, Flag, Number, OrNull, Text
from naru.hub.api.routes import Call, Page, Route
from naru.hub.people import passwords
from naru.hub.people.accounts import BADGES, ORGANIZATION, USER
from naru.hub.people.permissions import ROLES
from naru.hub.services import lookups, people, site
from naru.oci.image import Json


async def create(call: Call) -> Json:
    """By nobody: signing up, if the hub lets; the first account of all, its admin, can always be made. By an admin: anybody's."""
    body = call.body
    if call.who.principal.account:
        await call.hub.read(call.who, site.check_admin)
    else:
        await _check_sign_up(call)
    hashed = await passwords.hash_password(body["password"])
    given = (body["name"], body.get("email", ""), hashed)
    if call.who.principal.account:
        made = await call.hub.do(call.who, people.create_account, *given, is_admin=body.get("is_admin", False))
    else:
        is_open = call.hub.sign_up
        made = await call.hub.do(call.who, site.sign_up, *given, body.get("full_name", ""), is_open=is_open)
    return shapes.full_account(made)


async def _check_sign_up(call: Call) -> None:
    """Raises Forbidden; Refusal TOOMANYREQUESTS."""
    if call.body.get("is_admin"):
        raise Forbidden("is_admin: is for admins to give")
    await call.hub.read(call.who, lookups.check_sign_up, is_open=call.hub.sign_up)
    call.hub.identities.check_sign_up(call.who.address)


async def list_accounts(call: Call) -> Page:
    query = call.query
    found = await call.hub.read(
        call.who, site.people, query["kind"], query.get("q", ""), query.get("after", ""), call.limit + 1
    )
    return _after(call, [(one.name, shapes.full_account(one)) for one in found])


def _after(call: Call, found: list[tuple[str, Json]]) -> Page:
    """A page of a list by name, of which one more than its size was read."""
    page = found[: call.limit]
    following = {"after": page[-1][0]} if len(found) > call.limit else None
    return Page([shown for _, shown in page], following=following)


async def show(call: Call) -> Json:
    return shapes.place(await call.hub.read(call.who, site.place, call.path["account"]))


async def update(call: Call) -> Json:
    return shapes.full_account(await call.hub.do(call.who, people.update_account, call.path["account"], call.body))


async def delete(call: Call) -> None:
    await call.hub.do(call.who, people.delete_account, call.path["account"])


async def set_password(call: Call) -> None:
    await call.hub.read(call.who, site.check_admin)
    hashed = await passwords.hash_password(call.body["password"])
    await call.hub.do(call.who, people.set_password, call.path["account"], hashed)


async def disable_totp(call: Call) -> None:
    await call.hub.read(call.who, site.check_admin)
    await call.hub.do(call.who, people.disable_totp, call.path["account"])


# organizations


async def organizations(call: Call) -> Page:
    return paged(call, await call.hub.read(call.who, lookups.organizations), shapes.membership)


async def create_organization(call: Call) -> Json:
    made = await call.hub.do(call.who, people.create_organization, call.body["name"], call.body.get("full_name", ""))
    return shapes.account(made)


async def members(call: Call) -> Page:
    after = call.query.get("after", "")
    found = await call.hub.read(call.who, people.members, call.path["organization"], after, call.limit + 1)
    return _after(call, [(one.name, {"account": shapes.account(one), "role": role}) for one, role in found])


async def set_member(call: Call) -> None:
    path = call.path
    await call.hub.do(call.who, people.set_member, path["organization"], path["member"], call.body["role"])


async def remove_member(call: Call) -> None:
    await call.hub.do(call.who, people.remove_member, call.path["organization"], call.path["member"])


async def teams(call: Call) -> Page:
    found = await call.hub.read(call.who, people.list_teams, call.path["organization"])
    return paged(call, found, lambda one: shapes.team(*one))


async def create_team(call: Call) -> Json:
    name, about = call.body["name"], call.body.get("about", "")
    return shapes.team(await call.hub.do(call.who, people.create_team, call.path["organization"], name, about), [])


async def delete_team(call: Call) -> None:
    await call.hub.do(call.who, people.delete_team, call.path["organization"], call.path["team"])


async def add_to_team(call: Call) -> None:
    await _set_team_member(call, True)


async def remove_from_team(call: Call) -> None:
    await _set_team_member(call, False)


async def _set_team_member(call: Call, is_member: bool) -> None:
    path = call.path
    service = people.set_team_member
    await call.hub.do(call.who, service, path["organization"], path["team"], path["member"], is_member=is_member)


# robots


async def robots(call: Call) -> Page:
    return paged(call, await call.hub.read(call.who, people.robots, call.path["account"]), shapes.robot)


async def create_robot(call: Call) -> Json:
    body, owner = call.body, call.path["account"]
    made, secret = await call.hub.do(
        call.who, people.create_robot, owner, body["name"], body["permissions"], body.get("expires_at")
    )
    return {**shapes.robot(made), "username": f"{owner}+{made.name}", "secret": secret}


async def update_robot(call: Call) -> None:
    disabled = call.body["is_disabled"]
    await call.hub.do(call.who, people.set_token_disabled, call.path["account"], identifier(call), disabled)


async def delete_robot(call: Call) -> None:
    await call.hub.do(call.who, people.delete_token, call.path["account"], identifier(call))


_NAME = Field(Text(100, 1), must=True)
_AFTER = {"after": Field(Text(100), "The name to go on after"), **SIZE}
_NEW: dict[str, Any] = {
    "name": _NAME, "password": Field(PASSWORD, must=True), "email": Field(Text(300)), "full_name": Field(Text(500)),
    "is_admin": Field(Flag(), "For admins to give"),
}  # fmt: skip
_ANYBODY = {
    **PROFILE, "badge": Field(Text(choices=BADGES), "For admins"), "is_admin": Field(Flag(), "For admins"),
    "is_disabled": Field(Flag(), "For admins"), "quota_bytes": Field(OrNull(Number()), "For admins; null: no limit"),
}  # fmt: skip
_PERMISSIONS = 'As [{"repository": "acme/*", "actions": ["pull", "push", "delete"]}]'
_NEW_ROBOT = {"name": _NAME, "permissions": Field(Anything("array"), _PERMISSIONS, must=True), "expires_at": EXPIRY}
_LISTED = {"kind": Field(Text(choices=(USER, ORGANIZATION)), default=USER), "q": Field(Text(100)), **_AFTER}
_A, _O = "/accounts/{account}", "/organizations/{organization}"

ROUTES = (
    Route("POST", "/accounts", create, "Sign up; or, as an admin, make somebody's account", shapes.FULL_ACCOUNT, 201, body=_NEW, login=False),
    Route("GET", "/accounts", list_accounts, "All accounts, for admins", shapes.FULL_ACCOUNT, query=_LISTED, pages="cursor"),
    Route("GET", _A, show, "A person or an organization", shapes.PLACE, login=False),
    Route("PATCH", _A, update, "Change a profile: one's own, an organization's, or for admins anybody's", shapes.FULL_ACCOUNT, body=_ANYBODY),
    Route("DELETE", _A, delete, "Delete an account that has no repositories", status=204),
    Route("PUT", f"{_A}/password", set_password, "Set somebody's password, for admins", status=204, body={"password": Field(PASSWORD, must=True)}),
    Route("DELETE", f"{_A}/totp", disable_totp, "Disable somebody's second factor, for admins", status=204),
    Route("GET", "/organizations", organizations, "Those one belongs to", shapes.MEMBERSHIP, query=NUMBERED, pages="numbered"),
    Route("POST", "/organizations", create_organization, "A new organization, which one owns", shapes.ACCOUNT, 201, body={"name": _NAME, "full_name": Field(Text(500))}),
    Route("GET", f"{_O}/members", members, "Who belongs to it", shapes.MEMBER, query=_AFTER, pages="cursor"),
    Route("PUT", f"{_O}/members/{{member}}", set_member, "Make somebody a member, or change their role", status=204, body={"role": Field(Text(choices=ROLES), must=True)}),
    Route("DELETE", f"{_O}/members/{{member}}", remove_member, "Remove a member; or leave", status=204),
    Route("GET", f"{_O}/teams", teams, "Its teams, and who is in them", shapes.TEAM, query=NUMBERED, pages="numbered"),
    Route("POST", f"{_O}/teams", create_team, "A new team", shapes.TEAM, 201, body={"name": _NAME, "about": Field(Text(500))}),
    Route("DELETE", f"{_O}/teams/{{team}}", delete_team, "Delete a team", status=204),
    Route("PUT", f"{_O}/teams/{{team}}/members/{{member}}", add_to_team, "Put a member into a team", status=204),
    Route("DELETE", f"{_O}/teams/{{team}}/members/{{member}}", remove_from_team, "Take a member out of a team", status=204),
    Route("GET", f"{_A}/robots", robots, "The robots of an organization, or one's own", shapes.ROBOT, query=NUMBERED, pages="numbered"),
    Route("POST", f"{_A}/robots", create_robot, "A new robot; its secret is shown once", shapes.NEW_ROBOT, 201, body=_NEW_ROBOT),
    Route("PATCH", f"{_A}/robots/{{id}}", update_robot, "Disable or enable a robot", status=204, body={"is_disabled": Field(Flag(), must=True)}),
    Route("DELETE", f"{_A}/robots/{{id}}", delete_robot, "Delete a robot", status=204),
)  # fmt: skip
