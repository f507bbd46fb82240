"""`naru hub serve`: the hub of `naru.hub`, in the foreground. Options come from the command line, else from the environment, else from a file."""

from __future__ import annotations

from naru.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from naru.cli.grammar import Args
    from naru.cli.session import Session
    from naru.hub.people.oidc import Provider
    from naru.hub.ratelimit import Window
    from naru.hub.server import Settings

HELP = {
    "hub serve": """\
Usage:  naru hub serve [OPTIONS]

Each option may also be set in the environment (NARU_HUB_LISTEN) or in the file of --config (listen = "...").

Options:
      --account-limit string    Pulls of one account in a while, as "200/6h" (default is no limit)
      --address-limit string    Pulls from one address without an account, as "100/6h" (default is no limit)
      --allow-private-targets   Let webhooks, upstreams and scanners be in the hub's own network
      --blobs string            Where layers are kept: a folder, or s3://BUCKET/PREFIX (default "<data-root>/blobs")
      --closed                  Nobody signs up: admins make accounts
      --config string           TOML file with options, and with [oidc] of a login elsewhere
      --data-root string        Folder that keeps everything (default "/var/lib/naru/hub")
      --database string         postgresql://USER@HOST/NAME (default is the file "<data-root>/registry.db")
      --grace duration          How long what nobody refers to is kept (default 24h)
      --listen string           Address to listen on (default "127.0.0.1:5500")
      --metrics-addr string     Address of metrics for Prometheus, at /metrics
      --secret-keys string      File with the key that seals passwords of others in the database, older ones below it
                                (default "<data-root>/secret.keys", which is made)
      --title string            Name of the site (default "Naru Hub")
      --tls-cert string         File with the certificate (and those between it and its root), PEM; read again at SIGHUP
      --tls-key string          File with the certificate's private key, PEM
      --trusted-proxies string  Networks of proxies in front, whose X-Forwarded-* headers are believed, as "10.0.0.0/8,::1"
      --url string              How the hub is reached from outside, if not as clients write it
""",
}
_PREFIX = "NARU_HUB_"
_SWITCHES = ("allow-private-targets", "closed")
_TEXTS = {
    "account-limit": "", "address-limit": "", "blobs": "", "data-root": "/var/lib/naru/hub", "database": "", "grace": "24h",
    "listen": "127.0.0.1:5500", "metrics-addr": "", "secret-keys": "", "title": "Naru Hub", "tls-cert": "", "tls-key": "", "trusted-proxies": "", "url": "",
}  # fmt: skip
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")


def hub_serve(session: Session, args: Args) -> int:
    """Ends on SIGTERM or SIGINT."""
    import asyncio
    import logging
    import os
    import sys

    from naru.hub.server import serve

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    file = _read(args.text("config") or os.environ.get(f"{_PREFIX}CONFIG", ""))
    asyncio.run(serve(settings(args, os.environ, file)))
    return 0


def settings(args: Args, environment: Mapping[str, str], file: Mapping[str, Any]) -> Settings:
    """Raises InvalidArgument for what is none, and for an option of the file that does not exist."""
    from naru.cli.units import read_duration
    from naru.hub.gate.guard import Limits
    from naru.hub.proxies import parse_networks
    from naru.hub.server import Settings
    from naru.registry.garbage import Policy
    from naru.registry.server import Settings as RegistrySettings

    if unknown := file.keys() - {*_TEXTS, *_SWITCHES, "oidc"}:
        raise InvalidArgument(f"{sorted(unknown)[0]}: the file of --config has no such option")
    text = {name: _text(name, args, environment, file) for name in _TEXTS}
    on = {name: _switch(name, args, environment, file) for name in _SWITCHES}
    registry = RegistrySettings(
        text["listen"], text["data-root"], text["tls-cert"], text["tls-key"], metrics=text["metrics-addr"],
        database=text["database"], blobs=text["blobs"], policy=Policy(read_duration(text["grace"]) / 1e9),
    )  # fmt: skip
    limits = Limits(_window("account-limit", text), _window("address-limit", text))
    proxies = parse_networks(text["trusted-proxies"])
    return Settings(
        registry, text["url"], text["title"], not on["closed"], on["allow-private-targets"], limits,
        _provider(file.get("oidc")), proxies, text["secret-keys"],
    )  # fmt: skip


def _provider(given: Any) -> Provider | None:
    """[oidc]: issuer, client_id, client_secret, name, allow_sign_up. Raises InvalidArgument."""
    from naru.hub.people.oidc import Provider

    if given is None:
        return None
    kinds = {"issuer": str, "client_id": str, "client_secret": str, "name": str, "allow_sign_up": bool}
    if not isinstance(given, dict) or {"issuer", "client_id"} - given.keys():
        raise InvalidArgument("oidc: must be a table with issuer and client_id")
    for name, value in given.items():
        if not isinstance(value, kinds.get(name, ())):
            raise InvalidArgument(f"oidc.{name}: is none of {', '.join(kinds)}, or of another type")
    return Provider(**given)


def _text(name: str, args: Args, environment: Mapping[str, str], file: Mapping[str, Any]) -> str:
    if args.has(name):
        return args.text(name)
    found = environment.get(_PREFIX + name.upper().replace("-", "_"), file.get(name, _TEXTS[name]))
    if not isinstance(found, str):
        raise InvalidArgument(f"{name}: must be a string")
    return found


def _switch(name: str, args: Args, environment: Mapping[str, str], file: Mapping[str, Any]) -> bool:
    if args.has(name):
        return args.on(name)
    found = environment.get(_PREFIX + name.upper().replace("-", "_"), file.get(name, False))
    if isinstance(found, str):
        if found.lower() not in _TRUE + _FALSE:
            raise InvalidArgument(f"{name}: must be true or false, not {found[:50]!r}")
        return found.lower() in _TRUE
    if not isinstance(found, bool):
        raise InvalidArgument(f"{name}: must be true or false")
    return found


def _read(path: str) -> dict[str, Any]:
    """Raises InvalidArgument."""
    import tomllib

    if not path:
        return {}
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise InvalidArgument(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise InvalidArgument(f"{path}: {error}") from error


def _window(name: str, text: Mapping[str, str]) -> Window | None:
    """Raises InvalidArgument."""
    from naru.cli.units import read_duration
    from naru.hub.ratelimit import Window

    if not text[name]:
        return None
    count, _, duration = text[name].partition("/")
    try:
        return Window(int(count), int(read_duration(duration) / 1e9))
    except (ValueError, InvalidArgument) as error:
        raise InvalidArgument(f"{name} {text[name]!r}: must be a number and a duration, as 200/6h") from error
