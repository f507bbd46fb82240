"""What runs in the process that `ForkServer` starts: a fork for each message. Imports next to nothing: its start is waited for."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # signal itself loads enum, and functools
import _socket
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_MESSAGE_BYTES = 1 << 17
_FDS = 16
_INT = 4


def serve(job: Callable[[list[str], list[int]], bytes], prepare: Callable[[], None]) -> None:
    """For each message, in a child: job(arguments, descriptors), whose result is the report.

    `prepare` is called while the first child is at work, and loads what the next ones may need.
    """
    control = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, 0)
    _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)  # nobody waits for the children but through their pidfds
    while True:
        message, ancillary, _, _ = control.recvmsg(_MESSAGE_BYTES, _socket.CMSG_SPACE(_FDS * _INT))
        if not message:
            return
        report, errors, *fds = memoryview(ancillary[0][2]).cast("i")
        if os.fork() == 0:
            control.close()
            os.dup2(errors, 2)
            os.close(errors)
            _report(report, job, message.decode("utf-8", "surrogateescape").split("\0"), fds)
        for fd in (report, errors, *fds):
            os.close(fd)
        prepare()


def _report(report: int, job: Callable[[list[str], list[int]], bytes], arguments: list[str], fds: list[int]) -> None:
    """Ends the process, at once: nothing in it is worth tidying up."""
    code = 1
    try:
        out = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, report)
        me = os.pidfd_open(os.getpid())
        out.sendmsg([b"."], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, me.to_bytes(_INT, sys.byteorder))])
        os.close(me)
        out.sendall(job(arguments, fds))
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)
