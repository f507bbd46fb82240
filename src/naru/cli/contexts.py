"""`naru context`: names for daemons, kept where Docker keeps them, so that both commands see the same ones."""

from __future__ import annotations

import os

from naru.cli.listing import FORMAT_HELP, Columns, render
from naru.cli.session import each
from naru.client import config as client_config
from naru.client import contexts as store
from naru.client.endpoint import resolve
from naru.errors import Conflict, InvalidArgument, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from naru.cli.grammar import Args
    from naru.cli.session import Session

    Json = dict[str, Any]

HELP = {
    "context ls": f"""\
Usage:  naru context ls [OPTIONS]

Options:
      --format string   {FORMAT_HELP}
  -q, --quiet           Only show names
""",
    "context use": "Usage:  naru context use CONTEXT\n",
    "context show": "Usage:  naru context show\n",
    "context inspect": """\
Usage:  naru context inspect [OPTIONS] [CONTEXT] [CONTEXT...]

Options:
  -f, --format string   Format: 'json' or a Go template for each
""",
    "context create": """\
Usage:  naru context create [OPTIONS] CONTEXT

Options:
      --description string   What it is for
      --docker map           Endpoint: host=tcp://myserver:2376,ca=FILE,cert=FILE,key=FILE,skip-tls-verify=true
      --from string          Take the endpoint of this context
""",
    "context rm": """\
Usage:  naru context rm CONTEXT [CONTEXT...]

Options:
  -f, --force   Even the current one
""",
}
_HEADERS = {
    "Name": "NAME",
    "Description": "DESCRIPTION",
    "DockerEndpoint": "DOCKER ENDPOINT",
    "Error": "ERROR",
    "Current": "CURRENT",
}
_DEFAULT_TEXT = "Current DOCKER_HOST based configuration"
_MEMORY = "<IN MEMORY>"


def _current(session: Session) -> str:
    if session.context:
        return session.context
    if session.host or os.environ.get("DOCKER_HOST"):
        return "default"
    return os.environ.get("DOCKER_CONTEXT") or str(session.config().get("currentContext") or "default")


def _default_host(session: Session) -> str:
    return resolve(host=session.host, context="" if session.host else "default").host


def context_ls(session: Session, args: Args) -> int:
    current, form = _current(session), args.text("format")
    rows = [{"Name": "default", "Description": _DEFAULT_TEXT, "DockerEndpoint": _default_host(session)}]
    rows += [
        {"Name": c.name, "Description": c.description, "DockerEndpoint": c.host}
        for c in store.load_all(session.config_dir)
    ]
    if args.on("quiet"):
        session.out("".join([row["Name"] + "\n" for row in rows]))
        return 0
    table = form in ("", "table") or form.startswith("table ")
    fields: dict[str, Any] = {
        "Name": lambda r: r["Name"] + (" *" if table and r["Name"] == current else ""),
        "Description": lambda r: r["Description"],
        "DockerEndpoint": lambda r: r["DockerEndpoint"],
        "Error": lambda r: "",
        "Current": lambda r: r["Name"] == current,
    }
    session.out(
        render(
            rows,
            Columns(fields, _HEADERS, ("Name", "Description", "DockerEndpoint", "Error"), "clientContextContext"),
            form,
        )
    )
    if os.environ.get("DOCKER_HOST") and table:
        session.warn(
            "Warning: DOCKER_HOST environment variable overrides the active context. To use a context, either set the global "
            "--context flag, or unset DOCKER_HOST environment variable."
        )
    return 0


def context_show(session: Session, args: Args) -> int:
    session.line(_current(session))
    return 0


def context_use(session: Session, args: Args) -> int:
    (name,) = args.words
    if name != "default":
        store.load(session.config_dir, name)
    config = client_config.load(session.config_dir)
    config.pop("currentContext", None)
    if name != "default":
        config["currentContext"] = name
    client_config.save(session.config_dir, config)
    session.line(name)
    session.warn(f'Current context is now "{name}"')
    if os.environ.get("DOCKER_HOST"):
        session.warn(
            f"Warning: DOCKER_HOST environment variable overrides the active context. To use {name!r}, either set the global "
            "--context flag, or unset DOCKER_HOST environment variable."
        )
    return 0


def context_inspect(session: Session, args: Args) -> int:
    from naru.cli.inspect import show

    def find(name: str) -> Json:
        if name == "default":
            docker: Json = {"Host": _default_host(session), "SkipTLSVerify": False}
            storage = {"MetadataPath": _MEMORY, "TLSPath": _MEMORY}
            return {
                "Name": name,
                "Metadata": {},
                "Endpoints": {"docker": docker},
                "TLSMaterial": {},
                "Storage": storage,
            }
        context = store.load(session.config_dir, name)
        material = {"docker": context.tls_files()} if context.tls_files() else {}
        storage = {"MetadataPath": context.meta_dir, "TLSPath": context.tls_dir}
        return {**context.meta, "TLSMaterial": material, "Storage": storage}

    return show(session, args.words or [_current(session)], find, args.text("format"))


def context_create(session: Session, args: Args) -> int:
    (name,) = args.words
    fields: dict[str, str] = {}
    for text in args.items("docker"):
        for field in text.split(","):
            key, equals, value = field.partition("=")
            if not equals or key not in ("host", "ca", "cert", "key", "skip-tls-verify", "from"):
                raise args.refuse(
                    "docker",
                    text,
                    f"unrecognized config key: {key}" if equals else f"{field} must be formatted as key=value",
                )
            fields[key] = value
    source = args.text("from") or fields.get("from", "")
    host, skip = fields.get("host", ""), fields.get("skip-tls-verify", "").lower() in ("1", "true")
    paths: dict[str, str] = {key: os.path.expanduser(fields[key]) for key in ("ca", "cert", "key") if key in fields}
    if source == "default" or not (host or source):
        host = _default_host(session)
    elif source:
        taken = store.load(session.config_dir, source)
        host, skip = taken.host, bool(taken.docker.get("SkipTLSVerify"))
        paths = {file.removesuffix(".pem"): f"{taken.tls_dir}/docker/{file}" for file in taken.tls_files()}
    store.create(
        session.config_dir, name, host, description=args.text("description"), tls_paths=paths, skip_verify=skip
    )
    session.line(name)
    session.warn(f'Successfully created context "{name}"')
    return 0


def context_rm(session: Session, args: Args) -> int:
    current, force = str(session.config().get("currentContext") or "default"), args.on("force")

    def one(name: str) -> None:
        if name == "default":
            raise InvalidArgument('context "default" cannot be removed')
        if name == current and not force:
            raise Conflict(f'context "{name}" is in use, set -f flag to force remove')
        try:
            store.remove(store.load(session.config_dir, name))
        except NotFound:
            if not force:
                raise
        if name == current:
            config = client_config.load(session.config_dir)
            config.pop("currentContext", None)
            client_config.save(session.config_dir, config)

    return each(session, args.words, one)
