"""nftables through libnftables, in process: one text of commands is one transaction, done whole or not at all.

A `Nft` is a context of the library: it speaks to the network namespace of the thread that made it, and serves one
thread at a time. Syntax: nft(8); library: libnftables(3).
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
from functools import cache

_SONAME = "libnftables.so.1"

_OUTPUT_HANDLE = 1 << 3  # NFT_CTX_OUTPUT_HANDLE
# <linux/netfilter/nfnetlink.h>, <linux/netfilter/nf_tables.h>
_NETLINK_NETFILTER, _GROUP_NFTABLES, _SUBSYSTEM_NFTABLES, _MSG_DELTABLE = 12, 7, 10, 2


@cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(_SONAME)
    except OSError as error:
        raise OSError(2, f"{_SONAME} is missing: install libnftables1 (Debian, Ubuntu) or nftables") from error
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    library.nft_ctx_get_output_buffer.restype = ctypes.c_char_p
    library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
    for name in ("buffer_output", "buffer_error", "get_output_buffer", "get_error_buffer", "free"):
        getattr(library, f"nft_ctx_{name}").argtypes = [ctypes.c_void_p]
    library.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    return library


class Nft:
    """Close it, or use it in a `with`. With `handles`, what is listed has them: rules are deleted by handle."""

    def __init__(self, *, handles: bool = False) -> None:
        self._library = _library()
        self._context: int | None = self._library.nft_ctx_new(0)
        if self._context is None:
            raise OSError(12, "nft_ctx_new failed")
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)
        if handles:
            self._library.nft_ctx_output_set_flags(self._context, _OUTPUT_HANDLE)

    def __enter__(self) -> Nft:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        if self._context is not None:
            self._library.nft_ctx_free(self._context)
            self._context = None

    def run(self, commands: str) -> str:
        """Do the commands in one transaction and return what they print. Raises OSError with nft's message."""
        if self._library.nft_run_cmd_from_buffer(self._context, commands.encode()) != 0:
            told = self._library.nft_ctx_get_error_buffer(self._context).decode(errors="replace").strip()
            raise OSError(22, f"nft: {told}")
        output: bytes = self._library.nft_ctx_get_output_buffer(self._context)
        return output.decode(errors="replace")


def has_table(nft: Nft, table: str) -> bool:
    """True if the inet table exists."""
    return f"table inet {table}" in nft.run("list tables inet").splitlines()


class TableWatch:
    """Tells when somebody deletes a table: a socket to be watched for reading by the event loop."""

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, kind, _NETLINK_NETFILTER)
        self._socket.bind((0, 1 << (_GROUP_NFTABLES - 1)))

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def deleted(self) -> bool:
        """Take in all that was told; True if a table may have gone (also when more was told than the socket could hold)."""
        gone = False
        while True:
            try:
                data = memoryview(self._socket.recv(1 << 16))
            except BlockingIOError:
                return gone
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                gone = True
                continue
            while len(data) >= 16:
                length, kind = struct.unpack_from("=IH", data)
                gone |= kind == _SUBSYSTEM_NFTABLES << 8 | _MSG_DELTABLE
                data = data[(length + 3) & ~3 :]
