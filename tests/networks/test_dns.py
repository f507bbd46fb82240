from __future__ import annotations

import asyncio
import socket
import struct
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest

from naru.networks import dnsmessage as dns
from naru.networks.records import EndpointRequest, Member, Pool

pytestmark = pytest.mark.root
RESOLVER = ("127.0.0.11", 53)


def ask_udp(name: str, kind: int = dns.A) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(2)
        client.connect(RESOLVER)
        client.send(dns.question(name, kind, 7))
        return client.recv(65535)


def ask_tcp(name: str, kind: int = dns.A) -> bytes:
    with socket.create_connection(RESOLVER, 2) as client:
        message = dns.question(name, kind, 7)
        client.sendall(struct.pack("!H", len(message)) + message)
        (length,) = struct.unpack("!H", client.recv(2))
        return client.recv(length)


def read(data: bytes) -> tuple[int, list[str]]:
    """(response code, A records) of an answer whose names are compressed."""
    number, flags, _, count, _, _ = struct.unpack_from("!HHHHHH", data)
    assert number == 7 and flags & 0x8000
    records = data[12 + len(dns.parse_query(dns.with_id(b"\0\0\1\0" + data[4:], 7)).question) :]
    return flags & 15, [str(IPv4Address(records[16 * n + 12 : 16 * n + 16])) for n in range(count)]


