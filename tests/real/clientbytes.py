"""Small things that clients do with bytes: archives, frames, the sockets inside docker-py's streams."""

from __future__ import annotations

import io
import socket
import struct
import tarfile
from typing import Any


def tar_of(**files: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name.replace("__", "/"))
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def owned_tar(name: str, uid: int, gid: int) -> bytes:
    """An empty file of somebody's."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.uid, info.gid = uid, gid
        tar.addfile(info)
    return out.getvalue()


def untar(pieces: Any) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as tar:
        return {m.name: f.read() if (f := tar.extractfile(m)) else b"" for m in tar.getmembers()}


def demultiplex(data: bytes) -> list[tuple[int, bytes]]:
    out = []
    while data:
        stream, size = struct.unpack(">BxxxI", data[:8])
        out.append((stream, data[8 : 8 + size]))
        data = data[8 + size :]
    return out


def read_all(sock: socket.socket) -> bytes:
    out = b""
    while piece := sock.recv(65536):
        out += piece
    return out


def bare(stream: Any) -> socket.socket:
    """The socket inside what docker-py returns for one."""
    return getattr(stream, "_sock", stream)
