"""Who waits for whom at boot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from naru.containers.bootorder import Wait, dependencies, plan, verdict
from naru.containers.records import Container, Status


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("", []),
        ("db:service_healthy:false", [("db", "service_healthy")]),
        ("db:service_healthy:false,cache:service_started:true", [("db", "service_healthy"), ("cache", "service_started")]),
        ("init:service_completed_successfully:false", [("init", "service_completed_successfully")]),
        ("db", [("db", "service_started")]),  # of an old Compose
        ("db:service_started", [("db", "service_started")]),
        ("db:whatever:x", [("db", "service_started")]),
        (" db:service_healthy , ,:service_started", [("db", "service_healthy")]),
    ],
)  # fmt: skip
def test_dependencies(label: str, expected: list[tuple[str, str]]) -> None:
    assert list(dependencies({"com.docker.compose.depends_on": label})) == expected
    assert list(dependencies({})) == []


# "service[/project] < dependency, dependency": the n-th has the id n. What each waits for; ids that are not due are in brackets.
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("web < db; db", "web: db"),
        ("db; web < db:service_healthy", "web: db=service_healthy"),
        ("web < db, cache; db; cache", "web: db cache"),
        ("web < api; api < db; db", "web: api, api: db"),
        ("web < db; [db]", "web: db"),  # it runs already, or stays down: the verdict tells
        ("[web] < db; db", ""),
        ("web < nothing", ""),
        ("web < web", ""),
        ("web < db; db/other", ""),
        ("web/a < db; db/a; web/b < db; db/b", "web/a: db/a, web/b: db/b"),
        ("a < b; b < a", "a: b"),  # the first one keeps its wait
        ("a < b; b < c; c < a", "a: b, b: c"),
        ("x < a; a < b; b < a", "x: a, a: b"),
        ("a < b, c; b < c; c < b", "a: b c, b: c"),
        ("a < c, b; b < c; c", "a: c b, b: c"),
        ("plain", ""),
    ],
)
def test_plan(record: Callable[..., Container], given: str, expected: str) -> None:
    records, due, names = [], set(), {}
    for number, entry in enumerate(given.split(";")):
        name, _, needs = (part.strip() for part in entry.partition("<"))
        bare = name.strip("[]")
        service, _, project = bare.partition("/")
        labels = {"com.docker.compose.service": service, "com.docker.compose.project": project or "p"}
        labels["com.docker.compose.depends_on"] = needs.replace(" ", "")
        records.append(replace(record(config={"labels": labels}), id=str(number), created_ns=number))
        names[str(number)] = bare
        if name == bare:
            due.add(str(number))
    found = plan(records, due)
    assert set(found) == due
    lines = []
    for id, waits in sorted(found.items()):
        told = [
            names[wait.id] + (f"={wait.condition}" if wait.condition != "service_started" else "") for wait in waits
        ]
        lines += [f"{names[id]}: {' '.join(told)}"] if told else []
    assert ", ".join(lines) == expected


def test_all_replicas_are_waited_for_and_no_runs(record: Callable[..., Container]) -> None:
    def of(id: str, **labels: str) -> Container:
        return replace(
            record(config={"labels": {f"com.docker.compose.{k}": v for k, v in labels.items()}}), id=id, created_ns=1
        )

    records = [
        of("db2", service="db", project="p"),
        of("db1", service="db", project="p"),
        of("run", service="db", project="p", oneoff="True"),
        of("web", service="web", project="p", depends_on="db:service_healthy:false"),
    ]
    assert plan(records, {"web"}) == {"web": (Wait("db1", "service_healthy"), Wait("db2", "service_healthy"))}
    assert plan([replace(record(), id="none")], {"none"}) == {"none": ()}


def test_a_long_chain(record: Callable[..., Container]) -> None:
    count = 3000
    records = []
    for number in range(count):
        labels = {
            "com.docker.compose.service": f"s{number}",
            "com.docker.compose.depends_on": f"s{(number + 1) % count}",
        }
        records.append(replace(record(config={"labels": labels}), id=str(number), created_ns=number))
    found = plan(records, {each.id for each in records})
    assert sum(len(waits) for waits in found.values()) == count - 1


@pytest.mark.parametrize(
    ("condition", "status", "exit_code", "health", "expected"),
    [
        ("service_started", "running", 0, None, True),
        ("service_started", "exited", 1, None, True),  # it was tried
        ("service_healthy", "running", 0, "starting", None),
        ("service_healthy", "running", 0, "unhealthy", None),
        ("service_healthy", "running", 0, "healthy", True),
        ("service_healthy", "running", 0, None, True),
        ("service_healthy", "paused", 0, "healthy", True),
        ("service_healthy", "restarting", 1, "unhealthy", None),
        ("service_healthy", "exited", 0, "healthy", False),
        ("service_healthy", "created", 0, None, False),
        ("service_completed_successfully", "running", 0, None, None),
        ("service_completed_successfully", "restarting", 1, None, None),
        ("service_completed_successfully", "exited", 0, None, True),
        ("service_completed_successfully", "exited", 1, None, False),
        ("service_completed_successfully", "created", 0, None, False),
        ("service_completed_successfully", "dead", 0, None, False),
    ],
)
def test_verdict(
    record: Callable[..., Container],
    condition: str,
    status: str,
    exit_code: int,
    health: str | None,
    expected: bool | None,
) -> None:
    made = record().with_state(status=Status(status), exit_code=exit_code)
    assert verdict(condition, made, health) is expected
