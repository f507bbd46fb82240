from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from naru.errors import Conflict, InvalidArgument, NaruError, Unsupported
from naru.networks.ports import Ports
from naru.networks.records import PortBinding, PortRequest

LOOPBACK = "127.0.0.1"


@pytest.fixture
def ports() -> Iterator[Ports]:
    held = Ports()
    yield held
    held.close()


@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_a_reserved_port_is_nobody_else_s(ports: Ports, proto: str) -> None:
    binding = ports.reserve(PortRequest(proto, 80, LOOPBACK))
    assert binding.host_port >= 1024
    kind = socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as other:
        if proto == "tcp":
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="Address already in use"):
            other.bind((LOOPBACK, binding.host_port))
    for ip in (LOOPBACK, "0.0.0.0"):
        with pytest.raises(Conflict) as caught:
            ports.reserve(PortRequest(proto, 81, ip, binding.host_port))
        assert str(caught.value) == f"Bind for {ip}:{binding.host_port} failed: port is already allocated"
    assert ports.reserve(PortRequest(proto, 81, "127.0.0.2", binding.host_port)).host_ip == "127.0.0.2"
    ports.release(binding)
    ports.release(binding)  # once more is no error
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind((LOOPBACK, binding.host_port))


def test_connections_of_an_earlier_holder_do_not_hold_it(ports: Ports) -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        number = server.getsockname()[1]
        with socket.create_connection((LOOPBACK, number)), server.accept()[0] as accepted:
            accepted.close()  # closed first by the server's side: TIME_WAIT on its port
    ports.reserve(PortRequest("tcp", 80, LOOPBACK, number))


def test_sctp_needs_no_sockets_of_the_kernel(ports: Ports) -> None:
    first, second = ports.reserve(PortRequest("sctp", 80)), ports.reserve(PortRequest("sctp", 80))
    assert first.host_port != second.host_port
    with pytest.raises(Conflict):
        ports.reserve(PortRequest("sctp", 80, "", first.host_port))


@pytest.mark.parametrize(
    ("request_", "kind", "message"),
    [
        (PortRequest("xxx", 80), InvalidArgument, "unknown protocol"),
        (PortRequest("tcp", 80, "x"), InvalidArgument, "invalid IP address: x"),
        (PortRequest("tcp", 80, "::1"), Unsupported, "cannot publish on host address ::1: IPv6 is not supported"),
        (
            PortRequest("tcp", 80, "192.0.2.250", 80),
            Conflict,
            "failed to bind host port 192.0.2.250:80/tcp: cannot assign requested address",
        ),
    ],
)
def test_what_cannot_be_reserved(ports: Ports, request_: PortRequest, kind: type[NaruError], message: str) -> None:
    with pytest.raises(kind) as caught:
        ports.reserve(request_)
    assert str(caught.value) == message


def test_a_running_container_keeps_its_port_whoever_holds_it(ports: Ports, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        binding = PortBinding("tcp", 80, LOOPBACK, server.getsockname()[1])
        ports.reserve_again(binding)
    assert "port is already allocated" in caplog.text
    with pytest.raises(Conflict):
        ports.reserve(PortRequest("tcp", 81, LOOPBACK, binding.host_port))
    ports.release(binding)
