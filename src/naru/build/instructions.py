"""Instructions as values: what a Dockerfile says, typed, variables not yet replaced. Pure.

`node` is where each came from (its text and lines). `reading.py` makes them; `state.py` and `steps.py` carry them out.
"""

from __future__ import annotations

from dataclasses import dataclass

from naru.build.parse import Heredoc, Node

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Command:
    """A command line: shell form is one string for the stage's SHELL, else exec form (JSON)."""

    words: tuple[str, ...]
    shell_form: bool

    def argv(self, shell: tuple[str, ...]) -> tuple[str, ...]:
        return (*shell, *self.words) if self.shell_form else self.words


@dataclass(frozen=True, slots=True)
class Health:
    """`test` as Docker's config has it ("NONE" | "CMD", … | "CMD-SHELL", text); 0 means inherited or default."""

    test: tuple[str, ...]
    interval_ns: int = 0
    timeout_ns: int = 0
    start_period_ns: int = 0
    start_interval_ns: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class InlineFile:
    """A heredoc given to COPY or ADD: a file of this name."""

    name: str
    text: str
    expand: bool


@dataclass(frozen=True, slots=True)
class Instruction:
    node: Node


@dataclass(frozen=True, slots=True)
class From(Instruction):
    base: str
    name: str = ""
    platform: str = ""


@dataclass(frozen=True, slots=True)
class Arg(Instruction):
    pairs: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class Env(Instruction):
    pairs: Pairs


@dataclass(frozen=True, slots=True)
class Label(Instruction):
    pairs: Pairs


@dataclass(frozen=True, slots=True)
class Maintainer(Instruction):
    name: str


@dataclass(frozen=True, slots=True)
class Copy(Instruction):
    """COPY, and what ADD shares with it."""

    sources: tuple[str, ...]
    target: str
    files: tuple[InlineFile, ...] = ()
    chown: str = ""
    chmod: str = ""
    link: bool = False
    excludes: tuple[str, ...] = ()
    from_: str = ""
    parents: bool = False


@dataclass(frozen=True, slots=True)
class Add(Copy):
    checksum: str = ""
    unpack: bool | None = None
    keep_git_dir: bool = False


@dataclass(frozen=True, slots=True)
class Run(Instruction):
    command: Command
    heredocs: tuple[Heredoc, ...] = ()
    mounts: tuple[str, ...] = ()  # as written: their values are expanded where the RUN stands
    network: str = "default"


@dataclass(frozen=True, slots=True)
class Cmd(Instruction):
    command: Command


@dataclass(frozen=True, slots=True)
class Entrypoint(Instruction):
    command: Command


@dataclass(frozen=True, slots=True)
class Expose(Instruction):
    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Volume(Instruction):
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class User(Instruction):
    user: str


@dataclass(frozen=True, slots=True)
class Workdir(Instruction):
    path: str


@dataclass(frozen=True, slots=True)
class Stopsignal(Instruction):
    signal: str


@dataclass(frozen=True, slots=True)
class Healthcheck(Instruction):
    health: Health


@dataclass(frozen=True, slots=True)
class Shell(Instruction):
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Onbuild(Instruction):
    trigger: str  # the instruction to run in the child, as text
