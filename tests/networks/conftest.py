"""A host of our own: every test of the service runs in a network namespace made for it, in a thread that lives there."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from naru.events import Bus
from naru.linux import netlink, netns
from naru.linux.netlink import Netlink
from naru.linux.nft import Nft, has_table
from naru.networks.records import Endpoint, EndpointRequest, Member, PortRequest
from naru.networks.service import Networks
from naru.store.db import Database

PATIENCE_S = 3
DROPPED_S = 0.1  # after which a packet counts as dropped


@dataclass
class Box:
    """A container, as far as the network is concerned: a namespace, in which sockets can be opened."""

    member: Member
    fd: int
    endpoints: list[Endpoint] = field(default_factory=list)
    servers: list[asyncio.Server] = field(default_factory=list)

    @property
    def ip(self) -> str:
        return self.endpoints[0].ip

    def inside(self, work: Callable[[], Any]) -> Any:
        return netns.inside(self.fd, work)

    async def serve(self, port: int, text: bytes) -> None:
        """Answer each connection with text and the client's address."""
        listener = self.inside(lambda: socket.create_server(("0.0.0.0", port)))

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(text + b" " + writer.get_extra_info("peername")[0].encode())
            await writer.drain()
            writer.close()

        self.servers.append(await asyncio.start_server(answer, sock=listener))

    async def fetch(self, ip: str, port: int) -> bytes:
        return await asyncio.to_thread(self.inside, partial(fetch, ip, port))

    async def refused(self, ip: str, port: int) -> bool:
        return await asyncio.to_thread(self.inside, partial(refused, ip, port))

    def close(self) -> None:
        for server in self.servers:
            server.close()
        os.close(self.fd)


def fetch(ip: str, port: int, patience_s: float = PATIENCE_S) -> bytes:
    with socket.create_connection((ip, port), patience_s) as connection:
        data = b""
        while piece := connection.recv(100):
            data += piece
        return data


def refused(ip: str, port: int) -> bool:
    try:
        fetch(ip, port, DROPPED_S)
    except OSError:
        return True
    return False


_refused = refused  # the class has a method of this name


class World:  # what tests need comes by way of it: two conftest modules cannot be imported side by side
    """A host with one daemon, containers, and a LAN (10.55.0.0/24, we are .1, a neighbour .2 routes everything to us)."""

    def __init__(self, directory: str) -> None:
        self.resolv_conf = os.path.join(directory, "resolv.conf")
        with open(self.resolv_conf, "w") as file:
            file.write("nameserver 127.0.0.1\n")
        self.db = Database(os.path.join(directory, "naru.db"))
        self.bus = Bus()
        self.boxes: list[Box] = []
        self.networks = self.daemon()

    def daemon(self) -> Networks:
        return Networks(self.db, self.bus, bridge="naru0", table="naru", resolv_conf=self.resolv_conf)

    async def restart(self) -> None:
        self.networks.close()
        self.networks = self.daemon()
        await self.networks.start()

    def box(self, name: str) -> Box:
        box = Box(Member(secrets.token_hex(32), name, name), netns.create())
        self.boxes.append(box)
        return box

    async def run(self, name: str, *networks: str, ports: tuple[PortRequest, ...] = (), **wish: Any) -> Box:
        box = self.box(name)
        requests = [EndpointRequest(network, **wish) for network in networks or ("bridge",)]
        box.endpoints = await self.networks.attach(box.member, box.fd, requests, ports)
        return box

    async def fetch(self, ip: str, port: int) -> bytes:
        """As a process of the host."""
        return await asyncio.to_thread(fetch, ip, port)

    async def refused(self, ip: str, port: int) -> bool:
        return await asyncio.to_thread(refused, ip, port)

    @staticmethod
    def links() -> dict[str, str]:
        with Netlink() as host:
            return {link.name: link.kind for link in host.links()}

    @staticmethod
    def elements(where: str) -> str:
        """The listing of a set or map of the daemon's table."""
        with Nft() as nft:
            return nft.run(f"list {'map' if where.startswith('published') else 'set'} inet naru {where}")

    @staticmethod
    def has_table() -> bool:
        with Nft() as nft:
            return has_table(nft, "naru")

    @staticmethod
    def read(path: str) -> str:
        with open(path) as file:
            return file.read()

    @staticmethod
    async def until(true: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not true():
                await asyncio.to_thread(os.sched_yield)

    is_refused = staticmethod(_refused)

    async def end(self, box: Box) -> None:
        """The container's processes are gone: the last holder of the namespace lets go, then the daemon learns of it."""
        self.boxes.remove(box)
        box.close()
        await self.networks.detach(box.member.id)

    def lan(self) -> Box:
        box = self.box("lan")
        with Netlink() as host:
            host.run(netlink.add_bridge("lan0", mac="02:00:00:00:00:01"))
            index = netlink.index_of("lan0")
            host.run(netlink.add_address(index, "10.55.0.1", 24))

            def wire() -> None:
                host.run(
                    netlink.add_veth("vlan", master=index, peer="eth0", peer_netns=box.fd, peer_mac="02:00:00:00:00:02")
                )
                there = netlink.index_of("eth0")
                with Netlink() as here:
                    here.run(
                        netlink.set_up(there),
                        netlink.add_address(there, "10.55.0.2", 24),
                        netlink.set_default_route("10.55.0.1", there),
                    )

            box.inside(wire)
        return box

    def events(self) -> list[tuple[str, dict[str, str]]]:
        return [(event.action, dict(event.attributes)) for event in self.bus.past()]


@asynccontextmanager
async def running(directory: str) -> AsyncIterator[World]:
    world = World(directory)
    try:
        await world.networks.start()
        yield world
    finally:
        for box in world.boxes:
            box.close()
        await world.networks.down()
        world.db.close()


Story = Callable[[World], Coroutine[Any, Any, None]]


@pytest.fixture
def play(tmp_path: Any) -> Iterator[Callable[[Story], None]]:
    """Run an async function on a host of its own; the real one never sees any of it."""
    host = netns.create()

    def run(story: Story) -> None:
        async def main() -> None:
            async with running(str(tmp_path)) as world:
                await story(world)

        netns.inside(host, lambda: asyncio.run(main()))

    yield run
    os.close(host)
