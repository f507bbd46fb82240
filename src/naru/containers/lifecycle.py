"""The life of a container as a table: (Status, Event) → Step or Refusal. No await, no clock, no I/O.

The owner task looks a command up, performs the step's actions in order and publishes the new record; a refusal is
raised to whoever asked. The table is total: the tests walk every pair. Wording is Docker's.

    created ──start──▶ running ──exited──▶ exited ──start──▶ running
                        │   ▲                 (policy) ▼
                       pause unpause        restarting ──due──▶ running
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from naru.containers.records import Status
from naru.errors import Conflict, Internal, NaruError, NotModified


class Event(Enum):
    START = auto()
    EXITED = auto()  # the monitor has ended; an exit code is known
    SIGNAL = auto()
    PAUSE = auto()
    UNPAUSE = auto()
    STOP = auto()  # asked to stop: decides only whether there is something to stop
    REMOVE = auto()
    FORCE_REMOVE = auto()
    RESTART_DUE = auto()
    CHECKPOINT = auto()


class Action(Enum):
    LAUNCH = auto()
    SETTLE = auto()  # record the exit, release network and run-time files, decide about a restart
    SEND_SIGNAL = auto()
    FREEZE = auto()
    THAW = auto()
    CANCEL_RESTART = auto()
    KILL = auto()  # SIGKILL and wait for the end
    DELETE = auto()


@dataclass(frozen=True, slots=True)
class Step:
    then: Status
    actions: tuple[Action, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """`text` may use {id} and {name}."""

    kind: type[NaruError]
    text: str


_S, _E, _A = Status, Event, Action
_REMOVED = Refusal(Conflict, "container {id} is marked for removal and cannot be changed")
_NOT_RUNNING = Refusal(Conflict, "container {id} is not running")
_RUNNING_RM = Refusal(
    Conflict,
    'cannot remove container "{name}": container is running: stop the container before removing or force remove',
)
_PAUSED_RM = Refusal(Conflict, 'cannot remove container "{name}": container is paused and must be unpaused first')
_PAUSED_CP = Refusal(Conflict, "container {id} is paused, unpause the container before checkpoint")
_IN_PROGRESS = Refusal(Conflict, "removal of container {id} is already in progress")
_QUIET = Step(_S.EXITED)  # an exit that is already settled

_ROWS: dict[Status, dict[Event, Step | Refusal]] = {
    _S.CREATED: {
        _E.START: Step(_S.RUNNING, (_A.LAUNCH,)),
        _E.EXITED: Step(_S.CREATED),
        _E.SIGNAL: _NOT_RUNNING,
        _E.PAUSE: _NOT_RUNNING,
        _E.UNPAUSE: Refusal(Internal, "Container {id} is not paused"),
        _E.STOP: Refusal(NotModified, "container is not running"),
        _E.REMOVE: Step(_S.REMOVING, (_A.DELETE,)),
        _E.FORCE_REMOVE: Step(_S.REMOVING, (_A.DELETE,)),
        _E.RESTART_DUE: Step(_S.CREATED),
        _E.CHECKPOINT: _NOT_RUNNING,
    },
    _S.RUNNING: {
        _E.START: Refusal(NotModified, "container is already running"),
        _E.EXITED: Step(_S.EXITED, (_A.SETTLE,)),
        _E.SIGNAL: Step(_S.RUNNING, (_A.SEND_SIGNAL,)),
        _E.PAUSE: Step(_S.PAUSED, (_A.FREEZE,)),
        _E.UNPAUSE: Refusal(Internal, "Container {id} is not paused"),
        _E.STOP: Step(_S.RUNNING),
        _E.REMOVE: _RUNNING_RM,
        _E.FORCE_REMOVE: Step(_S.REMOVING, (_A.KILL, _A.DELETE)),
        _E.RESTART_DUE: Step(_S.RUNNING),
        _E.CHECKPOINT: Step(_S.RUNNING),
    },
    _S.PAUSED: {
        _E.START: Refusal(Conflict, "cannot start a paused container, try unpause instead"),
        _E.EXITED: Step(_S.EXITED, (_A.SETTLE,)),
        _E.SIGNAL: Step(_S.PAUSED, (_A.SEND_SIGNAL,)),
        _E.PAUSE: Refusal(Conflict, "container {id} is already paused"),
        _E.UNPAUSE: Step(_S.RUNNING, (_A.THAW,)),
        _E.STOP: Step(_S.PAUSED),
        _E.REMOVE: _PAUSED_RM,
        _E.FORCE_REMOVE: Step(_S.REMOVING, (_A.KILL, _A.DELETE)),
        _E.RESTART_DUE: Step(_S.PAUSED),
        _E.CHECKPOINT: _PAUSED_CP,
    },
    _S.RESTARTING: {
        _E.START: Step(_S.RUNNING, (_A.CANCEL_RESTART, _A.LAUNCH)),
        _E.EXITED: Step(_S.RESTARTING),
        _E.SIGNAL: Step(_S.EXITED, (_A.CANCEL_RESTART,)),  # nobody is there to hear it, and its meaning is clear
        _E.PAUSE: Refusal(Conflict, "container {id} is restarting, wait until the container is running"),
        _E.UNPAUSE: Refusal(Internal, "Container {id} is not paused"),
        _E.STOP: Step(_S.EXITED, (_A.CANCEL_RESTART,)),
        _E.REMOVE: Refusal(
            Conflict,
            'cannot remove container "{name}": container is restarting: stop the container before removing or force remove',
        ),
        _E.FORCE_REMOVE: Step(_S.REMOVING, (_A.CANCEL_RESTART, _A.DELETE)),
        _E.RESTART_DUE: Step(_S.RUNNING, (_A.LAUNCH,)),
        _E.CHECKPOINT: _NOT_RUNNING,
    },
    _S.EXITED: {
        _E.START: Step(_S.RUNNING, (_A.LAUNCH,)),
        _E.EXITED: _QUIET,
        _E.SIGNAL: _NOT_RUNNING,
        _E.PAUSE: _NOT_RUNNING,
        _E.UNPAUSE: Refusal(Internal, "Container {id} is not paused"),
        _E.STOP: Refusal(NotModified, "container is not running"),
        _E.REMOVE: Step(_S.REMOVING, (_A.DELETE,)),
        _E.FORCE_REMOVE: Step(_S.REMOVING, (_A.DELETE,)),
        _E.RESTART_DUE: _QUIET,
        _E.CHECKPOINT: _NOT_RUNNING,
    },
    _S.REMOVING: {
        **dict.fromkeys(_E, _REMOVED),
        _E.EXITED: Step(_S.REMOVING),
        _E.RESTART_DUE: Step(_S.REMOVING),
        _E.REMOVE: _IN_PROGRESS,
        _E.FORCE_REMOVE: _IN_PROGRESS,
    },
    _S.DEAD: {
        **dict.fromkeys(_E, _REMOVED),
        _E.EXITED: Step(_S.DEAD),
        _E.RESTART_DUE: Step(_S.DEAD),
        _E.REMOVE: Step(_S.REMOVING, (_A.DELETE,)),
        _E.FORCE_REMOVE: Step(_S.REMOVING, (_A.DELETE,)),
    },
}

TABLE: dict[tuple[Status, Event], Step | Refusal] = {
    (status, event): verdict for status, row in _ROWS.items() for event, verdict in row.items()
}


def step(status: Status, event: Event, *, id: str, name: str) -> Step:
    """What to do. Raises the refusal if the state does not allow the event."""
    verdict = TABLE[status, event]
    if isinstance(verdict, Refusal):
        raise verdict.kind(verdict.text.format(id=id, name=name))
    return verdict
