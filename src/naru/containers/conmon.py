"""The command line of conmon, one for each run (conmon(8)). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stdio:
    """What a monitor does with a run's streams."""

    log_path: str | None  # None: nothing is kept
    log_max_bytes: int | None
    tty: bool
    stdin: bool
    leave_stdin_open: bool = False

    def words(self) -> list[str]:
        return (
            ["-l", f"k8s-file:{self.log_path}" if self.log_path else "none"]
            + [f"--log-size-max={self.log_max_bytes}"] * (self.log_max_bytes is not None)
            + ["-t"] * self.tty
            + ["-i"] * self.stdin
            + ["--leave-stdin-open"] * self.leave_stdin_open
        )


def command(program: str, id: str, bundle: str, exits: str, runtime: Sequence[str], stdio: Stdio) -> list[str]:
    """`exits` is the directory of exit codes; `runtime` the runtime's program and the words that come before its commands."""
    argv = [
        program, "--api-version", "1", "--sync", "-c", id, "-u", id, "-n", id, "-b", bundle, "-p", f"{bundle}/pid",
        "--exit-dir", exits, "--persist-dir", bundle, "--log-level", "error", "--no-sync-log", "-r", runtime[0], "--full-attach",
    ]  # fmt: skip
    for word in runtime[1:]:
        argv += ["--runtime-arg", word]
    return argv + stdio.words()
