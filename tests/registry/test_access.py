"""Who may do what: users of a file, tokens of another server, a registry that is read-only."""

from __future__ import annotations

import asyncio
import base64
import datetime
import io
import ipaddress
import json
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import bcrypt
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from naru.errors import InvalidArgument
from naru.oci.digest import Digest
from naru.registry.access import Access, Action, Caller, Want
from naru.registry.errors import Refusal
from naru.registry.htpasswd import HtpasswdAccess, read
from naru.registry.server import Settings, running
from naru.registry.tokens import TokenAccess, read_keys

Answer = tuple[int, dict[str, str], bytes]
Ask = Callable[..., Awaitable[Answer]]


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def line(name: str, password: str) -> str:
    return f"{name}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode().replace('$2b$', '$2y$')}\n"


def with_registry(
    root: Path, scenario: Callable[[Ask], Awaitable[None]], access: Access | None = None, **more: Any
) -> None:
    async def main() -> None:
        async with (
            running(Settings("127.0.0.1:0", str(root), **more), access) as served,
            aiohttp.ClientSession() as session,
        ):

            async def ask(method: str, path: str, authorization: str = "", data: bytes | None = None) -> Answer:
                headers = {"Authorization": authorization} if authorization else {}
                async with session.request(
                    method, f"http://{served.address}{path}", headers=headers, data=data
                ) as response:
                    return response.status, dict(response.headers), await response.read()

            await scenario(ask)

    asyncio.run(main())


# -- users of a file --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("anonymous", [False, True])
def test_users_of_a_file(tmp_path: Path, anonymous: bool) -> None:
    users = tmp_path / "users"
    users.write_text("# two of them\n" + line("ann", "one") + "\n" + line("bob", "b:o:b"))

    async def scenario(ask: Ask) -> None:
        status, headers, body = await ask("GET", "/v2/")
        assert (status, headers["WWW-Authenticate"]) == (401, 'Basic realm="naru registry"')
        assert json.loads(body)["errors"][0]["code"] == "UNAUTHORIZED"
        assert (await ask("GET", "/v2/", basic("ann", "one")))[0] == 200
        assert (await ask("GET", "/v2/", basic("bob", "b:o:b")))[0] == 200
        for wrong in (
            basic("ann", "two"),
            basic("eve", "one"),
            basic("", ""),
            "Basic ???",
            "Bearer x",
            "Basic " + "A" * 8,
        ):
            status, headers, _ = await ask("GET", "/v2/", wrong)
            assert (status, "Basic" in headers["WWW-Authenticate"]) == (401, True), wrong
        reading = 200 if anonymous else 401
        for path in ("/v2/_catalog", "/v1/search?q=a", "/v2/a/referrers/sha256:" + "0" * 64):
            assert (await ask("GET", path))[0] == reading
        assert (await ask("POST", "/v2/a/blobs/uploads/"))[0] == 401
        assert (await ask("POST", "/v2/a/blobs/uploads/", basic("ann", "one")))[0] == 202
        # An upload is its owner's alone.
        _, headers, _ = await ask("POST", "/v2/a/blobs/uploads/", basic("ann", "one"))
        assert (await ask("GET", headers["Location"], basic("bob", "b:o:b")))[0] == 404
        assert (await ask("GET", "/v1/_ping"))[0] == 200
        # The file may change at any time, and be nonsense for a while.
        users.write_text(line("ann", "three"))
        assert (await ask("GET", "/v2/", basic("ann", "one")))[0] == 401
        assert (await ask("GET", "/v2/", basic("ann", "three")))[0] == 200
        users.write_text("nonsense")
        assert (await ask("GET", "/v2/", basic("ann", "three")))[0] == 200
        users.unlink()
        assert (await ask("GET", "/v2/", basic("ann", "three")))[0] == 200

    with_registry(tmp_path / "data", scenario, HtpasswdAccess(str(users), anonymous_pull=anonymous))


def test_long_passwords_are_as_htpasswd_takes_them(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text(line("ann", "x" * 72))
    access = HtpasswdAccess(str(users))
    assert asyncio.run(access.identify(basic("ann", "x" * 100))) == Caller("ann")
    with pytest.raises(Refusal):
        asyncio.run(access.identify(basic("ann", "x" * 71)))


def test_what_was_right_is_not_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users = tmp_path / "users"
    users.write_text(line("ann", "one"))
    access = HtpasswdAccess(str(users))
    asyncio.run(access.identify(basic("ann", "one")))
    monkeypatch.setattr(bcrypt, "checkpw", lambda *_: pytest.fail("bcrypt again"))
    assert asyncio.run(access.identify(basic("ann", "one"))) == Caller("ann")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ann\n", "line 1: not user:hash"),
        ("\nann:$apr1$x$y\n", "line 2: not a bcrypt hash"),
        ("ann:{SHA}x\n", "line 1: not a bcrypt"),
    ],
)
def test_files_that_are_no_good(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "users").write_text(text)
    with pytest.raises(InvalidArgument, match=words):
        read(str(tmp_path / "users"))
    with pytest.raises(InvalidArgument, match="No such file"):
        HtpasswdAccess(str(tmp_path / "nothing"))


