"""Checking a user's credentials, as `docker login` wants it: are they good, and is there an identity token for them?"""

from __future__ import annotations

from naru.errors import Internal, Unauthenticated
from naru.remote.answers import ERROR_LIMIT_BYTES, refusal
from naru.remote.auth import Credentials, choose, parse_challenges
from naru.remote.faults import Unreachable
from naru.remote.hosts import registry_of
from naru.remote.tokens import Key
from naru.remote.transport import Request, Transport


async def check_login(transport: Transport, host: str, credentials: Credentials) -> str:
    """The identity token to keep instead of the password, or "" if the registry gives none.

    `host` may be any server address of Docker's configuration file. Raises Unauthenticated if the registry refuses the
    credentials, Unavailable, InvalidArgument; Internal if no connection comes about, as in Docker. A registry that asks
    nobody accepts everybody.
    """
    try:
        return await _check(transport, host, credentials)
    except Unreachable as error:
        raise Internal(f"{error.request}: {error.reason}") from error


async def _check(transport: Transport, host: str, credentials: Credentials) -> str:
    (endpoint,) = transport.config.endpoints(registry_of(host), push=True)
    server = await transport.server(endpoint)
    url = f"{server.url}/v2/"
    anonymous = Request("GET", url, Key(server.url, (), None))
    async with transport.follow(server, anonymous, "") as response:
        challenges = response.headers.getall("WWW-Authenticate", [])
        answer = await transport.read(response, anonymous, ERROR_LIMIT_BYTES)
    if answer.status == 200:
        return ""
    if answer.status != 401:
        raise refusal(answer.status, answer.body, str(anonymous))
    challenge = choose(parse_challenges(challenges))
    if challenge is None:
        raise Unauthenticated(f'Get "{url}": unauthorized: authentication required')
    key, identity_token = Key(server.url, (), credentials), ""
    if challenge.scheme == "bearer" and not credentials.registry_token:
        try:
            token = await transport.tokens.fetch(key, challenge, offline=True)
        except Unauthenticated as error:
            raise Unauthenticated(f'Get "{url}": {error}') from error
        identity_token = token.refresh
        header = f"Bearer {token.access}"
    elif challenge.scheme == "bearer":
        header = f"Bearer {credentials.registry_token}"
    else:
        header = credentials.basic()
    request = Request("GET", url, key)
    async with transport.follow(server, request, header) as response:
        if response.status != 200:
            raise Unauthenticated(f"login attempt to {url} failed with status: {response.status} {response.reason}")
    return identity_token
