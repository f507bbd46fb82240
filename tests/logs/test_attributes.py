"""Tags and what goes with every line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naru.logs.attributes import extra, tag
from naru.logs.goliterals import boolean, duration_s, integer, size_bytes
from naru.logs.values import Source

SOURCE = Source(
    id="0123456789abcdef" * 4, name="web", image_id="sha256:" + "fe" * 32, image_name="nginx:1", entrypoint="nginx",
    arguments=("-g", "daemon off;"), env=("STAGE=prod", "EMPTY=", "BARE"), labels={"team": "a=b", "site.id": "7"}, host="harbour",
)  # fmt: skip


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{.ID}}", "0123456789ab"),
        ("{{.FullID}}", SOURCE.id),
        ("{{ .Name }}/{{.ImageName}}", "web/nginx:1"),
        ("{{.ImageID}} {{.ImageFullID}}", f"fefefefefefe {SOURCE.image_id}"),
        ("{{.DaemonName}}", "docker"),
        ("{{.Command}}", "nginx -g daemon off;"),
        ('{{index .ContainerLabels "team"}}', "a=b"),
        ("{{.Name | upper}}", "WEB"),
        ("plain", "plain"),
        ("", ""),
    ],
)
def test_tags(template: str, expected: str) -> None:
    assert tag(template, SOURCE) == expected


@given(st.text(alphabet="{}.IDName| \"'", max_size=20))
def test_any_template_gives_a_tag_or_an_error(template: str) -> None:
    try:
        tag(template, SOURCE)
    except ValueError as error:
        assert str(error).startswith("template: log-tag:1")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {}),
        ({"labels": "team,nosuch"}, {"team": "a=b"}),
        ({"labels-regex": r"^site\."}, {"site.id": "7"}),
        ({"env": "STAGE,EMPTY"}, {"STAGE": "prod", "EMPTY": ""}),
        ({"env-regex": "^S", "labels": "team"}, {"team": "a=b", "STAGE": "prod"}),
    ],
)
def test_what_goes_with_every_line(options: dict[str, str], expected: dict[str, str]) -> None:
    assert extra(options, SOURCE) == expected


def test_go_literals() -> None:
    assert (boolean("T"), boolean("False")) == (True, False)
    assert (integer("+3"), integer("-3"), integer("7", "ParseUint")) == (3, -3, 7)
    assert (size_bytes("10"), size_bytes("64KiB", 1024), size_bytes("1.5 gb")) == (10, 65536, 1_500_000_000)
    assert (duration_s("1h2m"), duration_s("250ms"), duration_s("0"), duration_s("-1.5s")) == (3720.0, 0.25, 0.0, -1.5)
    for read, text, words in (
        (boolean, "yes", 'strconv.ParseBool: parsing "yes": invalid syntax'),
        (duration_s, "1", 'time: missing unit in duration "1"'),
        (duration_s, "abc", 'time: invalid duration "abc"'),
    ):
        with pytest.raises(ValueError) as caught:
            read(text)
        assert str(caught.value) == words
