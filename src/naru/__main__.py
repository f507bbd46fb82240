"""The `naru` command's first module: imports as little as possible, and leaves without the interpreter's tidying up."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line and end the process with its exit code; does not return."""
    argv = sys.argv[1:]
    if argv[:1] == ["daemon"]:
        from naru.daemon.main import main as daemon

        sys.exit(daemon(argv[1:]))
    from naru.cli.main import main as command

    code = command(argv)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            code = code or 141
    os._exit(code)  # everything is flushed, and sockets close themselves: tearing down modules costs two milliseconds


if __name__ == "__main__":
    main()
