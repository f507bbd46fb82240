"""`naru search`."""

from __future__ import annotations

from naru.cli.listing import FORMAT_HELP, Columns, render
from naru.cli.session import filters
from naru.cli.table import shorten

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from naru.cli.grammar import Args
    from naru.cli.session import Session

HELP = {
    "search": f"""\
Usage:  naru search [OPTIONS] TERM

Options:
  -f, --filter filter   Show those that match only (e.g. "stars=3", "is-official=true")
      --format string   {FORMAT_HELP}
      --limit int       At most so many
      --no-trunc        Don't truncate output
"""
}
_HEADERS = {"Name": "NAME", "Description": "DESCRIPTION", "StarCount": "STARS", "IsOfficial": "OFFICIAL"}


def search(session: Session, args: Args) -> int:
    from naru.cli.transfer import credentials

    (term,) = args.words
    found = session.client.images.search(
        term, limit=args.number("limit"), filters=filters(args), auth=credentials(session, term)
    )
    found.sort(key=lambda result: -int(result.get("star_count") or 0))
    truncate = not args.on("no-trunc")

    def description(result: dict[str, Any]) -> str:
        text = str(result.get("description") or "").replace("\n", " ").replace("\r", " ")
        return shorten(text, 45) if truncate else text

    fields: dict[str, Any] = {
        "Name": lambda r: r["name"],
        "Description": description,
        "StarCount": lambda r: str(r.get("star_count", 0)),
        "IsOfficial": lambda r: "[OK]" if r.get("is_official") else "",
    }
    session.out(render(found, Columns(fields, _HEADERS, tuple(_HEADERS), "searchContext"), args.text("format")))
    return 0
