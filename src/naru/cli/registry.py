"""`naru registry serve`: the registry of `naru.registry`, in the foreground; and `naru registry explain`."""

from __future__ import annotations

from naru.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from naru.cli.grammar import Args
    from naru.cli.session import Session
    from naru.registry.access import Access
    from naru.registry.garbage import Explanation

HELP = {
    "registry serve": """\
Usage:  naru registry serve [OPTIONS]

Options:
      --anonymous-pull          With --htpasswd: who has no password may pull
      --blobs string            Where layers are kept: a folder, or s3://BUCKET/PREFIX (default "<data-root>/blobs")
      --collect-untagged        Collect manifests that have no tag, too
      --data-root string        Folder that keeps the images (default "/var/lib/naru/registry")
      --database string         postgresql://USER@HOST/NAME (default is the file "<data-root>/registry.db")
      --grace duration          How long what nobody refers to is kept (default 24h)
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
""",
    "registry explain": """\
Usage:  naru registry explain [OPTIONS] DIGEST

Options:
      --data-root string   Folder that keeps the images (default "/var/lib/naru/registry")
      --database string    postgresql://USER@HOST/NAME (default is the file "<data-root>/registry.db")
""",
}
_LISTEN, _DATA_ROOT = "127.0.0.1:5000", "/var/lib/naru/registry"
_TOKEN = ("token-realm", "token-service", "token-issuer", "token-keys")


def registry_serve(session: Session, args: Args) -> int:
    """Ends on SIGTERM or SIGINT."""
    import asyncio
    import logging
    import sys

    from naru.registry.garbage import Policy
    from naru.registry.server import Settings, serve

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    settings = Settings(
        args.text("listen", _LISTEN), args.text("data-root", _DATA_ROOT), args.text("tls-cert"), args.text("tls-key"),
        args.on("read-only"), args.text("metrics-addr"), args.text("database"), args.text("blobs"),
        Policy(grace_s(args), args.on("collect-untagged")),
    )  # fmt: skip
    asyncio.run(serve(settings, _access(args)))
    return 0


def grace_s(args: Args) -> float:
    """Raises UsageError."""
    from naru.cli.units import read_duration

    given = args.read("grace", read_duration)
    return given[0] / 1e9 if given else 86400.0


def registry_explain(session: Session, args: Args) -> int:
    """Why a blob or manifest is still there, repository by repository; also while the registry runs."""
    import asyncio
    import os

    from naru.oci.digest import Digest
    from naru.registry.database import open_database
    from naru.registry.garbage import explain

    digest = Digest.parse(args.words[0])
    path = args.text("database") or os.path.join(args.text("data-root", _DATA_ROOT), "registry.db")
    if "://" not in path and not os.path.exists(path):
        raise NotFound(f"{path}: no such file")
    database = open_database(path)
    try:
        found = asyncio.run(database.read(explain, digest))
    finally:
        database.close()
    print("\n".join(_told(found)))
    return 0


def _told(found: Explanation) -> Iterator[str]:
    from datetime import datetime

    size = "" if found.size_bytes is None else f", {found.size_bytes} bytes"
    if not found.holdings:
        yield f"{found.digest} is in no repository"
    for one in found.holdings:
        yield f"{found.digest} is a {one.kind} of {one.repository}{size}"
        for tag in one.tags:
            yield f"  tagged {tag}"
        for manifest in one.manifests:
            yield f"  referred to by {manifest}"
        if one.due_at is not None:
            yield f"  {one.event}; looked at again on {datetime.fromtimestamp(one.due_at):%Y-%m-%d %H:%M:%S}"


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
