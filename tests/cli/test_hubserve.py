"""Where a hub's settings come from: the command line, else the environment, else a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from naru.cli import hubserve
from naru.cli.grammar import Grammar, parse
from naru.cli.hubserve import settings
from naru.errors import InvalidArgument


def given(*argv: str, environment: dict[str, str] | None = None, file: dict[str, object] | None = None) -> object:
    return settings(parse(Grammar(hubserve.HELP["hub serve"]), argv), environment or {}, file or {})


def test_the_nearest_counts() -> None:
    file = {"listen": "a:1", "title": "File", "closed": True, "grace": "1h"}
    environment = {"NARU_HUB_TITLE": "Environment", "NARU_HUB_LISTEN": "b:2", "NARU_HUB_ALLOW_PRIVATE_TARGETS": "yes"}
    found = given("--listen", "c:3", environment=environment, file=file)
    assert (found.registry.listen, found.title, found.sign_up) == ("c:3", "Environment", False)  # type: ignore[attr-defined]
    assert found.allow_private and found.registry.policy.grace_s == 3600  # type: ignore[attr-defined]
    assert given().registry.listen == "127.0.0.1:5500"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("file", "match"),
    [
        ({"lisen": "a:1"}, "lisen"), ({"listen": 5}, "listen"), ({"closed": "perhaps"}, "closed"), ({"closed": 1}, "closed"),
        ({"account-limit": "many"}, "account-limit"), ({"account-limit": "5/x"}, "account-limit"), ({"oidc": {}}, "oidc"),
        ({"oidc": {"issuer": "x", "client_id": 5}}, "client_id"), ({"oidc": {"issuer": "x", "client_id": "y", "z": 1}}, "z"),
        ({"trusted-proxies": "nowhere"}, "trusted proxies"),
    ],
)  # fmt: skip
def test_what_is_none_is_refused_by_name(file: dict[str, object], match: str) -> None:
    with pytest.raises(InvalidArgument, match=match):
        given(file=file)


def test_limits_and_a_provider() -> None:
    found = given(file={"account-limit": "200/6h", "oidc": {"issuer": "https://id.example", "client_id": "naru"}})
    assert found.limits.account.window_s == 21600 and found.limits.address is None  # type: ignore[attr-defined]
    assert found.oidc.issuer == "https://id.example"  # type: ignore[attr-defined]


def test_files(tmp_path: Path) -> None:
    (tmp_path / "hub.toml").write_text('title = "From a file"\n[oidc]\nissuer = "x"\nclient_id = "y"\n')
    assert hubserve._read(str(tmp_path / "hub.toml"))["title"] == "From a file"
    (tmp_path / "bad.toml").write_text("title = ")
    for name in ("bad.toml", "none.toml"):
        with pytest.raises(InvalidArgument, match=name):
            hubserve._read(str(tmp_path / name))
