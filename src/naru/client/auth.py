"""Credentials for registries: config.json's `auths`, `credsStore` and `credHelpers`, and the API's X-Registry-Auth.

A helper is a program `docker-credential-NAME` that reads a server's name on stdin and answers JSON on stdout
(docker/docker-credential-helpers, "Development"). Secrets appear in no error message.
"""

from __future__ import annotations

import os
from binascii import Error, a2b_base64, b2a_base64
from contextlib import suppress

from naru.client import config as client_config
from naru.client import jsontext
from naru.client.dial import find_program
from naru.errors import Internal, InvalidArgument, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Json = dict[str, Any]

HUB = "https://index.docker.io/v1/"
_HUB_NAMES = ("docker.io", "index.docker.io", "registry-1.docker.io")
_TOKEN_USER = "<token>"
_HELPER_LIMIT_BYTES = 1 << 20
_MISSING = "credentials not found"


def server_of(image: str) -> str:
    """The key under which credentials for an image's registry are kept."""
    first, slash, _ = image.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost") and first not in _HUB_NAMES:
        return first
    return HUB


def normal_server(server: str) -> str:
    """What a user may write for a registry, as the key of its credentials."""
    host = server.partition("://")[2] or server
    host = host.partition("/")[0]
    return HUB if not host or host in _HUB_NAMES else host


def header(credentials: Json) -> str:
    """credentials as the value of X-Registry-Auth (base64url of JSON); "" for {}."""
    if not credentials:
        return ""
    text = b2a_base64(jsontext.encode(credentials).encode(), newline=False)
    return text.translate(bytes.maketrans(b"+/", b"-_")).decode()


def find(folder: str, server: str) -> Json:
    """The credentials kept for server in the API's form, {} if there are none. Raises Internal if a helper fails."""
    return _find(client_config.load(folder), server)


def _find(config: Json, server: str) -> Json:
    helper = _helper(config, server)
    if helper:
        return _ask(helper, server)
    for key, entry in (config.get("auths") or {}).items():
        if normal_server(key) == server and (found := _decode(entry, server)):
            return found
    return {}


def find_all(folder: str) -> Json:
    """Every known registry's credentials by server: the value of X-Registry-Config. Entries without secrets are left out."""
    config = client_config.load(folder)
    servers = {normal_server(key) for key in (config.get("auths") or {})}
    servers |= {normal_server(key) for key in (config.get("credHelpers") or {})}
    return {server: found for server in sorted(servers) if (found := _find(config, server))}


def _helper(config: Json, server: str) -> str | None:
    """The credential helper for server: its own, or the one for all."""
    bare = "index.docker.io" if server == HUB else server
    return (config.get("credHelpers") or {}).get(bare) or config.get("credsStore")


def _decode(entry: Any, server: str) -> Json:
    if not isinstance(entry, dict):
        return {}
    user, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if entry.get("auth"):
        try:
            text = a2b_base64(entry["auth"], strict_mode=True).decode()
        except (Error, ValueError) as error:
            raise InvalidArgument(f"invalid auth configuration file: the entry of {server} is not base64") from error
        user, _, password = text.partition(":")
        password = password.rstrip("\0")
    if token := entry.get("identitytoken"):
        return {"username": user, "identitytoken": token, "serveraddress": server}
    if token := entry.get("registrytoken"):
        return {"registrytoken": token, "serveraddress": server}
    return {"username": user, "password": password, "serveraddress": server} if user else {}


def _ask(helper: str, server: str) -> Json:
    try:
        answer = jsontext.decode(_run(helper, "get", server))
    except NotFound:
        return {}
    except ValueError as error:
        raise Internal(f"error getting credentials: docker-credential-{helper} did not answer with JSON") from error
    user, secret = str(answer.get("Username") or ""), str(answer.get("Secret") or "")
    if user == _TOKEN_USER:
        return {"identitytoken": secret, "serveraddress": server}
    return {"username": user, "password": secret, "serveraddress": server} if user else {}


def _run(helper: str, verb: str, text: str) -> bytes:
    """The helper's answer. Raises NotFound if it has no such credentials, Internal with its words if it fails."""
    from naru.linux.process import spawn

    name = f"docker-credential-{helper}"
    if "/" in helper:
        raise InvalidArgument(f"credential helper {helper!r} is not a name")
    program = find_program(name)
    files = [os.memfd_create(kind, os.MFD_CLOEXEC) for kind in ("stdin", "stdout", "stderr")]
    try:
        os.write(files[0], text.encode())
        os.lseek(files[0], 0, os.SEEK_SET)
        try:
            pid = spawn([program, verb], env=os.environ, fds=dict(enumerate(files)), new_session=False)
        except OSError as error:
            raise Internal(f"{name}: {error.strerror}") from error
        _, status = os.waitpid(pid, 0)
        output = os.pread(files[1], _HELPER_LIMIT_BYTES, 0)
        if status:
            words = (output + os.pread(files[2], 4096, 0)).decode(errors="replace").strip()
            if _MISSING in words:
                raise NotFound(words)
            raise Internal(f"error getting credentials - err: {name} {verb} failed, out: `{words}`")
        return output
    finally:
        for fd in files:
            os.close(fd)


def store(folder: str, credentials: Json) -> str:
    """Keep credentials (as for `header`) for their "serveraddress". Returns "" or where they lie unencrypted."""
    config = client_config.load(folder)
    server = str(credentials["serveraddress"])
    helper = _helper(config, server)
    token = credentials.get("identitytoken")
    if helper:
        user, secret = (
            (_TOKEN_USER, token) if token else (credentials.get("username", ""), credentials.get("password", ""))
        )
        _run(helper, "store", jsontext.encode({"ServerURL": server, "Username": user, "Secret": secret}))
        entry: Json = {}
    else:
        pair = f"{credentials.get('username', '')}:{'' if token else credentials.get('password', '')}"
        entry = {"auth": b2a_base64(pair.encode(), newline=False).decode()} | (
            {"identitytoken": token} if token else {}
        )
    config.setdefault("auths", {})[server] = entry
    client_config.save(folder, config)
    return "" if helper else f"{folder}/config.json"


def erase(folder: str, server: str) -> bool:
    """Forget what is kept for server; False if there was nothing."""
    config = client_config.load(folder)
    auths: Json = config.get("auths") or {}
    keys = [key for key in auths if normal_server(key) == server]
    helper = _helper(config, server)
    if helper and keys:
        with suppress(NotFound):  # it is already so
            _run(helper, "erase", server)
    for key in keys:
        del auths[key]
    if keys:
        client_config.save(folder, config)
    return bool(keys)
