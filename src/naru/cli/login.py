"""`naru login` and `naru logout`, and `naru search`'s neighbour in the registry: credentials checked by the daemon, kept by us."""

from __future__ import annotations

import os
import sys

from naru.client import auth
from naru.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from naru.cli.grammar import Args
    from naru.cli.session import Session

HELP = {
    "login": """\
Usage:  naru login [OPTIONS] [SERVER]

Options:
  -p, --password string   Password or access token
      --password-stdin    Take the password from stdin
  -u, --username string   User name
""",
    "logout": "Usage:  naru logout [SERVER]\n",
}


def ask_password(prompt: str = "Password: ") -> str:
    """Typed, unseen. Raises InvalidArgument where nobody types."""
    import termios

    if not os.isatty(0):
        raise InvalidArgument("Error: Cannot perform an interactive login from a non TTY device")
    sys.stderr.write(prompt)
    sys.stderr.flush()
    before = termios.tcgetattr(0)
    silent = termios.tcgetattr(0)
    silent[3] &= ~termios.ECHO
    try:
        termios.tcsetattr(0, termios.TCSADRAIN, silent)
        return sys.stdin.readline().rstrip("\r\n")
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
        sys.stderr.write("\n")


def ask_credentials(session: Session, args: Args) -> tuple[str, str]:
    """User name and password: of the flags --username, --password and --password-stdin, or typed. Raises InvalidArgument."""
    user, password = args.text("username"), args.text("password")
    if args.on("password-stdin"):
        if args.has("password"):
            raise InvalidArgument("conflicting options: cannot specify both --password and --password-stdin")
        if not user:
            raise InvalidArgument("the --password-stdin option requires --username to be set")
        password = sys.stdin.read().rstrip("\r\n")
    elif args.has("password"):
        session.warn("WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
    if not user:
        if not os.isatty(0):
            raise InvalidArgument("Error: Cannot perform an interactive login from a non TTY device")
        session.out("Username: ")
        session.flush()
        user = sys.stdin.readline().strip()
    return user, password or ask_password()


def login(session: Session, args: Args) -> int:
    server = auth.normal_server(args.words[0] if args.words else "")
    user, password = ask_credentials(session, args)
    if not user or not password:
        raise InvalidArgument("username and password must not be empty")
    credentials = {"username": user, "password": password, "serveraddress": server}
    answer = session.client.system.log_in(credentials)
    if answer.get("IdentityToken"):
        credentials = {"username": user, "identitytoken": answer["IdentityToken"], "serveraddress": server}
    path = auth.store(session.config_dir, credentials)
    if path:
        session.warn(
            f"\nWARNING! Your credentials are stored unencrypted in '{path}'.\nConfigure a credential helper to remove this warning.\n"
        )
    session.line(answer.get("Status") or "Login Succeeded")
    return 0


def logout(session: Session, args: Args) -> int:
    server = auth.normal_server(args.words[0] if args.words else "")
    shown = args.words[0] if args.words else server
    if not auth.erase(session.config_dir, server):
        session.line(f"Not logged in to {shown}")
        return 0
    session.line(f"Removing login credentials for {shown}")
    return 0
