"""What aiohttp and the kernel raise, as naru.errors, in the words of Docker's HTTP library where clients know them."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from yarl import URL

from naru.errors import NaruError, Unavailable

LEAD = "failed to do request: "  # how containerd, and so Docker, begins what became of a request to a registry


class Interrupted(Unavailable):
    """The connection broke or fell silent half-way: the same request may well succeed now."""


class Unreachable(Unavailable):
    """No connection came about, so nothing was asked yet. `request` names what was to be asked, `reason` what was in
    the way; Docker calls this a failure of the system (500), and the verbs whose status shows raise Internal from it."""

    def __init__(self, request: str, reason: str, lead: str = LEAD) -> None:
        super().__init__(f"{lead}{request}: {reason}")
        self.request = request
        self.reason = reason


@contextmanager
def foreign_errors(request: str, url: URL, lead: str = LEAD) -> Iterator[None]:
    """Map what aiohttp and the kernel raise; keep it around their calls alone, so that no disk error passes as theirs."""
    what = f"{lead}{request}"
    try:
        yield
    except aiohttp.ClientConnectorCertificateError as error:
        reason = f"tls: failed to verify certificate: x509: {error.certificate_error}"
        raise Unreachable(request, reason, lead) from error
    except aiohttp.ClientSSLError as error:
        plain = isinstance(error.os_error, ssl.SSLError) and error.os_error.reason in (
            "WRONG_VERSION_NUMBER",
            "HTTP_REQUEST",
        )
        reason = (
            "http: server gave HTTP response to HTTPS client" if plain else f"tls: {error.os_error.strerror or error}"
        )
        raise Unreachable(request, reason, lead) from error
    except aiohttp.ClientConnectorDNSError as error:
        private = "private address" in str(error.os_error)
        reason = str(error.os_error) if private else f"lookup {error.host}: no such host"
        raise Unreachable(request, f"dial tcp: {reason}", lead) from error
    except aiohttp.ClientConnectorError as error:
        reason = os.strerror(error.os_error.errno).lower() if error.os_error.errno else str(error.os_error)
        raise Unreachable(request, f"dial tcp {error.host}:{error.port}: connect: {reason}", lead) from error
    except aiohttp.ConnectionTimeoutError as error:
        raise Unreachable(request, f"dial tcp {url.host}:{url.port}: i/o timeout", lead) from error
    except TimeoutError as error:
        raise Interrupted(
            f"{what}: context deadline exceeded (Client.Timeout exceeded while awaiting headers or body)"
        ) from error
    except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, ConnectionError) as error:
        if isinstance(error.__cause__, NaruError):  # raised by the body that was being sent
            raise error.__cause__ from error
        raise Interrupted(f"{what}: unexpected EOF") from error
    except (aiohttp.ClientError, ValueError) as error:
        raise Unavailable(f"{what}: malformed HTTP response") from error
