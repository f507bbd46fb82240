"""Each log driver against a server of its kind on a real socket. The expected bytes are those that Docker 29 sends."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import socket
import ssl
import struct
import subprocess
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from naru.logs.destination import Destination
from naru.logs.drivers import SHIPPING
from naru.logs.gelf import CHUNK_BYTES, chunks
from naru.logs.journald import Journal
from naru.logs.messages import Message, Partial
from naru.logs.syslog import Syslog
from naru.logs.values import Source

SOURCE = Source(
    id="0123456789abcdef" * 4, name="web", image_id="sha256:" + "fe" * 32, image_name="nginx:1", entrypoint="sh",
    arguments=("-c", "x"), created_ns=1795638658_798593779, env=("A=b", "C=d"), labels={"team": "x", "other": "y"}, host="vm",
)  # fmt: skip
TIME = "2026-11-25T20:30:58.590325123"
OUT, ERR = Message(TIME, 1, b"out"), Message(TIME, 2, b"err")


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def send(destination: Destination, *messages: Message) -> None:
    async def main() -> None:
        try:
            await destination.send(messages)
        finally:
            destination.close()
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(main(), 5))


def sent_by_udp(make: Callable[[int], Destination], *messages: Message, count: int) -> list[bytes]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        send(make(server.getsockname()[1]), *messages)
        return [server.recv(65536) for _ in range(count)]


def sent_by_tcp(
    make: Callable[[int], Destination], *messages: Message, answer: Callable[[bytes], bytes] | None = None
) -> bytes:
    data = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(5)
                while piece := connection.recv(65536):
                    data.extend(piece)
                    if answer is not None:
                        connection.sendall(answer(bytes(data)))

        thread = threading.Thread(target=serve)
        thread.start()
        send(make(server.getsockname()[1]), *messages)
        thread.join(5)
    return bytes(data)


# -- syslog -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("", b"<30>Nov 25 20:30:58 0123456789ab[7]: out\n"),
        ("rfc3164", b"<30>Nov 25 20:30:58 vm 0123456789ab[7]: out\n"),
        ("rfc5424", b"<30>1 2026-11-25T20:30:58Z vm 0123456789ab 7 0123456789ab - out\n"),
        ("rfc5424micro", b"<30>1 2026-11-25T20:30:58.590325Z vm 0123456789ab 7 0123456789ab - out\n"),
    ],
)
def test_syslog_over_udp(form: str, expected: bytes) -> None:
    options = {"syslog-format": form}
    found = sent_by_udp(
        lambda port: Syslog({**options, "syslog-address": f"udp://127.0.0.1:{port}"}, SOURCE, pid=7), OUT, ERR, count=2
    )
    assert found == [expected, expected.replace(b"<30>", b"<27>").replace(b"out", b"err")]


def test_syslog_over_tcp_with_facility_and_tag() -> None:
    options = {"syslog-facility": "local0", "tag": "{{.Name}}/{{.ID}}"}
    data = sent_by_tcp(
        lambda port: Syslog({**options, "syslog-address": f"tcp://127.0.0.1:{port}"}, SOURCE, pid=7), OUT, ERR
    )
    head = b"Nov 25 20:30:58 web/0123456789ab[7]: "
    assert data == b"<134>" + head + b"out\n<131>" + head + b"err\n"


def test_syslog_on_a_local_socket(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "log"))
        options = {"syslog-address": f"unixgram://{tmp_path}/log"}
        SHIPPING["syslog"].check(options)
        send(Syslog(options, SOURCE, pid=7), OUT)
        assert server.recv(1000) == b"<30>Nov 25 20:30:58 0123456789ab[7]: out\n"


@pytest.mark.parametrize("form", ["rfc3164", "rfc5424"])
def test_syslog_over_tls(tmp_path: Path, form: str) -> None:
    key, certificate = str(tmp_path / "key"), str(tmp_path / "cert")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=log", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    data, arrived = bytearray(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data.extend(await reader.read(1000))
        arrived.set()
        writer.close()

    async def main(**options: str) -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
            port = server.sockets[0].getsockname()[1]
            given = {"syslog-address": f"tcp+tls://127.0.0.1:{port}", "syslog-format": form, **options}
            SHIPPING["syslog"].check(given)
            syslog = Syslog(given, SOURCE, pid=7)
            try:
                await syslog.send([OUT])
                await arrived.wait()
            finally:
                syslog.close()
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(main(**{"syslog-tls-ca-cert": certificate}), 5))
    line = Syslog({"syslog-format": form, "syslog-address": "udp://h"}, SOURCE, pid=7).line(OUT)
    assert bytes(data) == (line if form == "rfc3164" else b"%d %b" % (len(line), line))  # RFC 5425 frames RFC 5424
    with pytest.raises(ssl.SSLError):
        asyncio.run(asyncio.wait_for(main(), 5))


# -- gelf ---------------------------------------------------------------------------------------------------------------

GELF = {
    "version": "1.1", "host": "vm", "short_message": "out", "timestamp": 1795638658.590, "level": 6, "_A": "b", "_team": "x",
    "_command": "sh -c x", "_container_id": SOURCE.id, "_container_name": "web", "_created": "2026-11-25T20:30:58.798593779Z",
    "_image_id": SOURCE.image_id, "_image_name": "nginx:1", "_tag": "0123456789ab",
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "unpack"),
    [("", gzip.decompress), ("gzip", gzip.decompress), ("zlib", zlib.decompress), ("none", lambda data: data)],
)
def test_gelf_over_udp(kind: str, unpack: Callable[[bytes], bytes]) -> None:
    options = {"labels": "team", "env": "A", **({"gelf-compression-type": kind} if kind else {})}
    (data,) = sent_by_udp(
        lambda port: SHIPPING["gelf"].open({**options, "gelf-address": f"udp://127.0.0.1:{port}"}, SOURCE), OUT, count=1
    )
    assert json.loads(unpack(data)) == GELF


def test_gelf_in_chunks() -> None:
    data = os.urandom(20000)
    found = chunks(data, b"12345678")
    assert all(len(chunk) <= CHUNK_BYTES and chunk[:10] == b"\x1e\x0f12345678" for chunk in found)
    assert [tuple(chunk[10:12]) for chunk in found] == [(number, 15) for number in range(15)]
    assert b"".join(chunk[12:] for chunk in found) == data
    assert chunks(b"x" * CHUNK_BYTES, b"12345678") == [b"x" * CHUNK_BYTES]
    assert chunks(b"x" * 200_000, b"12345678") == []


def test_gelf_over_tcp() -> None:
    data = sent_by_tcp(
        lambda port: SHIPPING["gelf"].open({"gelf-address": f"tcp://127.0.0.1:{port}"}, SOURCE),
        OUT,
        Message(TIME, 1, b""),
        ERR,
    )
    found = [json.loads(each) for each in data.removesuffix(b"\0").split(b"\0")]
    assert [(each["short_message"], each["level"]) for each in found] == [("out", 6), ("err", 3)]


# -- fluentd ------------------------------------------------------------------------------------------------------------


def fluentd(port: int, **options: str) -> Destination:
    given = {name.replace("_", "-"): value for name, value in options.items()}
    return SHIPPING["fluentd"].open({"fluentd-address": f"127.0.0.1:{port}", **given}, SOURCE)


def test_fluentd() -> None:
    raw = Message(TIME, 1, b"\xff\0", Partial("id", 2, True))
    tag, events, option = msgspec.msgpack.decode(sent_by_tcp(lambda port: fluentd(port, labels="team"), OUT, ERR, raw))
    assert (tag, option) == ("0123456789ab", {"size": 3})
    common = {"container_id": SOURCE.id, "container_name": "/web", "team": "x"}
    assert events[0] == [1795638658, {**common, "source": "stdout", "log": "out"}]
    assert events[1][1]["source"] == "stderr"
    assert events[2][1] == {
        **common, "source": "stdout", "log": b"\xff\0", "partial_message": "true", "partial_id": "id", "partial_ordinal": "2",
        "partial_last": "true",
    }  # fmt: skip


def test_fluentd_to_the_nanosecond() -> None:
    _, events, _ = msgspec.msgpack.decode(
        sent_by_tcp(lambda port: fluentd(port, fluentd_sub_second_precision="true"), OUT)
    )
    assert (events[0][0].code, bytes(events[0][0].data)) == (0, struct.pack(">II", 1795638658, 590325123))


def acknowledge(data: bytes) -> bytes:
    return msgspec.msgpack.encode({"ack": msgspec.msgpack.decode(data)[2]["chunk"]})


def test_fluentd_waits_for_the_acknowledgement() -> None:
    assert sent_by_tcp(lambda port: fluentd(port, fluentd_request_ack="true"), OUT, answer=acknowledge)
    with pytest.raises(ConnectionResetError):
        sent_by_tcp(
            lambda port: fluentd(port, fluentd_request_ack="true"), OUT, answer=lambda data: b"\x81\xa3ack\xa1x"
        )


# -- journald -----------------------------------------------------------------------------------------------------------


def fields_of(packet: bytes) -> dict[str, bytes]:
    """Of the journal's native protocol."""
    found, at = {}, 0
    while at < len(packet):
        end = packet.index(b"\n", at)
        name, equals, value = packet[at:end].partition(b"=")
        if equals:
            at = end + 1
        else:
            (size,) = struct.unpack_from("<Q", packet, end + 1)
            value, at = packet[end + 9 : end + 9 + size], end + 10 + size
        found[name.decode()] = value
    return found