# -- tokens -----------------------------------------------------------------------------------------------------------

REALM, SERVICE, ISSUER = "https://auth.example/token", "registry.example", "auth.example"
MAKERS: dict[str, Callable[[], Any]] = {
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


def pem(key: Any) -> bytes:
    made: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return made


def certificate(key: Any) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "auth.example")])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
    made = made.not_valid_after(now + datetime.timedelta(days=1))
    made = made.add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
    )
    how = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return made.sign(key, how).public_bytes(serialization.Encoding.PEM)


def token(key: Any, algorithm: str, *scopes: tuple[str, str, list[str]], kid: str = "", **changed: Any) -> str:
    access = [{"type": kind, "name": name, "actions": actions} for kind, name, actions in scopes]
    claims = {"iss": ISSUER, "aud": SERVICE, "sub": "ann", "exp": time.time() + 300, "access": access} | changed
    claims = {name: value for name, value in claims.items() if value is not None}
    return "Bearer " + jwt.encode(claims, key, algorithm, headers={"kid": kid} if kid else None)


def token_access(tmp_path: Path, data: bytes) -> TokenAccess:
    (tmp_path / "keys").write_bytes(data)
    return TokenAccess(REALM, SERVICE, ISSUER, read_keys(str(tmp_path / "keys")), time.time)


@pytest.mark.parametrize("algorithm", MAKERS)
@pytest.mark.parametrize("as_certificate", [False, True])
def test_tokens_say_who_may_do_what(tmp_path: Path, algorithm: str, as_certificate: bool) -> None:
    other, key = MAKERS["ES256"](), MAKERS[algorithm]()
    access = token_access(tmp_path, pem(other) + (certificate(key) if as_certificate else pem(key)))

    async def scenario(ask: Ask) -> None:
        status, headers, _ = await ask("GET", "/v2/")
        assert (status, headers["WWW-Authenticate"]) == (401, f'Bearer realm="{REALM}",service="{SERVICE}"')
        _, headers, _ = await ask("GET", "/v2/a/b/tags/list")
        assert headers["WWW-Authenticate"] == f'Bearer realm="{REALM}",service="{SERVICE}",scope="repository:a/b:pull"'
        assert (await ask("GET", "/v2/", token(key, algorithm)))[0] == 200
        status, headers, _ = await ask(
            "POST", "/v2/a/blobs/uploads/", token(key, algorithm, ("repository", "a", ["pull"]))
        )
        assert status == 401
        assert headers["WWW-Authenticate"].endswith('scope="repository:a:pull,push",error="insufficient_scope"')
        assert (
            await ask("POST", "/v2/a/blobs/uploads/", token(key, algorithm, ("repository", "a", ["pull", "push"])))
        )[0] == 202
        assert (await ask("GET", "/v2/_catalog", token(key, algorithm, ("registry", "catalog", ["*"]))))[0] == 200
        assert (await ask("GET", "/v2/_catalog", token(key, algorithm, ("repository", "catalog", ["*"]))))[0] == 401

    with_registry(tmp_path / "data", scenario, access)


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "somebody.else"}, {"aud": "another.registry"}, {"exp": time.time() - 3600}, {"exp": None}, {"aud": None}, {"iss": None},
        {"nbf": time.time() + 3600}, {"access": "all"}, {"access": [{"type": "repository"}]}, {"access": [1]},
    ],
)  # fmt: skip
def test_tokens_that_do_not_count(tmp_path: Path, changed: dict[str, Any]) -> None:
    key = MAKERS["ES256"]()
    access = token_access(tmp_path, pem(key))
    with pytest.raises(Refusal) as caught:
        asyncio.run(access.identify(token(key, "ES256", **changed)))
    assert caught.value.code == "UNAUTHORIZED"


def test_forged_tokens(tmp_path: Path) -> None:
    key, stranger = MAKERS["RS256"](), MAKERS["RS256"]()
    access = token_access(tmp_path, pem(key))
    unsigned = "Bearer " + jwt.encode({"iss": ISSUER, "aud": SERVICE, "exp": time.time() + 300}, None, "none")
    hashed = "Bearer " + jwt.encode({"iss": ISSUER, "aud": SERVICE, "exp": time.time() + 300}, "x" * 64, "HS256")
    for forged in (token(stranger, "RS256"), unsigned, hashed, "Bearer ", "Bearer a.b.c", basic("ann", "one")):
        with pytest.raises(Refusal):
            asyncio.run(access.identify(forged))


