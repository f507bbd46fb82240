"""`naru version`."""

from __future__ import annotations

import sys

from naru import __version__
from naru.client.engine import API_VERSION
from naru.errors import InvalidArgument, NaruError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from naru.cli.grammar import Args
    from naru.cli.session import Session

    Json = dict[str, Any]

HELP = {
    "version": """\
Usage:  naru version [OPTIONS]

Options:
  -f, --format string   Format: 'json' or a Go template
"""
}
_WIDTH = 19


def _client(session: Session) -> Json:
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}
    import os

    machine = os.uname().machine
    return {
        "Version": __version__,
        "ApiVersion": session.client.version,
        "DefaultAPIVersion": API_VERSION,
        "PythonVersion": sys.version.split()[0],
        "Os": "linux",
        "Arch": architecture.get(machine, machine),
        "Context": session.endpoint().context,
    }


def _lines(values: list[tuple[str, str]], indent: int) -> str:
    return "".join(" " * indent + f"{name}:".ljust(_WIDTH - indent + 1) + f"{value}\n" for name, value in values)


def _server_text(server: Json) -> str:
    text = "\nServer:" + (f" {server['Platform']['Name']}" if (server.get("Platform") or {}).get("Name") else "") + "\n"
    for component in server.get("Components") or [
        {"Name": "Engine", "Version": server.get("Version", ""), "Details": server}
    ]:
        details = component.get("Details") or {}
        text += f" {component['Name']}:\n"
        if component["Name"] != "Engine":
            text += _lines([("Version", component["Version"]), ("GitCommit", details.get("GitCommit", ""))], 2)
            continue
        text += _lines(
            [
                ("Version", component["Version"]),
                (
                    "API version",
                    f"{details.get('ApiVersion', '')} (minimum version {details.get('MinAPIVersion', '')})",
                ),
                ("Go version", details.get("GoVersion", "")),
                ("Git commit", details.get("GitCommit", "")),
                ("Built", details.get("BuildTime", "")),
                ("OS/Arch", f"{details.get('Os', '')}/{details.get('Arch', '')}"),
                ("Experimental", str(details.get("Experimental", "false")).lower()),
            ],
            2,
        )
    return text


def version(session: Session, args: Args) -> int:
    failure: NaruError | None = None
    server: Json | None = None
    try:
        server = session.client.system.version()
    except NaruError as error:
        failure = error
    client = _client(session)
    form = args.text("format")
    if form:
        session.out(formatted({"Client": client, "Server": server}, form))
    else:
        fields = [
            ("Version", client["Version"]), ("API version", client["ApiVersion"]), ("Python version", client["PythonVersion"]),
            ("OS/Arch", f"{client['Os']}/{client['Arch']}"), ("Context", client["Context"]),
        ]  # fmt: skip
        session.out("Client:\n" + _lines(fields, 1) + (_server_text(server) if server else ""))
    if failure is not None:
        raise failure
    return 0


def formatted(value: Any, form: str) -> str:
    """One value by a template, with a newline. Raises InvalidArgument."""
    from naru.cli.template import Template
    from naru.cli.template_functions import TemplateError

    source = "{{json .}}" if form == "json" else form.replace("\\t", "\t").replace("\\n", "\n")
    try:
        return Template(source).render(value) + "\n"
    except TemplateError as error:
        raise InvalidArgument(f"template parsing error: template: {error}") from error
