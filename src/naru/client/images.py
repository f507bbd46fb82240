"""`/images`, `/build`, `/commit` and `/distribution` of the Engine API.

`auth` arguments are the value of X-Registry-Auth (see `client/auth.py`), "" for none. Streams of progress are the
daemon's objects as they come; an error in the middle is one of them ("errorDetail"), for the reader to raise.
"""

from __future__ import annotations

from naru.client.http import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from naru.client.engine import Client

    Json = dict[str, Any]
    Objects = list[Json]  # `list` is a method below
    Filters = Mapping[str, list[str]]

_TAR = {"Content-Type": "application/x-tar"}


def _auth(auth: str) -> dict[str, str]:
    return {"X-Registry-Auth": auth} if auth else {}


def platform_object(platform: str) -> Json | None:
    """`os/architecture/variant` as the JSON object that push, load, save, history and inspect want; None for ""."""
    if not platform:
        return None
    return dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))


class Images:
    def __init__(self, client: Client) -> None:
        self._client = client

    def list(self, *, all: bool = False, digests: bool = False, filters: Filters | None = None) -> Objects:
        query = {"all": all, "digests": digests, "filters": filters}
        found: Objects = self._client.fetch("GET", "/images/json", query)
        return found

    def inspect(self, image: str, *, platform: str = "") -> Json:
        found: Json = self._client.fetch("GET", f"/images/{quote(image)}/json", {"platform": platform_object(platform)})
        return found

    def history(self, image: str, *, platform: str = "") -> Objects:
        found: Objects = self._client.fetch(
            "GET", f"/images/{quote(image)}/history", {"platform": platform_object(platform)}
        )
        return found

    def pull(self, name: str, tag: str, *, platform: str = "", auth: str = "") -> Iterator[Json]:
        """`tag` may be a digest; "" pulls every tag."""
        query = {"fromImage": name, "tag": tag, "platform": platform}
        return self._client.values(self._client.call("POST", "/images/create", query, b"", _auth(auth)))

    def import_(
        self,
        body: Iterable[bytes] | bytes,
        source: str,
        *,
        repo: str = "",
        tag: str = "",
        message: str = "",
        changes: Iterable[str] = (),
        platform: str = "",
    ) -> Iterator[Json]:
        """`source` is "-" for the tar in body, or a URL that the daemon fetches."""
        query = {
            "fromSrc": source,
            "repo": repo,
            "tag": tag,
            "message": message,
            "changes": [*changes],
            "platform": platform,
        }
        return self._client.values(self._client.call("POST", "/images/create", query, body, _TAR))

    def push(self, name: str, tag: str, *, platform: str = "", auth: str = "") -> Iterator[Json]:
        # X-Registry-Auth may not be missing here, even if there is nothing in it
        query = {"tag": tag, "platform": platform_object(platform)}
        headers = _auth(auth or "e30=")
        return self._client.values(self._client.call("POST", f"/images/{quote(name)}/push", query, b"", headers))

    def tag(self, image: str, repo: str, tag: str) -> None:
        self._client.fetch("POST", f"/images/{quote(image)}/tag", {"repo": repo, "tag": tag})

    def remove(
        self, image: str, *, force: bool = False, no_prune: bool = False, platforms: Iterable[str] = ()
    ) -> Objects:
        """[{"Untagged"} or {"Deleted"}, …]."""
        query = {"force": force, "noprune": no_prune, "platforms": [platform_object(one) for one in platforms]}
        answer: Objects = self._client.fetch("DELETE", f"/images/{quote(image)}", query)
        return answer

    def save(self, images: Iterable[str], *, platform: str = "") -> Iterator[bytes]:
        query = {"names": [*images], "platform": platform_object(platform)}
        return self._client.stream(self._client.call("GET", "/images/get", query))

    def load(self, tar: Iterable[bytes], *, quiet: bool = False, platform: str = "") -> Iterator[Json]:
        query = {"quiet": quiet, "platform": platform_object(platform)}
        return self._client.values(self._client.call("POST", "/images/load", query, tar, _TAR))

    def search(self, term: str, *, limit: int = 0, filters: Filters | None = None, auth: str = "") -> Objects:
        query = {"term": term, "limit": limit or None, "filters": filters}
        found: Objects = self._client.fetch("GET", "/images/search", query, None, _auth(auth))
        return found

    def prune(self, filters: Filters | None = None) -> Json:
        """{"ImagesDeleted", "SpaceReclaimed"}."""
        answer: Json = self._client.fetch("POST", "/images/prune", {"filters": filters})
        return answer

    def build(
        self, context: Iterable[bytes] | bytes, options: Mapping[str, Any], *, registry_config: str = ""
    ) -> Iterator[Json]:
        """`options` are the query of POST /build; context is a tar archive (b"" with options["remote"])."""
        headers = _TAR | ({"X-Registry-Config": registry_config} if registry_config else {})
        return self._client.values(self._client.call("POST", "/build", options, context, headers))

    def commit(
        self,
        container: str,
        *,
        repo: str = "",
        tag: str = "",
        author: str = "",
        comment: str = "",
        changes: Iterable[str] = (),
        pause: bool = True,
    ) -> str:
        """The new image's id."""
        query = {
            "container": container, "repo": repo, "tag": tag, "author": author, "comment": comment,
            "changes": [*changes], "pause": 1 if pause else 0,
        }  # fmt: skip
        return str(self._client.fetch("POST", "/commit", query, {})["Id"])