def test_keys_by_name(tmp_path: Path) -> None:
    keys = {name: MAKERS["ES256"]() for name in ("one", "two")}
    entries = [
        {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key())), "kid": name, "alg": "ES256"}
        for name, key in keys.items()
    ]
    access = token_access(tmp_path, json.dumps({"keys": entries}).encode())
    for name, key in keys.items():
        assert asyncio.run(access.identify(token(key, "ES256", kid=name))).name == "ann"
    with pytest.raises(Refusal):
        asyncio.run(access.identify(token(keys["one"], "ES256", kid="two")))


def test_a_token_is_verified_once_and_not_beyond_its_end(tmp_path: Path) -> None:
    key, now = MAKERS["ES256"](), [time.time()]
    (tmp_path / "keys").write_bytes(pem(key))
    access = TokenAccess(REALM, SERVICE, ISSUER, read_keys(str(tmp_path / "keys")), lambda: now[0])
    mine = token(key, "ES256", ("repository", "a", ["pull"]), exp=now[0] - 10)  # within the leeway
    caller = asyncio.run(access.identify(mine))
    assert access.may(caller, Want(Action.PULL, "a")) and not access.may(caller, Want(Action.PULL, "ab"))
    assert not access.may(Caller(), Want(Action.LOGIN))


@pytest.mark.parametrize(
    "data", [b"", b"{}", b'{"keys": []}', b"-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----\n", b"no key"]
)
def test_key_files_that_are_no_good(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "keys").write_bytes(data)
    with pytest.raises(InvalidArgument, match="key file"):
        read_keys(str(tmp_path / "keys"))


# -- read-only, TLS, the rest -----------------------------------------------------------------------------------------


def test_a_read_only_registry_changes_nothing(tmp_path: Path) -> None:
    async def scenario(ask: Ask) -> None:
        assert (await ask("GET", "/v2/"))[0] == 200
        for method, path in (
            ("POST", "/v2/a/blobs/uploads/"),
            ("PUT", "/v2/a/manifests/v1"),
            ("DELETE", "/v2/a/manifests/v1"),
        ):
            status, _, body = await ask(method, path)
            assert (status, json.loads(body)["errors"][0]["message"]) == (405, "the registry is read-only")

    with_registry(tmp_path, scenario, read_only=True)


def test_json_on_every_path(tmp_path: Path) -> None:
    async def scenario(ask: Ask) -> None:
        for path in ("/nowhere", "/v2/nowhere", "/v1/nowhere", "/v2/a/_oci/ext/nothing", "/metrics"):
            status, headers, body = await ask("GET", path)
            assert (status, headers["Content-Type"]) == (404, "application/json"), path
            assert json.loads(body)["errors"][0]["code"] == "UNSUPPORTED"
        assert json.loads((await ask("GET", "/"))[2])["name"] == "naru registry"

    with_registry(tmp_path, scenario)


def test_https_and_a_new_certificate_without_a_restart(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"

    def issue() -> None:
        made = MAKERS["ES256"]()
        key.write_bytes(
            made.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        cert.write_bytes(certificate(made))

    async def status(address: str) -> int:
        import ssl

        trust = ssl.create_default_context(cafile=str(cert))
        url = f"https://{address}/v2/"
        async with aiohttp.ClientSession() as session, session.get(url, ssl=trust) as response:
            return response.status

    async def blob(address: str) -> None:
        """Without sendfile, and the same."""
        import ssl

        trust = ssl.create_default_context(cafile=str(cert))
        data = bytes(range(256)) * 9000
        url, uploads = f"https://{address}/v2/a/blobs/{Digest.of(data)}", f"https://{address}/v2/a/blobs/uploads/"
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{uploads}?digest={Digest.of(data)}", data=io.BytesIO(data), ssl=trust) as answer:
                assert answer.status == 201
            async with session.get(url, ssl=trust) as answer:
                assert (answer.status, await answer.read()) == (200, data)
            async with session.get(url, ssl=trust, headers={"Range": "bytes=1000-2000000"}) as answer:
                assert (answer.status, await answer.read()) == (206, data[1000:2000001])
            async with session.get(url, ssl=trust, headers={"Range": "bytes=9999999-"}) as answer:
                assert answer.status == 416

    async def main() -> None:
        issue()
        async with running(Settings("127.0.0.1:0", str(tmp_path / "data"), str(cert), str(key))) as served:
            assert served.tls is not None and served.url.startswith("https://")
            assert await status(served.address) == 200
            await blob(served.address)
            issue()
            with pytest.raises(aiohttp.ClientSSLError):
                await status(served.address)
            served.tls.reload()
            assert await status(served.address) == 200
            cert.write_bytes(b"nonsense")
            with pytest.raises(InvalidArgument, match="TLS certificate"):
                served.tls.reload()

    asyncio.run(main())


def test_half_a_certificate_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(InvalidArgument, match="belong together"):
            async with running(Settings("127.0.0.1:0", str(tmp_path / "data"), certificate="x")):
                pass
        assert not os.path.exists(tmp_path / "data")

    asyncio.run(main())
