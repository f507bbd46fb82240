"""`naru registry serve`: the registry of `naru.registry`, in the foreground."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from naru.cli.grammar import Args
    from naru.cli.session import Session

HELP = {
    "registry serve": """\
Usage:  naru registry serve [OPTIONS]

Options:
      --data-root string   Folder that keeps the images (default "/var/lib/naru/registry")
      --listen string      Address to listen on (default "127.0.0.1:5000")
"""
}
_LISTEN, _DATA_ROOT = "127.0.0.1:5000", "/var/lib/naru/registry"


def registry_serve(session: Session, args: Args) -> int:
    """Ends on SIGTERM or SIGINT."""
    import asyncio
    import logging
    import sys

    from naru.registry.server import serve

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    asyncio.run(serve(args.text("listen", _LISTEN), args.text("data-root", _DATA_ROOT)))
    return 0