def journal(tmp_path: Path, message: Message, **options: str) -> dict[str, bytes]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "journal"))
        send(Journal(options, SOURCE, str(tmp_path / "journal")), message)
        data, fds, _, _ = socket.recv_fds(server, 1 << 20, 1)
        for fd in fds:
            data = os.pread(fd, 1 << 24, 0)
            os.close(fd)
    return fields_of(data)


def test_journald(tmp_path: Path) -> None:
    found = journal(tmp_path, Message(TIME, 2, b"two\nlines\0"), labels="team,other", env="A")
    assert found == {
        "CONTAINER_ID": b"0123456789ab", "CONTAINER_ID_FULL": SOURCE.id.encode(), "CONTAINER_NAME": b"web",
        "CONTAINER_TAG": b"0123456789ab", "IMAGE_NAME": b"nginx:1", "SYSLOG_IDENTIFIER": b"0123456789ab", "TEAM": b"x", "OTHER": b"y",
        "A": b"b", "MESSAGE": b"two\nlines\0", "PRIORITY": b"3", "SYSLOG_TIMESTAMP": f"{TIME}Z".encode(),
    }  # fmt: skip


def test_journald_says_what_is_partial(tmp_path: Path) -> None:
    found = journal(tmp_path, Message(TIME, 1, b"x", Partial("id", 1, False)))
    assert (found["PRIORITY"], found["CONTAINER_PARTIAL_MESSAGE"], found["CONTAINER_PARTIAL_ORDINAL"]) == (
        b"6",
        b"true",
        b"1",
    )


def test_journald_takes_what_no_datagram_can_hold(tmp_path: Path) -> None:
    found = journal(tmp_path, Message(TIME, 1, b"x" * 1_000_000))
    assert len(found["MESSAGE"]) == 1_000_000


def test_a_server_that_is_not_there_is_an_error() -> None:
    for destination in (
        fluentd(1),
        SHIPPING["gelf"].open({"gelf-address": "tcp://127.0.0.1:1"}, SOURCE),
        SHIPPING["syslog"].open({"syslog-address": "tcp://127.0.0.1:1"}, SOURCE),
        Journal({}, SOURCE, "/nosuch/socket"),
    ):
        with pytest.raises(OSError):
            send(destination, OUT)
