"""Passwords: hashed, verified, and as slow for nobody as for somebody."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from argon2 import PasswordHasher

from naru.errors import DataLoss, InvalidArgument, Unavailable
from naru.hub.people.passwords import check_password, hash_password, needs_rehash, verify_password

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)  # what a hub of long ago might have stored


def test_a_password_is_right_and_another_is_not() -> None:
    async def scenario() -> None:
        hashed, again = await hash_password("correct horse"), await hash_password("correct horse")
        assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
        assert hashed != again  # salted
        assert await verify_password(hashed, "correct horse")
        assert not await verify_password(hashed, "correct horsf")
        assert not await verify_password(hashed, "")
        assert not needs_rehash(hashed)

    asyncio.run(scenario())


def test_nobody_has_no_password_and_takes_as_long_to_say_so() -> None:
    async def timed(hashed: str | None) -> float:
        best = float("inf")
        for _ in range(3):
            begin = time.perf_counter()
            assert not await verify_password(hashed, "not this one")
            best = min(best, time.perf_counter() - begin)
        return best

    async def scenario() -> None:
        somebody, nobody = await timed(await hash_password("correct horse")), await timed(None)
        assert 0.4 < nobody / somebody < 2.5
        for guess in ("", "a" * 8, "\0" * 16):
            assert not await verify_password(None, guess)

    asyncio.run(scenario())


def test_the_same_characters_are_the_same_password_however_they_are_composed() -> None:
    async def scenario() -> None:
        assert await verify_password(await hash_password("cafe\u0301 au lait"), "caf\u00e9 au lait")

    asyncio.run(scenario())


def test_hashes_of_other_parameters_are_right_but_to_be_made_again() -> None:
    old = CHEAP.hash("correct horse")
    assert asyncio.run(verify_password(old, "correct horse"))
    assert needs_rehash(old)


@pytest.mark.parametrize("bad", ["", "secret", "$2y$10$abcdefghijklmnopqrstuv"])
def test_a_stored_line_that_is_no_hash_is_lost_data_and_not_a_wrong_password(bad: str) -> None:
    with pytest.raises(DataLoss):
        asyncio.run(verify_password(bad, "correct horse"))
    with pytest.raises(DataLoss):
        needs_rehash(bad)


def test_a_stored_hash_that_cannot_be_computed_is_an_error_and_not_a_wrong_password() -> None:
    for damaged in (CHEAP.hash("x").replace("m=8,", "m=4294967295,"), CHEAP.hash("x")[:20]):
        with pytest.raises(Unavailable):
            asyncio.run(verify_password(damaged, "x"))


@pytest.mark.parametrize("bad", ["", "1234567", "é" * 513, "x" * 1025, "x" * (1 << 20), "half a pair \ud800"])
def test_what_may_not_become_a_password(bad: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^password: ") as caught:
        check_password(bad)
    assert not bad or bad not in str(caught.value)
    with pytest.raises(InvalidArgument):
        asyncio.run(hash_password(bad))


def test_what_cannot_be_a_password_is_not_taken_for_the_empty_one() -> None:
    of_nothing = CHEAP.hash(b"")
    assert asyncio.run(verify_password(of_nothing, ""))
    for bad in ("x" * 1025, "half a pair \ud800"):
        assert not asyncio.run(verify_password(of_nothing, bad))


def test_what_just_may() -> None:
    for good in ("12345678", "é" * 512, "x" * 1024, " " * 8):
        check_password(good)


def test_at_most_two_hash_at_once_even_when_their_callers_have_gone() -> None:
    async def scenario() -> None:
        asked = [asyncio.ensure_future(verify_password(None, f"guess {n}")) for n in range(12)]
        await asyncio.sleep(0)
        for task in asked[:8]:
            task.cancel()
        busy = [thread for thread in threading.enumerate() if thread.name.startswith("password")]
        assert 1 <= len(busy) <= 2
        assert await asyncio.gather(*asked[8:]) == [False] * 4

    for _ in range(2):  # and in another loop as well
        asyncio.run(scenario())
