"""The files that pages refer to: read once, named by their content, and so kept by browsers for good."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import os
from dataclasses import dataclass

from aiohttp import web

FOLDER = os.path.join(os.path.dirname(__file__), "static")
_FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    name: str
    digest: str
    content_type: str
    plain: bytes
    packed: bytes

    @property
    def path(self) -> str:
        return f"/static/{self.digest}/{self.name}"


class Assets:
    def __init__(self, folder: str = FOLDER) -> None:
        self._named = {name: _load(folder, name) for name in sorted(os.listdir(folder)) if not name.startswith(".")}

    def path(self, name: str) -> str:
        """Of a file that is there."""
        return self._named[name].path

    async def serve(self, request: web.Request) -> web.Response:
        found = self._named.get(request.match_info["name"])
        if found is None or request.match_info["digest"] != found.digest:
            return web.Response(status=404, text="not found\n", headers={"X-Content-Type-Options": "nosniff"})
        packed = "gzip" in request.headers.get("Accept-Encoding", "")
        headers = {"Cache-Control": _FOREVER, "X-Content-Type-Options": "nosniff", "Vary": "Accept-Encoding"}
        if packed:
            headers["Content-Encoding"] = "gzip"
        headers["Content-Type"] = found.content_type
        return web.Response(body=found.packed if packed else found.plain, headers=headers)


def _load(folder: str, name: str) -> Asset:
    with open(os.path.join(folder, name), "rb") as file:
        plain = file.read()
    kind = mimetypes.guess_type(name)[0] or "text/plain"
    text = f"{kind}; charset=utf-8" if kind.startswith("text/") or kind.endswith("javascript") else kind
    return Asset(name, hashlib.sha256(plain).hexdigest()[:16], text, plain, gzip.compress(plain, 9, mtime=0))
