"""The whole cross product of the lifecycle, written out by hand: a change of the table is a change of this page."""

from __future__ import annotations

import pytest

from naru.containers.lifecycle import TABLE, Event, step
from naru.containers.records import Status
from naru.errors import NaruError

# state: event → "then: actions", or "Kind: text". A dot: nothing happens, the state stays.
EXPECTED = """
created     START         running: LAUNCH
created     EXITED        .
created     SIGNAL        Conflict: container ID is not running
created     PAUSE         Conflict: container ID is not running
created     UNPAUSE       Internal: Container ID is not paused
created     STOP          NotModified: container is not running
created     REMOVE        removing: DELETE
created     FORCE_REMOVE  removing: DELETE
created     RESTART_DUE   .
created     CHECKPOINT    Conflict: container ID is not running
running     START         NotModified: container is already running
running     EXITED        exited: SETTLE
running     SIGNAL        running: SEND_SIGNAL
running     PAUSE         paused: FREEZE
running     UNPAUSE       Internal: Container ID is not paused
running     STOP          .
running     REMOVE        Conflict: cannot remove container "/name": container is running: stop the container before removing or force remove
running     FORCE_REMOVE  removing: KILL DELETE
running     RESTART_DUE   .
running     CHECKPOINT    .
paused      START         Conflict: cannot start a paused container, try unpause instead
paused      EXITED        exited: SETTLE
paused      SIGNAL        paused: SEND_SIGNAL
paused      PAUSE         Conflict: container ID is already paused
paused      UNPAUSE       running: THAW
paused      STOP          .
paused      REMOVE        Conflict: cannot remove container "/name": container is paused and must be unpaused first
paused      FORCE_REMOVE  removing: KILL DELETE
paused      RESTART_DUE   .
paused      CHECKPOINT    Conflict: container ID is paused, unpause the container before checkpoint
restarting  START         running: CANCEL_RESTART LAUNCH
restarting  EXITED        .
restarting  SIGNAL        exited: CANCEL_RESTART
restarting  PAUSE         Conflict: container ID is restarting, wait until the container is running
restarting  UNPAUSE       Internal: Container ID is not paused
restarting  STOP          exited: CANCEL_RESTART
restarting  REMOVE        Conflict: cannot remove container "/name": container is restarting: stop the container before removing or force remove
restarting  FORCE_REMOVE  removing: CANCEL_RESTART DELETE
restarting  RESTART_DUE   running: LAUNCH
restarting  CHECKPOINT    Conflict: container ID is not running
exited      START         running: LAUNCH
exited      EXITED        .
exited      SIGNAL        Conflict: container ID is not running
exited      PAUSE         Conflict: container ID is not running
exited      UNPAUSE       Internal: Container ID is not paused
exited      STOP          NotModified: container is not running
exited      REMOVE        removing: DELETE
exited      FORCE_REMOVE  removing: DELETE
exited      RESTART_DUE   .
exited      CHECKPOINT    Conflict: container ID is not running
removing    START         Conflict: container ID is marked for removal and cannot be changed
removing    EXITED        .
removing    SIGNAL        Conflict: container ID is marked for removal and cannot be changed
removing    PAUSE         Conflict: container ID is marked for removal and cannot be changed
removing    UNPAUSE       Conflict: container ID is marked for removal and cannot be changed
removing    STOP          Conflict: container ID is marked for removal and cannot be changed
removing    REMOVE        Conflict: removal of container ID is already in progress
removing    FORCE_REMOVE  Conflict: removal of container ID is already in progress
removing    RESTART_DUE   .
removing    CHECKPOINT    Conflict: container ID is marked for removal and cannot be changed
dead        START         Conflict: container ID is marked for removal and cannot be changed
dead        EXITED        .
dead        SIGNAL        Conflict: container ID is marked for removal and cannot be changed
dead        PAUSE         Conflict: container ID is marked for removal and cannot be changed
dead        UNPAUSE       Conflict: container ID is marked for removal and cannot be changed
dead        STOP          Conflict: container ID is marked for removal and cannot be changed
dead        REMOVE        removing: DELETE
dead        FORCE_REMOVE  removing: DELETE
dead        RESTART_DUE   .
dead        CHECKPOINT    Conflict: container ID is marked for removal and cannot be changed
"""


def rows() -> list[tuple[str, str, str]]:
    return [tuple(line.split(None, 2)) for line in EXPECTED.strip().splitlines()]  # type: ignore[misc]


def told(status: Status, event: Event) -> str:
    try:
        verdict = step(status, event, id="ID", name="/name")
    except NaruError as refusal:
        return f"{type(refusal).__name__}: {refusal}"
    if verdict.then is status and not verdict.actions:
        return "."
    return f"{verdict.then.value}: {' '.join(action.name for action in verdict.actions)}"


@pytest.mark.parametrize(("state", "event", "verdict"), rows())
def test_verdict(state: str, event: str, verdict: str) -> None:
    assert told(Status(state), Event[event]) == verdict


def test_the_page_above_is_the_whole_cross_product() -> None:
    written = {(Status(state), Event[event]) for state, event, _ in rows()}
    assert len(rows()) == len(written) == len(Status) * len(Event)
    assert set(TABLE) == written
