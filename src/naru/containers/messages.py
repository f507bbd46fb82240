"""The runtime's complaints in the words that Docker's clients match on, with the exit code that goes with each.

Pure. `docker run` decides its own exit code (125, 126, 127) by the text of a start error: "executable file not found",
"no such file or directory", "permission denied", "is a directory". crun and runc each say these things differently.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from naru.errors import Internal, InvalidArgument, NaruError

_START = (
    "failed to create task for container: failed to create shim task: OCI runtime create failed: {runtime} create failed: "
    "unable to start container process: error during container init: "
)
_EXEC = "OCI runtime exec failed: exec failed: unable to start container process: "

_NOT_IN_PATH = re.compile(r"executable file .*not found in \$PATH")
# Of the program alone: a missing cgroup file, sysctl or mount source is no missing command.
_NO_FILE = re.compile(
    r"(?:open executable|executable file|exec container process|exec(?:ve)? [`\"/]|exec: |cannot find [`\"]).*no such file or directory",
    re.I,
)
_DENIED = re.compile(r"permission denied|exists but it is not executable", re.I)
_DIRECTORY = re.compile(r"is a directory|is not a regular file|open executable: operation not permitted", re.I)
_NO_DIRECTORY = re.compile(r"mount `([^`]*)` to `([^`]*)`: not a directory", re.I)
_CWD = re.compile(r"chdir|cwd", re.I)


def reason(message: str, argv: Sequence[str], cwd: str = "/") -> tuple[str, int] | None:
    """(Docker's words, exit code) for the failures that are the image's or the user's; None for any other."""
    program = argv[0] if argv else ""
    if _CWD.search(message) and re.search(r"no such file", message, re.I):
        return f'chdir to cwd ("{cwd}") set in config.json failed: no such file or directory', 127
    if found := _NO_DIRECTORY.search(message):
        source, target = found[1], f"/{found[2].lstrip('/')}"
        return (
            f'error mounting "{source}" to rootfs at "{target}": mount src={source}, dst={target}, flags=MS_BIND|MS_REC: not a '
            "directory: Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists "
            "and is the expected type"
        ), 127
    if not program and _NO_FILE.search(message):
        return 'exec: "": executable file not found in $PATH', 127
    if _NOT_IN_PATH.search(message):
        if "/" in program:
            return f'exec: "{program}": stat {program}: no such file or directory', 127
        return f'exec: "{program}": executable file not found in $PATH', 127
    if _DIRECTORY.search(message):
        return f'exec: "{program}": is a directory: permission denied', 126
    if (_DENIED.search(message) and program and program in message) or re.search(
        r"exec.*permission denied", message, re.I
    ):
        return f'exec: "{program}": permission denied', 126
    if _NO_FILE.search(message):
        return f'exec: "{program}": stat {program}: no such file or directory', 127
    return None


def start_failure(message: str, argv: Sequence[str], runtime: str) -> tuple[NaruError, int]:
    known = reason(message, argv)
    prefix = _START.format(runtime=runtime)
    if known is None:  # Docker goes by these words alone, whatever they are about
        for words, code in (("no such file or directory", 127), ("permission denied", 126)):
            if words in message.lower():
                return InvalidArgument(prefix + message), code
        return Internal(prefix + message), 128
    return InvalidArgument(prefix + known[0]), known[1]


def exec_failure(message: str, argv: Sequence[str], cwd: str) -> tuple[str, int]:
    known = reason(message, argv, cwd)
    return (_EXEC + known[0], known[1]) if known is not None else (_EXEC + message, 126)