class Upstream(asyncio.DatagramProtocol):
    """A name server of the host: knows every name as 192.0.2.7, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def reply(self, data: bytes) -> bytes:
        query = dns.parse_query(data)
        self.asked.append(query.name)
        return dns.answer(query, dns.addresses(["192.0.2.7"]))

    def datagram_received(self, data: bytes, sender: Any) -> None:
        self.transport.sendto(b"junk", sender)  # not an answer: to be ignored
        self.transport.sendto(self.reply(data), sender)

    async def serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        response = self.reply(await reader.readexactly(length))
        writer.write(struct.pack("!H", len(response)) + response)
        writer.close()


async def upstream() -> Upstream:
    loop = asyncio.get_running_loop()
    _, server = await loop.create_datagram_endpoint(Upstream, ("127.0.0.1", 53))
    server.tcp = await asyncio.start_server(server.serve_tcp, "127.0.0.1", 53)  # type: ignore[attr-defined]
    return server


async def resolve(box: Any, name: str, kind: int = dns.A, ask: Any = ask_udp) -> tuple[int, list[str]]:
    return read(await asyncio.to_thread(box.inside, partial(ask, name, kind)))


def test_names_on_shared_networks(play: Any) -> None:
    async def story(world: Any) -> None:
        server = await upstream()
        for name in ("app", "other"):
            await world.networks.create(name)
        web = await world.run("web", "app", aliases=("www",))
        client = await world.run("client", "app")
        stranger = await world.run("stranger", "other")
        for ask in (ask_udp, ask_tcp):
            for name in ("web", "WEB", "www", "web.app", web.member.id[:12]):
                assert await resolve(client, name, ask=ask) == (dns.OK, ["172.18.0.2"])
        assert await resolve(client, "web", dns.AAAA) == (dns.OK, [])  # it exists, and has no such address
        assert server.asked == []
        assert await resolve(stranger, "web") == (
            dns.OK,
            ["192.0.2.7"],
        )  # not its neighbour: asked of the host's server
        assert server.asked == ["web"]
        second = await world.run("web2", "app", aliases=("www",))
        assert sorted((await resolve(client, "www"))[1]) == ["172.18.0.2", second.ip]
        world.networks.rename(Member(second.member.id, "renamed"))
        assert (await resolve(client, "renamed"))[1] == [second.ip]
        await world.end(web)
        assert (await resolve(client, "www"))[1] == [second.ip]
        pointer = await asyncio.to_thread(client.inside, partial(ask_udp, "4.0.18.172.in-addr.arpa", dns.PTR))
        assert pointer.endswith(dns.pointer("renamed.app"))
        server.transport.close()
        server.tcp.close()  # type: ignore[attr-defined]

    play(story)


def test_ipv6_addresses(play: Any) -> None:
    async def story(world: Any) -> None:
        await world.networks.create("app", ipv6=True, pools=[Pool("fd00:1::/64")])
        await world.networks.create("six", ipv4=False, ipv6=True, pools=[Pool("fd00:2::/64")])
        await world.run("web", "app")
        client = await world.run("client", "app", "six")
        await world.run("alone", "six")
        ask = lambda name: partial(ask_udp, name, dns.AAAA)  # noqa: E731
        for name, address in (("web", "fd00:1::2"), ("alone", "fd00:2::3")):
            data = await asyncio.to_thread(client.inside, ask(name))
            assert data[6:8] == b"\0\1" and data.endswith(IPv6Address(address).packed)
        assert await resolve(client, "web") == (dns.OK, ["172.18.0.2"])
        assert await resolve(client, "alone") == (dns.OK, [])  # it exists, and has no such address
        name = IPv6Address("fd00:1::2").reverse_pointer
        pointer = await asyncio.to_thread(client.inside, partial(ask_udp, name, dns.PTR))
        assert pointer.endswith(dns.pointer("web.app"))

    play(story)


def test_a_link_is_a_name_for_one_container_alone(play: Any) -> None:
    async def story(world: Any) -> None:
        server = await upstream()
        await world.networks.create("app")
        web = await world.run("web", "app")
        linked = await world.run("linked", "app", links=("web:Backend",))
        plain = await world.run("plain", "app")
        assert await resolve(linked, "backend") == (dns.OK, [web.ip])
        assert await resolve(linked, "web") == (dns.OK, [web.ip])
        assert (await resolve(plain, "backend"))[1] != [web.ip]
        server.transport.close()
        server.tcp.close()  # type: ignore[attr-defined]

    play(story)


def test_everything_else_is_asked_of_the_host_s_servers_as_they_are_now(play: Any) -> None:
    async def story(world: Any) -> None:
        await world.networks.create("app")
        client = await world.run("client", "app")
        assert await resolve(client, "example.org") == (dns.SERVER_FAILURE, [])  # nobody listens at 127.0.0.1
        assert await resolve(client, "example.org", ask=ask_tcp) == (dns.SERVER_FAILURE, [])
        server = await upstream()
        with open(world.resolv_conf, "w") as file:
            file.write("nameserver 127.0.0.9\nnameserver 127.0.0.1\n")  # the first refuses
        for ask in (ask_udp, ask_tcp):
            assert await resolve(client, "example.org", ask=ask) == (dns.OK, ["192.0.2.7"])
        with open(world.resolv_conf, "w") as file:
            file.write("")
        assert await resolve(client, "example.org") == (dns.SERVER_FAILURE, [])
        assert server.asked == ["example.org"] * 2
        server.transport.close()
        server.tcp.close()  # type: ignore[attr-defined]

    play(story)


def test_no_question_leaves_an_internal_network(play: Any) -> None:
    async def story(world: Any) -> None:
        server = await upstream()
        await world.networks.create("inside", internal=True)
        client = await world.run("client", "inside")
        assert await resolve(client, "secret.example.org") == (dns.SERVER_FAILURE, [])
        assert await resolve(client, "secret.example.org", ask=ask_tcp) == (dns.SERVER_FAILURE, [])
        assert await resolve(client, "client") == (dns.OK, [client.ip])
        assert server.asked == []
        server.transport.close()
        server.tcp.close()  # type: ignore[attr-defined]

    play(story)


def test_a_container_may_have_port_53_itself_and_junk_gets_a_format_error(play: Any) -> None:
    async def story(world: Any) -> None:
        await world.networks.create("app")
        box = await world.run("dnsmasq", "app")

        def own_port() -> bytes:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
                own.bind(("0.0.0.0", 53))
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                    client.settimeout(2)
                    client.sendto(b"\0\7" + b"\0" * 14, RESOLVER)
                    return client.recv(512)

        assert await asyncio.to_thread(box.inside, own_port) == struct.pack("!HHHHHH", 7, 0x8001, 0, 0, 0, 0)

    play(story)


def test_names_survive_the_daemon_and_appear_with_connect(play: Any) -> None:
    async def story(world: Any) -> None:
        await world.networks.create("app")
        web = await world.run("web", "app")
        late = await world.run("late")
        await world.networks.connect(late.member, late.fd, EndpointRequest("app"))
        assert await resolve(late, "web") == (dns.OK, [web.ip])
        await world.restart()
        for box in (web, late):
            await world.networks.restore(box.member, box.fd)
        assert await resolve(web, "late") == (dns.OK, ["172.18.0.3"])
        await world.networks.disconnect(late.member.id, "app", late.fd)
        assert (await resolve(web, "late"))[0] == dns.SERVER_FAILURE

    play(story)
