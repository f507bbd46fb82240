"""`naru registry serve`: the registry of `naru.registry`, in the foreground."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from naru.cli.grammar import Args
    from naru.cli.session import Session
    from naru.registry.access import Access

HELP = {
    "registry serve": """\
Usage:  naru registry serve [OPTIONS]

Options:
      --anonymous-pull          With --htpasswd: who has no password may pull
      --data-root string        Folder that keeps the images (default "/var/lib/naru/registry")
      --htpasswd string         File of users and their passwords (made by htpasswd -B); nobody else gets in
      --listen string           Address to listen on (default "127.0.0.1:5000")
      --metrics-addr string     Address of metrics for Prometheus, at /metrics
      --read-only               Refuse all that would change anything
      --tls-cert string         File with the certificate (and those between it and its root), PEM; read again at SIGHUP
      --tls-key string          File with the certificate's private key, PEM
      --token-issuer string     Name of the authorisation server in its tokens
      --token-keys string       File with the authorisation server's certificates, public keys (PEM) or key set (JWKS)
      --token-realm string      Address of an authorisation server, whose tokens say who may do what
      --token-service string    Name of this registry at the authorisation server
"""
}
_LISTEN, _DATA_ROOT = "127.0.0.1:5000", "/var/lib/naru/registry"
_TOKEN = ("token-realm", "token-service", "token-issuer", "token-keys")


def registry_serve(session: Session, args: Args) -> int:
    """Ends on SIGTERM or SIGINT."""
    import asyncio
    import logging
    import sys

    from naru.registry.server import Settings, serve

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    settings = Settings(
        args.text("listen", _LISTEN), args.text("data-root", _DATA_ROOT), args.text("tls-cert"), args.text("tls-key"),
        args.on("read-only"), args.text("metrics-addr"),
    )  # fmt: skip
    asyncio.run(serve(settings, _access(args)))
    return 0


def _access(args: Args) -> Access | None:
    """None: everybody may do everything. Raises InvalidArgument."""
    import time

    from naru.errors import InvalidArgument

    given = [name for name in _TOKEN if args.text(name)]
    if given and len(given) < len(_TOKEN):
        raise InvalidArgument("tokens need all of " + ", ".join(f"--{name}" for name in _TOKEN))
    if given and args.text("htpasswd"):
        raise InvalidArgument("--htpasswd and --token-realm are two ways of saying who may do what: give one")
    if args.on("anonymous-pull") and not args.text("htpasswd"):
        raise InvalidArgument("--anonymous-pull says nothing without --htpasswd")
    if given:
        from naru.registry.tokens import TokenAccess, read_keys

        realm, service, issuer, keys = map(args.text, _TOKEN)
        return TokenAccess(realm, service, issuer, read_keys(keys), time.time)
    if args.text("htpasswd"):
        from naru.registry.htpasswd import HtpasswdAccess

        return HtpasswdAccess(args.text("htpasswd"), anonymous_pull=args.on("anonymous-pull"))
    return None
