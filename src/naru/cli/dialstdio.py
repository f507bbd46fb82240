"""`naru system dial-stdio`: our stdin and stdout, joined to the daemon's socket, for clients that come by ssh."""

from __future__ import annotations

from naru.cli.pump import Pump
from naru.client.dial import connect
from naru.client.http import Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from naru.cli.grammar import Args
    from naru.cli.session import Session

HELP = {"system dial-stdio": "Usage:  naru system dial-stdio\n"}


def system_dial_stdio(session: Session, args: Args) -> int:
    """Ends when the daemon has closed its side; the end of our stdin is passed on (half-close)."""
    stream = Stream(connect(session.endpoint()))
    try:
        Pump(stream, framed=False, stdin=True).run()
    finally:
        stream.close()
    return 0
