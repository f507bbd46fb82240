from __future__ import annotations

import pytest

from naru.errors import InvalidArgument
from naru.remote.hosts import Endpoint, RegistryConfig, registry_of


def test_docker_io_is_served_by_its_registry_after_the_mirrors() -> None:
    config = RegistryConfig(mirrors=("http://10.1.1.1:5000/", "mirror.example", "127.0.0.1:5000"))
    assert config.endpoints("docker.io", push=False) == (
        Endpoint("10.1.1.1:5000", ("http",), True),
        Endpoint("mirror.example", ("https",), True),
        Endpoint("127.0.0.1:5000", ("http", "https"), True, verify_tls=False),
        Endpoint("registry-1.docker.io"),
    )
    assert config.endpoints("docker.io", push=True) == (Endpoint("registry-1.docker.io"),)
    assert config.endpoints("quay.io", push=False) == (Endpoint("quay.io"),)


def test_a_default_registry_replaces_docker_hub() -> None:
    config = RegistryConfig(default_registry="hub.corp:5000", insecure=("hub.corp:5000",))
    assert config.endpoints("docker.io", push=True) == (Endpoint("hub.corp:5000", ("https", "http"), verify_tls=False),)


def test_docker_hub_is_searched_elsewhere() -> None:
    config = RegistryConfig(mirrors=("mirror.example",))
    assert config.search_endpoints("docker.io") == (
        Endpoint("mirror.example", ("https",), True),
        Endpoint("index.docker.io"),
    )
    assert config.search_endpoints("quay.io") == (Endpoint("quay.io"),)
    assert RegistryConfig(default_registry="hub.corp").search_endpoints("docker.io") == (Endpoint("hub.corp"),)


@pytest.mark.parametrize(
    ("insecure", "host", "expected"),
    [
        (None, "127.0.0.1:5000", True),
        (None, "127.9.9.9", True),
        (None, "[::1]:5000", True),
        (None, "localhost", True),
        (None, "localhost.evil.com", False),
        (None, "10.0.0.1", False),
        ((), "127.0.0.1:5000", False),  # Engine 29.10: configured, and not listed
        (("10.0.0.0/8",), "127.0.0.1", False),
        (("10.0.0.0/8",), "10.2.3.4:5000", True),
        (("fd00::/8",), "[fd00::1]:5000", True),
        (("fd00::/8",), "10.2.3.4", False),
        (("reg.corp:5000",), "reg.corp:5000", True),
        (("reg.corp:5000",), "reg.corp:5001", False),
        (("reg.corp",), "reg.corp:5001", True),
    ],
)
def test_insecure_registries(insecure: tuple[str, ...] | None, host: str, expected: bool) -> None:
    assert RegistryConfig(insecure=insecure).is_insecure(host) is expected


@pytest.mark.parametrize(
    "arguments",
    [
        {"mirrors": ("https://m/path",)},
        {"mirrors": ("ftp://m",)},
        {"mirrors": ("https://u:p@m",)},
        {"mirrors": ("",)},
        {"insecure": ("10.0.0.0/99",)},
        {"insecure": ("a b",)},
        {"insecure": ("host:99999",)},
        {"default_registry": "https://hub"},
    ],
)
def test_bad_settings_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument):
        RegistryConfig(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://index.docker.io/v1/", "docker.io"),
        ("", "docker.io"),
        ("docker.io", "docker.io"),
        ("http://127.0.0.1:5000", "127.0.0.1:5000"),
        ("ghcr.io", "ghcr.io"),
    ],
)
def test_server_addresses_name_registries(address: str, host: str) -> None:
    assert registry_of(address) == host
