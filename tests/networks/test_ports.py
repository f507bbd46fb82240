from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from naru.errors import Conflict, InvalidArgument, NaruError
from naru.networks.ports import Ports, hosts
from naru.networks.records import PortBinding, PortRequest

LOOPBACK = "127.0.0.1"


@pytest.fixture
def ports() -> Iterator[Ports]:
    held = Ports()
    yield held
    held.close()


@pytest.mark.parametrize(
    ("host_ip", "default", "families", "found"),
    [
        ("", "0.0.0.0", "46", ["0.0.0.0", "::"]),
        ("", "0.0.0.0", "4", ["0.0.0.0"]),
        ("", "0.0.0.0", "6", ["::"]),
        ("0.0.0.0", "0.0.0.0", "46", ["0.0.0.0"]),  # said so: no more than that
        ("::", "0.0.0.0", "46", ["::"]),
        ("[::1]".strip("[]"), "0.0.0.0", "46", ["::1"]),
        ("", "127.0.0.1", "46", ["127.0.0.1"]),
        ("", "::1", "46", ["::1"]),
        ("127.0.0.1", "0.0.0.0", "6", []),
        ("FD00:0::1", "0.0.0.0", "46", ["fd00::1"]),
    ],
)
def test_addresses_to_publish_on(host_ip: str, default: str, families: str, found: list[str]) -> None:
    request = PortRequest("tcp", 80, host_ip)
    assert hosts(request, default, ipv4="4" in families, ipv6="6" in families) == found


def test_no_address() -> None:
    with pytest.raises(InvalidArgument, match="invalid IP address: x"):
        hosts(PortRequest("tcp", 80, "x"), "0.0.0.0", ipv4=True, ipv6=True)


def reserve(ports: Ports, request: PortRequest) -> PortBinding:
    [binding] = ports.reserve(request, hosts(request, request.host_ip or "0.0.0.0", ipv4=True, ipv6=False))
    return binding


def test_one_port_in_both_families(ports: Ports) -> None:
    both = ports.reserve(PortRequest("tcp", 80), ["0.0.0.0", "::"])
    assert [binding.host_ip for binding in both] == ["0.0.0.0", "::"]
    assert both[0].host_port == both[1].host_port
    with pytest.raises(Conflict) as caught:
        ports.reserve(PortRequest("tcp", 80, "::1", both[0].host_port), ["::1"])
    assert str(caught.value) == f"Bind for ::1:{both[0].host_port} failed: port is already allocated"
    ports.release(both[1])
    ports.reserve(PortRequest("tcp", 80, "::1", both[0].host_port), ["::1"])  # IPv4's is another port


def test_a_conflict_in_one_family_leaves_nothing_of_the_other(ports: Ports) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        number = server.getsockname()[1]
        with pytest.raises(Conflict) as caught:
            ports.reserve(PortRequest("tcp", 80, "", number), ["0.0.0.0", "::"])
        assert str(caught.value) == f"failed to bind host port [::]:{number}/tcp: address already in use"
        with socket.create_server(("0.0.0.0", number)):
            pass


@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_a_reserved_port_is_nobody_else_s(ports: Ports, proto: str) -> None:
    binding = reserve(ports, PortRequest(proto, 80, LOOPBACK))
    assert binding.host_port >= 1024
    kind = socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as other:
        if proto == "tcp":
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="Address already in use"):
            other.bind((LOOPBACK, binding.host_port))
    for ip in (LOOPBACK, "0.0.0.0"):
        with pytest.raises(Conflict) as caught:
            reserve(ports, PortRequest(proto, 81, ip, binding.host_port))
        assert str(caught.value) == f"Bind for {ip}:{binding.host_port} failed: port is already allocated"
    assert reserve(ports, PortRequest(proto, 81, "127.0.0.2", binding.host_port)).host_ip == "127.0.0.2"
    ports.release(binding)
    ports.release(binding)  # once more is no error
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind((LOOPBACK, binding.host_port))


def test_connections_of_an_earlier_holder_do_not_hold_it(ports: Ports) -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        number = server.getsockname()[1]
        with socket.create_connection((LOOPBACK, number)), server.accept()[0] as accepted:
            accepted.close()  # closed first by the server's side: TIME_WAIT on its port
    reserve(ports, PortRequest("tcp", 80, LOOPBACK, number))


def test_sctp_needs_no_sockets_of_the_kernel(ports: Ports) -> None:
    first, second = reserve(ports, PortRequest("sctp", 80)), reserve(ports, PortRequest("sctp", 80))
    assert first.host_port != second.host_port
    with pytest.raises(Conflict):
        reserve(ports, PortRequest("sctp", 80, "", first.host_port))


@pytest.mark.parametrize(
    ("request_", "kind", "message"),
    [
        (PortRequest("xxx", 80), InvalidArgument, "unknown protocol"),
        (PortRequest("tcp", 80, "x"), InvalidArgument, "invalid IP address: x"),
        (
            PortRequest("tcp", 80, "192.0.2.250", 80),
            Conflict,
            "failed to bind host port 192.0.2.250:80/tcp: cannot assign requested address",
        ),
    ],
)
def test_what_cannot_be_reserved(ports: Ports, request_: PortRequest, kind: type[NaruError], message: str) -> None:
    with pytest.raises(kind) as caught:
        reserve(ports, request_)
    assert str(caught.value) == message


def test_a_running_container_keeps_its_port_whoever_holds_it(ports: Ports, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        binding = PortBinding("tcp", 80, LOOPBACK, server.getsockname()[1])
        ports.reserve_again(binding)
    assert "address already in use" in caplog.text
    with pytest.raises(Conflict):
        reserve(ports, PortRequest("tcp", 81, LOOPBACK, binding.host_port))
    ports.release(binding)
