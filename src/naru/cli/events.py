"""`naru events`."""

from __future__ import annotations

import time

from naru.cli.logs import moment
from naru.cli.session import filters
from naru.client.jsontext import encode
from naru.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from naru.cli.grammar import Args
    from naru.cli.session import Session

    Json = dict[str, Any]

HELP = {
    "events": """\
Usage:  naru events [OPTIONS]

Options:
  -f, --filter filter   Show those that match only (e.g. "type=container", "event=die")
      --format string   Format: 'json' or a Go template for each
      --since string    From this time on (2013-01-02T13:23:37Z), or this long ago (42m)
      --until string    Up to this time, then end
"""
}


def line(event: Json) -> str:
    """One event as Docker prints it."""
    nanoseconds = event.get("timeNano") or event["time"] * 10**9
    local = time.localtime(nanoseconds // 10**9)
    zone = time.strftime("%z", local)
    stamp = (
        time.strftime("%Y-%m-%dT%H:%M:%S", local)
        + f".{nanoseconds % 10**9:09d}"
        + ("Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}")
    )
    actor = event.get("Actor") or {}
    attributes = ", ".join(f"{key}={value}" for key, value in sorted((actor.get("Attributes") or {}).items()))
    return f"{stamp} {event['Type']} {event['Action']} {actor.get('ID', '')}" + (
        f" ({attributes})" if attributes else ""
    )


def events(session: Session, args: Args) -> int:
    from naru.cli.template_functions import TemplateError

    form = args.text("format")
    template = None
    if form not in ("", "json"):
        from naru.cli.template import Template

        try:
            template = Template(form.replace("\\t", "\t"))
        except TemplateError as error:
            raise InvalidArgument(f"Error parsing format: template: :1: {error}") from error
    found = session.client.system.events(
        since=moment(args, "since"), until=moment(args, "until"), filters=filters(args)
    )
    for event in found:
        if template is not None:
            view = {**event, "Time": event.get("time"), "TimeNano": event.get("timeNano"), "Scope": event.get("scope")}
            try:
                text = template.render(view)
            except TemplateError as error:
                raise InvalidArgument(f"template parsing error: template: {error}") from error
        else:
            text = encode(event, escape_html=True) if form == "json" else line(event)
        session.line(text)
        session.flush()
    return 0
