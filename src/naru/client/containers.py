"""`/containers` of the Engine API. Ids are what the daemon takes for one: id, name, or the beginning of an id."""

from __future__ import annotations

from naru.client import jsontext
from naru.client.http import quote
from naru.errors import Internal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from naru.client.engine import Client
    from naru.client.http import Response, Stream

    Json = dict[str, Any]
    Objects = list[Json]  # `list` is a method below
    Filters = Mapping[str, list[str]]


class Exit:
    """A container's end, awaited by the daemon since before this value was made."""

    def __init__(self, client: Client, response: Response) -> None:
        self._client, self._response = client, response

    def wait(self) -> int:
        """Block until the container has ended (or is removed); its exit code. Raises Internal with the daemon's reason."""
        answer: Json | None = next(self._client.values(self._response), None)
        if answer is None:
            raise Internal("the daemon closed the connection before the container ended")
        message = (answer.get("Error") or {}).get("Message")
        if message:
            raise Internal(f"Error response from daemon: {message}")
        return int(answer["StatusCode"])

    def close(self) -> None:
        self._response.close()


class Containers:
    def __init__(self, client: Client) -> None:
        self._client = client

    def _post(self, container: str, verb: str, **query: Any) -> Any:
        return self._client.fetch("POST", f"/containers/{quote(container)}/{verb}", query)

    def list(self, *, all: bool = False, limit: int = 0, size: bool = False, filters: Filters | None = None) -> Objects:
        found: Objects = self._client.fetch(
            "GET", "/containers/json", {"all": all, "limit": limit or None, "size": size, "filters": filters}
        )
        return found

    def create(self, config: Json, *, name: str = "", platform: str = "") -> Json:
        """{"Id", "Warnings"}."""
        created: Json = self._client.fetch("POST", "/containers/create", {"name": name, "platform": platform}, config)
        return created

    def inspect(self, container: str, *, size: bool = False) -> Json:
        found: Json = self._client.fetch("GET", f"/containers/{quote(container)}/json", {"size": size})
        return found

    def start(self, container: str, *, detach_keys: str = "", checkpoint: str = "", checkpoint_dir: str = "") -> None:
        """From its beginning, or from a checkpoint of its own or in a directory of the caller's."""
        query = {"detachKeys": detach_keys, "checkpoint": checkpoint, "checkpoint-dir": checkpoint_dir}
        self._post(container, "start", **query)

    def stop(self, container: str, *, signal: str = "", timeout_s: int | None = None) -> None:
        self._post(container, "stop", signal=signal, t=timeout_s)

    def restart(self, container: str, *, signal: str = "", timeout_s: int | None = None) -> None:
        self._post(container, "restart", signal=signal, t=timeout_s)

    def kill(self, container: str, *, signal: str = "") -> None:
        self._post(container, "kill", signal=signal)

    def pause(self, container: str) -> None:
        self._post(container, "pause")

    def unpause(self, container: str) -> None:
        self._post(container, "unpause")

    def rename(self, container: str, name: str) -> None:
        self._post(container, "rename", name=name)

    def resize(self, container: str, rows: int, columns: int) -> None:
        self._post(container, "resize", h=rows, w=columns)

    def update(self, container: str, changes: Json) -> Json:
        """{"Warnings"}."""
        answer: Json = self._client.fetch("POST", f"/containers/{quote(container)}/update", None, changes)
        return answer

    def remove(self, container: str, *, force: bool = False, volumes: bool = False, link: bool = False) -> None:
        self._client.fetch("DELETE", f"/containers/{quote(container)}", {"force": force, "v": volumes, "link": link})

    def wait(self, container: str, *, condition: str = "") -> Exit:
        """Returns as soon as the daemon has begun to wait: what happens afterwards cannot be missed."""
        return Exit(
            self._client, self._client.call("POST", f"/containers/{quote(container)}/wait", {"condition": condition})
        )

    def attach(
        self,
        container: str,
        *,
        stdin: bool = False,
        stdout: bool = True,
        stderr: bool = True,
        logs: bool = False,
        detach_keys: str = "",
    ) -> Stream:
        query = {
            "stream": True,
            "stdin": stdin,
            "stdout": stdout,
            "stderr": stderr,
            "logs": logs,
            "detachKeys": detach_keys,
        }
        return self._client.upgrade(f"/containers/{quote(container)}/attach", query)

    def logs(
        self,
        container: str,
        *,
        stdout: bool = True,
        stderr: bool = True,
        follow: bool = False,
        since: str = "",
        until: str = "",
        timestamps: bool = False,
        details: bool = False,
        tail: str = "all",
    ) -> Iterator[bytes]:
        """Raw bytes: framed (see `stdcopy`) unless the container has a terminal. Times are unix seconds."""
        query = {
            "stdout": stdout, "stderr": stderr, "follow": follow, "since": since, "until": until,
            "timestamps": timestamps, "details": details, "tail": tail,
        }  # fmt: skip
        return self._client.stream(self._client.call("GET", f"/containers/{quote(container)}/logs", query))

    def top(self, container: str, ps_arguments: str = "") -> Json:
        """{"Titles", "Processes"}."""
        found: Json = self._client.fetch("GET", f"/containers/{quote(container)}/top", {"ps_args": ps_arguments})
        return found

    def stats(self, container: str, *, stream: bool = True, one_shot: bool = False) -> Iterator[Json]:
        query = {"stream": 1 if stream else 0, "one-shot": one_shot}
        return self._client.values(self._client.call("GET", f"/containers/{quote(container)}/stats", query))

    def changes(self, container: str) -> Objects:
        found: Objects | None = self._client.fetch("GET", f"/containers/{quote(container)}/changes")
        return found or []

    def export(self, container: str) -> Iterator[bytes]:
        """The container's file system as a tar archive."""
        return self._client.stream(self._client.call("GET", f"/containers/{quote(container)}/export"))

    def archive_stat(self, container: str, path: str) -> Json:
        """{"name", "size", "mode" (Go's os.FileMode), "mtime", "linkTarget"}. Raises NotFound."""
        response = self._client.call("HEAD", f"/containers/{quote(container)}/archive", {"path": path}, accept=(404,))
        for _ in self._client.stream(response):
            pass
        if response.status == 404:  # a HEAD has no body to say why: ask again with one that has
            self._client.call("GET", f"/containers/{quote(container)}/archive", {"path": path}).close()
        return _path_stat(response)

    def archive_get(self, container: str, path: str) -> tuple[Json, Iterator[bytes]]:
        """The stat of path, and a tar archive whose top name is its last component."""
        response = self._client.call("GET", f"/containers/{quote(container)}/archive", {"path": path})
        return _path_stat(response), self._client.stream(response)

    def archive_put(
        self,
        container: str,
        folder: str,
        tar: Iterable[bytes],
        *,
        no_overwrite_dir_non_dir: bool = False,
        copy_uid_gid: bool = False,
    ) -> None:
        """Unpack tar into an existing folder of the container."""
        query = {"path": folder, "noOverwriteDirNonDir": no_overwrite_dir_non_dir, "copyUIDGID": copy_uid_gid}
        response = self._client.call(
            "PUT", f"/containers/{quote(container)}/archive", query, tar, {"Content-Type": "application/x-tar"}
        )
        for _ in self._client.stream(response):
            pass

    def prune(self, filters: Filters | None = None) -> Json:
        """{"ContainersDeleted", "SpaceReclaimed"}."""
        answer: Json = self._client.fetch("POST", "/containers/prune", {"filters": filters})
        return answer


def _path_stat(response: Response) -> Json:
    from binascii import Error, a2b_base64

    try:
        found: Json = jsontext.decode(a2b_base64(response.headers.get("x-docker-container-path-stat", "")))
    except (Error, ValueError) as error:
        raise Internal(f"unable to decode container path stat header: {error}") from error
    return found
