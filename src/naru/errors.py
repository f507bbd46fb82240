"""The ten kinds of failure, and nothing else: no HTTP, no errno.

Every layer raises these, with the object and its id in the message; errors of libraries and of the kernel are turned
into one of them at the edge where they enter (`raise NotFound(...) from error`). `api/status.py` is the one table from
kind to HTTP status. Messages are part of Docker's API: clients match on their text, so the wording is Docker's where
Docker has one.

    NaruError
     ├── InvalidArgument   what was asked makes no sense, whatever the state
     ├── Unauthenticated   who is asking is not known (a registry said 401)
     ├── Forbidden         known, but not allowed; or refused by policy
     ├── NotFound          the named object does not exist
     ├── Conflict          it exists, and its state does not allow this now
     ├── NotModified       it is already so
     ├── Unsupported       a thing this engine, or this host, cannot do
     ├── Unavailable       a thing it could do, were somebody else (a registry, the disk) in order
     ├── DataLoss          stored bytes are not what they were
     └── Internal          everything else: a fault of ours or of the kernel
"""

from __future__ import annotations


class NaruError(Exception):
    """Base of the ten kinds; `str(error)` is the text a user sees."""


class InvalidArgument(NaruError): ...


class Unauthenticated(NaruError): ...


class Forbidden(NaruError): ...


class NotFound(NaruError): ...


class Conflict(NaruError): ...


class NotModified(NaruError): ...


class Unsupported(NaruError): ...


class Unavailable(NaruError): ...


class DataLoss(NaruError): ...


class Internal(NaruError): ...
