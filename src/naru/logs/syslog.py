"""The log driver `syslog`: RFC 3164, RFC 5424 (with microseconds if asked), and the form of local sockets; over datagrams,
streams and TLS. The time is that of the line. RFC 5425 frames RFC 5424 over TLS."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from naru.logs.cri import STDERR
from naru.logs.destination import Destination, Driver, Options, host_and_port, tag_of
from naru.logs.messages import Message
from naru.logs.transport import Address, Datagrams, Stream
from naru.logs.values import Source

_FACILITIES = (
    "kern user mail daemon auth syslog lpr news uucp cron authpriv ftp ntp security console solaris-cron "
    "local0 local1 local2 local3 local4 local5 local6 local7"
).split()
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_NAMED = {name: number for number, name in enumerate(_FACILITIES) if name not in ("ntp", "security", "console", "solaris-cron")}  # fmt: skip
_SCHEMES = ("unix", "unixgram", "udp", "tcp", "tcp+tls")
_LOCAL_SOCKETS = ("/dev/log", "/var/run/syslog", "/var/run/log")
_PORT = 514
_ERROR, _INFO = 3, 6
Head = Callable[[Message, str, str, int], str]  # and host, tag, pid


def _stamp(message: Message) -> str:
    """RFC 3164's, which says no zone and means the host's."""
    local = time.localtime(message.time_ns // 1_000_000_000)
    return f"{_MONTHS[local.tm_mon - 1]} {local.tm_mday:2d} {local.tm_hour:02d}:{local.tm_min:02d}:{local.tm_sec:02d}"


_FORMATS: dict[str, Head] = {
    "": lambda message, host, tag, pid: f"{_stamp(message)} {tag}[{pid}]: ",
    "rfc3164": lambda message, host, tag, pid: f"{_stamp(message)} {host} {tag}[{pid}]: ",
    "rfc5424": lambda message, host, tag, pid: f"1 {message.time[:19]}Z {host} {tag} {pid} {tag} - ",
    "rfc5424micro": lambda message, host, tag, pid: f"1 {message.time[:26]}Z {host} {tag} {pid} {tag} - ",
}


def facility(text: str) -> int:
    """By name or number. Raises ValueError."""
    if not text:
        return _NAMED["daemon"]
    if text in _NAMED:
        return _NAMED[text]
    if text.isdigit() and int(text) <= 23:
        return int(text)
    raise ValueError("invalid syslog facility")


def address(text: str) -> Address:
    """Raises ValueError."""
    if not text:
        return Address("unixgram", path=next((path for path in _LOCAL_SOCKETS if os.path.exists(path)), "/dev/log"))
    parts = urlsplit(text)
    if parts.scheme not in _SCHEMES:
        raise ValueError(f"unsupported scheme: '{parts.scheme}'")
    if parts.scheme in ("unix", "unixgram"):
        return Address(parts.scheme, path=parts.path)
    host, port = host_and_port(parts.netloc, _PORT)
    return Address("tls" if parts.scheme == "tcp+tls" else parts.scheme, host, port)


class Syslog:
    def __init__(self, options: Options, source: Source, pid: int | None = None) -> None:
        self._address = address(options.get("syslog-address", ""))
        self._format = _FORMATS[options.get("syslog-format", "")]
        self._priority = facility(options.get("syslog-facility", "")) * 8
        self._tag, self._host = tag_of(options, source), source.host
        self._pid = os.getpid() if pid is None else pid
        self._counted = self._address.scheme == "tls" and options.get("syslog-format", "").startswith("rfc5424")
        self._socket = self._connection(options)

    def _connection(self, options: Options) -> Datagrams | Stream:
        if self._address.scheme in ("udp", "unixgram"):
            return Datagrams(self._address)
        return Stream(self._address, tls_context(options) if self._address.scheme == "tls" else None)

    def line(self, message: Message) -> bytes:
        priority = self._priority + (_ERROR if message.stream == STDERR else _INFO)
        head = self._format(message, self._host, self._tag, self._pid)
        line = f"<{priority}>{head}".encode() + message.text + b"\n"
        return b"%d %b" % (len(line), line) if self._counted else line

    async def send(self, messages: Sequence[Message]) -> None:
        lines = [self.line(message) for message in messages]
        if isinstance(self._socket, Datagrams):
            await self._socket.send(lines)
        else:
            await self._socket.send(b"".join(lines))

    def close(self) -> None:
        self._socket.close()


def tls_context(options: Options) -> ssl.SSLContext:
    """Raises OSError for files that cannot be read."""
    authority = options.get("syslog-tls-ca-cert")
    try:
        context = ssl.create_default_context(cafile=authority)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            error.errno, f'could not read CA certificate "{authority}": open {authority}: no such file or directory'
        ) from error
    if options.get("syslog-tls-skip-verify"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if options.get("syslog-tls-cert"):
        context.load_cert_chain(options["syslog-tls-cert"], options.get("syslog-tls-key"))
    return context


def _check(options: Options) -> None:
    target = address(options.get("syslog-address", ""))
    if target.path and "syslog-address" in options and not os.path.exists(target.path):
        raise ValueError(f"stat {target.path}: no such file or directory")
    facility(options.get("syslog-facility", ""))
    if options.get("syslog-format", "") not in _FORMATS:
        raise ValueError("Invalid syslog format")
    if target.scheme == "tls":
        try:
            tls_context(options)
        except OSError as error:
            raise ValueError(f"failed to initialize logging driver: {error.strerror or error}") from error


def _open(options: Options, source: Source) -> Destination:
    return Syslog(options, source)


DRIVER = Driver(
    frozenset(
        f"syslog-{name}"
        for name in ("address", "facility", "format", "tls-ca-cert", "tls-cert", "tls-key", "tls-skip-verify")
    ),
    _check,
    _open,
)
