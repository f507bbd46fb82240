"""Routes about webhooks, of a repository or of a whole account: the same ones at two places."""

from __future__ import annotations

from collections.abc import Iterator

from naru.hub.api import workings
from naru.hub.api.account import NUMBERED, identifier, paged
from naru.hub.api.fields import Field, Flag, ListOf, Text
from naru.hub.api.repositories import REPOSITORY
from naru.hub.api.routes import Call, Page, Route
from naru.hub.peers.deliveries import EVENTS, FORMATS
from naru.hub.services import repos
from naru.oci.image import Json


async def webhooks(call: Call) -> Page:
    return paged(call, await call.hub.read(call.who, repos.webhooks_of, call.place), workings.webhook)


async def create(call: Call) -> Json:
    body = call.body
    made = await call.hub.do(
        call.who, repos.create_webhook, call.hub.outbound, call.place, body["name"], body["url"], body["events"],
        secret=body.get("secret", ""), format=body["format"],
    )  # fmt: skip
    return {**workings.webhook(made), "secret": made.secret}


async def show(call: Call) -> Json:
    found, _ = await call.hub.read(call.who, repos.webhook, call.place, identifier(call))
    return workings.webhook(found)


async def update(call: Call) -> None:
    await call.hub.do(call.who, repos.change_webhook, call.place, identifier(call), is_active=call.body["is_active"])


async def delete(call: Call) -> None:
    await call.hub.do(call.who, repos.delete_webhook, call.place, identifier(call))


async def ping(call: Call) -> None:
    await call.hub.do(call.who, repos.ping_webhook, call.place, identifier(call))


async def deliveries(call: Call) -> Page:
    _, found = await call.hub.read(call.who, repos.webhook, call.place, identifier(call))
    return paged(call, found, workings.delivery)


async def redeliver(call: Call) -> None:
    await call.hub.do(call.who, repos.redeliver, call.place, identifier(call), identifier(call, "delivery"))


_CREATE = {
    "name": Field(Text(100, 1), must=True),
    "url": Field(Text(2048, 1), must=True),
    "events": Field(ListOf(Text(choices=EVENTS), most=len(EVENTS), least=1), must=True),
    "secret": Field(Text(200), "What deliveries are signed with; one is made if there is none"),
    "format": Field(Text(choices=FORMATS), default="naru"),
}


def _at(where: str, whose: str) -> Iterator[Route]:
    one = f"{where}/webhooks/{{id}}"
    yield Route("GET", f"{where}/webhooks", webhooks, f"Webhooks of {whose}", workings.WEBHOOK, query=NUMBERED, pages="numbered")  # fmt: skip
    yield Route("POST", f"{where}/webhooks", create, "A new webhook; its secret is shown once", workings.NEW_WEBHOOK, 201, body=_CREATE)  # fmt: skip
    yield Route("GET", one, show, "A webhook", workings.WEBHOOK)
    yield Route("PATCH", one, update, "Stop it, or let it go on", status=204, body={"is_active": Field(Flag(), must=True)})  # fmt: skip
    yield Route("DELETE", one, delete, "Delete it, and what is known of its deliveries", status=204)
    yield Route("POST", f"{one}/ping", ping, "Deliver something to see whether it arrives", status=204)
    yield Route("GET", f"{one}/deliveries", deliveries, "Its last deliveries", workings.DELIVERY, query=NUMBERED, pages="numbered")  # fmt: skip
    yield Route("POST", f"{one}/deliveries/{{delivery}}", redeliver, "Deliver it once more", status=204)


ROUTES = (*_at(REPOSITORY, "a repository"), *_at("/accounts/{account}", "all repositories of an account"))
