"""Requests of the hub to where its users say: what goes along, what comes back, and what is said of them."""

from __future__ import annotations

import gzip

import pytest
from handmade import Answer, RawServer, Seen, reply

from naru.errors import Forbidden, InvalidArgument, Unavailable
from naru.hub.outbound import Outbound, read_beginning, read_limited

MIB = 1 << 20


def test_names_that_begin_with_a_digit_are_names() -> None:
    outbound = Outbound()
    for url in ("https://1password.com/", "http://0xacab.org", "https://4.example:8443/x"):
        outbound.check(url)
    for url in ("http://127.0.0.1/", "http://[::1]/", "http://[::ffff:10.0.0.1]/"):
        with pytest.raises(Forbidden):
            outbound.check(url)
    with pytest.raises(InvalidArgument):
        outbound.check("ftp://1password.com/")


async def test_numbers_that_resolve_to_this_machine() -> None:
    outbound = Outbound()
    try:
        for host in ("127.1", "2130706433", "0x7f000001"):
            with pytest.raises(Unavailable, match=r"loopback|canonical"):  # or it is none to aiohttp
                async with outbound.request("GET", f"http://{host}:9/"):
                    pass
    finally:
        await outbound.close()


async def test_nothing_is_remembered_of_a_receiver_and_nothing_unpacked() -> None:
    bomb = gzip.compress(bytes(32 * MIB))
    answer = reply(200, bomb, content_encoding="gzip", set_cookie="tracked=1; Path=/")
    outbound = Outbound(True)
    try:
        async with RawServer(lambda _: answer) as server:
            for _ in range(2):
                async with outbound.request("POST", f"{server.url}/hook", body=b"{}") as response:
                    assert await read_limited(response, MIB) == bomb
            assert all("cookie" not in seen.headers for seen in server.seen) and len(server.seen) == 2
            assert server.seen[0].headers["accept-encoding"] == "identity"
    finally:
        await outbound.close()


async def test_as_much_as_is_wanted_and_no_more() -> None:
    outbound = Outbound(True)

    def answer(seen: Seen) -> Answer:
        return reply(200, b"x" * (3 * MIB))

    try:
        async with RawServer(answer) as server:
            async with outbound.request("GET", server.url) as response:
                assert await read_beginning(response, 100) == b"x" * 100
            async with outbound.request("GET", server.url) as response:
                assert len(await read_limited(response, 3 * MIB)) == 3 * MIB
            async with outbound.request("GET", server.url) as response:
                with pytest.raises(Unavailable, match="larger than"):
                    await read_limited(response, 3 * MIB - 1)
    finally:
        await outbound.close()


async def test_the_secret_in_an_address_is_not_told() -> None:
    outbound = Outbound(True)
    try:
        async with RawServer(lambda _: b"nonsense\r\n\r\n") as server:
            for url in (f"{server.url}/services/s3cret?key=s3cret", "http://127.0.0.1:9/s3cret"):
                with pytest.raises(Unavailable, match=r"^http://127\.0\.0\.1:\d+: ") as told:
                    async with outbound.request("POST", url, body=b"{}"):
                        pass
                assert "s3cret" not in str(told.value)
    finally:
        await outbound.close()
