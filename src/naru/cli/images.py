"""`naru images` and `naru history`."""

from __future__ import annotations

import time

from naru.cli.listing import FORMAT_HELP, Columns, render
from naru.cli.ps import go_time
from naru.cli.session import filters
from naru.cli.table import shorten
from naru.cli.units import decimal_size, human_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from naru.cli.grammar import Args
    from naru.cli.session import Session

    Json = dict[str, Any]

HELP = {
    "images": f"""\
Usage:  naru images [OPTIONS] [REPOSITORY[:TAG]]

Options:
  -a, --all             Show all images (default hides intermediate images)
      --digests         Show digests
  -f, --filter filter   Show those that match only (e.g. "dangling=true", "reference=alpine*")
      --format string   {FORMAT_HELP}
      --no-trunc        Don't truncate output
  -q, --quiet           Only show image IDs
""",
    "history": f"""\
Usage:  naru history [OPTIONS] IMAGE

Options:
      --format string     {FORMAT_HELP}
  -H, --human             Print sizes and dates in human readable format (default true)
      --no-trunc          Don't truncate output
      --platform string   Platform, if the image has several
  -q, --quiet             Only show image IDs
""",
}
NONE = "<none>"

HEADERS = {
    "ID": "IMAGE ID", "Repository": "REPOSITORY", "Tag": "TAG", "Digest": "DIGEST", "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT", "Size": "SIZE", "Containers": "CONTAINERS", "VirtualSize": "SIZE",
    "SharedSize": "SHARED SIZE", "UniqueSize": "UNIQUE SIZE",
}  # fmt: skip


def short_id(identifier: str) -> str:
    return identifier.removeprefix("sha256:")[:12]


def _name(reference: str, separator: str) -> tuple[str, str]:
    name, found, rest = reference.rpartition(separator)
    return (name, rest) if found and "/" not in rest else (reference, NONE)


def rows(images: list[Json], *, digests: bool) -> Iterator[Json]:
    """A record for every name of every image: the image with `repository`, `tag` and `digest`."""
    for image in images:
        tags = [_name(tag, ":") for tag in image.get("RepoTags") or [] if tag != f"{NONE}:{NONE}"]
        by_name = [_name(digest, "@") for digest in image.get("RepoDigests") or [] if digest != f"{NONE}@{NONE}"]
        if not tags and not by_name:
            yield {**image, "repository": NONE, "tag": NONE, "digest": NONE}
        if not digests:
            for repository, tag in tags:
                yield {**image, "repository": repository, "tag": tag, "digest": NONE}
        else:
            for repository, tag in tags:
                found = [digest for name, digest in by_name if name == repository] or [NONE]
                for digest in found:
                    yield {**image, "repository": repository, "tag": tag, "digest": digest}
        named = {repository for repository, _ in tags} if digests or tags else set()
        for repository, digest in by_name:
            if repository not in named and (digests or not tags):
                yield {**image, "repository": repository, "tag": NONE, "digest": digest if digests else NONE}


def _optional_size(image: Json, key: str) -> str:
    return "N/A" if image.get(key, -1) == -1 else decimal_size(image[key])


def _unique_size(image: Json) -> str:
    return "N/A" if image.get("SharedSize", -1) == -1 else decimal_size(image["Size"] - image["SharedSize"])


def columns(*, now_s: float, truncate: bool, default: tuple[str, ...]) -> Columns:
    fields: dict[str, Any] = {
        "ID": lambda i: short_id(i["Id"]) if truncate else i["Id"],
        "Repository": lambda i: i["repository"],
        "Tag": lambda i: i["tag"],
        "Digest": lambda i: i["digest"],
        "CreatedSince": lambda i: human_duration(now_s - i["Created"]) + " ago" if i["Created"] > 0 else "N/A",
        "CreatedAt": lambda i: go_time(i["Created"]),
        "Size": lambda i: decimal_size(i["Size"], 3),
        "Containers": lambda i: "N/A" if i.get("Containers", -1) == -1 else str(i["Containers"]),
        "VirtualSize": lambda i: decimal_size(i["Size"]),
        "SharedSize": lambda i: _optional_size(i, "SharedSize"),
        "UniqueSize": _unique_size,
    }
    return Columns(fields, HEADERS, default, "imageContext")


def images(session: Session, args: Args) -> int:
    digests, truncate, form = args.on("digests"), not args.on("no-trunc"), args.text("format")
    wanted = filters(args)
    if args.words:
        wanted.setdefault("reference", []).append(args.words[0])
    if not form and not args.on("quiet"):
        form = str(session.config().get("imagesFormat") or "")
    found = session.client.images.list(all=args.on("all"), filters=wanted)
    records = list(rows(found, digests=digests or ".Digest" in form))
    if args.on("quiet") and (not form or form.startswith("table")):
        session.out("".join([(short_id(i["Id"]) if truncate else i["Id"]) + "\n" for i in records]))
        return 0
    default = ("Repository", "Tag", *(("Digest",) if digests else ()), "ID", "CreatedSince", "Size")
    session.out(render(records, columns(now_s=time.time(), truncate=truncate, default=default), form))
    return 0


_HISTORY_HEADERS = {
    "ID": "IMAGE", "CreatedSince": "CREATED", "CreatedAt": "CREATED AT", "CreatedBy": "CREATED BY", "Size": "SIZE", "Comment": "COMMENT",
}  # fmt: skip


def history(session: Session, args: Args) -> int:
    truncate, human, now_s = not args.on("no-trunc"), args.on("human"), time.time()
    found = session.client.images.history(args.words[0], platform=args.text("platform"))

    def identifier(layer: Json) -> str:
        return short_id(layer["Id"]) if truncate and layer["Id"] != "<missing>" else str(layer["Id"])

    def created_by(layer: Json) -> str:
        text = str(layer.get("CreatedBy") or "").replace("\t", " ")
        return shorten(text, 45) if truncate else text

    def created_at(layer: Json) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(layer["Created"])) + _zone(layer["Created"])

    def since(layer: Json) -> str:
        return human_duration(now_s - layer["Created"]) + " ago" if layer["Created"] > 0 else "N/A"

    fields: dict[str, Any] = {
        "ID": identifier,
        "CreatedSince": since,
        "CreatedAt": created_at,
        "CreatedBy": created_by,
        "Size": lambda layer: decimal_size(layer["Size"], 3) if human else str(layer["Size"]),
        "Comment": lambda layer: shorten(layer.get("Comment") or "", 45) if truncate else layer.get("Comment") or "",
    }
    if args.on("quiet"):
        session.out("".join([identifier(layer) + "\n" for layer in found]))
        return 0
    default = ("ID", "CreatedSince" if human else "CreatedAt", "CreatedBy", "Size", "Comment")
    session.out(render(found, Columns(fields, _HISTORY_HEADERS, default, "historyContext"), args.text("format")))
    return 0


def _zone(seconds: float) -> str:
    text = time.strftime("%z", time.localtime(seconds))
    return "Z" if text == "+0000" else f"{text[:3]}:{text[3:]}"
