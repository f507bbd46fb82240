from __future__ import annotations

import asyncio

import pytest

from naru.remote.addresses import PublicResolver, is_private, is_public


@pytest.mark.parametrize(
    ("address", "expected"),
    [("8.8.8.8", True), ("10.0.0.1", False), ("169.254.169.254", False), ("::ffff:127.0.0.1", False), ("::1", False),
     ("2606:4700::1111", True), ("fe80::1%eth0", False), ("100.64.0.1", False)],
)  # fmt: skip
def test_public_addresses(address: str, expected: bool) -> None:
    assert is_public(address) is expected


def test_names_that_lead_inside_are_refused() -> None:
    async def main() -> None:
        assert await is_private("localhost")
        with pytest.raises(OSError, match="private address"):
            await PublicResolver().resolve("localhost", 80)

    asyncio.run(main())
