"""One step that touches the file system: RUN, COPY, ADD, WORKDIR. What goes into it, and doing it.

`describe_run` and `Steps.gather` come first and change nothing: they name the inputs that the cache compares. `Steps`
then makes the layer. In between, `stages.py` asks the cache. The StepRunner executes; nothing here starts a process.
"""

from __future__ import annotations

import codecs
import hashlib
import os
import posixpath
import secrets
import stat
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from naru.build import transfer
from naru.build.flags import RunMount, parse_mount
from naru.build.instructions import Copy, Run
from naru.build.needs import Fetch, RunStep, StepMount, StepRunner
from naru.build.plan import PROXIES
from naru.build.runmounts import CacheMounts, Mounting, Trees, enter
from naru.build.shell import expand
from naru.build.sources import mapped
from naru.build.state import DEFAULT_PATH, State
from naru.build.workspace import Made, Workspace
from naru.errors import Internal
from naru.linux.erase import remove_tree
from naru.linux.files import Root
from naru.linux.mounts import Mount
from naru.linux.threads import finish_in_thread
from naru.oci.digest import Digest


class StepFailed(Internal):
    """A RUN that ended with an exit code other than 0; Docker sends the code beside the text. (Not a frozen dataclass:
    contextlib sets `__traceback__` on exceptions that pass through it.)"""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Limits:
    """What a build request says about the containers of its RUNs; 0 and "" are the defaults."""

    shm_size_bytes: int = 0
    extra_hosts: tuple[str, ...] = ()
    memory_bytes: int = 0
    cpu_quota: int = 0
    cpu_period: int = 0
    cpu_shares: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """A RUN with everything resolved. `inputs` is for the cache, `created_by` for history, `shown` for messages."""

    argv: tuple[str, ...]
    env: tuple[str, ...]
    network: str
    mounts: tuple[RunMount, ...]
    scripts: Mapping[str, str]  # heredocs to be executed as programs, by name
    inputs: Mapping[str, str]
    created_by: str
    shown: str = field(default="")


def describe_run(run: Run, state: State, given: Mapping[str, str], network: str, escape: str) -> RunPlan:
    """`given` are the --build-args, `network` the build's default. Raises InvalidArgument."""
    argv, scripts = _command(run, state)
    args = state.args
    shown = " ".join(argv)
    proxies = {name: given[name] for name in PROXIES if name in given and name not in args}
    env = {"PATH": DEFAULT_PATH, **proxies, **state.env, **args}
    mounts = tuple(parse_mount(text, lambda value: expand(value, state.scope, escape=escape)) for text in run.mounts)
    inputs = {"instruction": " ".join(["RUN", *(f"--mount={mount}" for mount in run.mounts), shown])}
    inputs |= {f"heredoc {name}": hashlib.sha256(text.encode()).hexdigest() for name, text in scripts.items()}
    inputs |= {f"build-arg {name}": hashlib.sha256(value.encode()).hexdigest() for name, value in sorted(args.items())}
    inputs["network"] = run.network if run.network != "default" else network
    for mount, text in zip(mounts, run.mounts, strict=True):
        if "$" in text:
            inputs[f"mount {mount.target}"] = f"{mount.source} {mount.id}"
    created_by = shown if not args else f"|{len(args)} {' '.join(f'{k}={v}' for k, v in sorted(args.items()))} {shown}"
    return RunPlan(
        argv, tuple(f"{k}={v}" for k, v in env.items()), inputs["network"], mounts, scripts, inputs, created_by, shown
    )


def _command(run: Run, state: State) -> tuple[tuple[str, ...], dict[str, str]]:
    """The argv, and heredocs that are programs. A lone heredoc is the script itself: the shell's, or with `#!` its own
    interpreter's; otherwise heredocs are given to the shell behind the line that names them."""
    if not run.heredocs:
        return run.command.argv(state.shell), {}
    line = " ".join(run.command.words)
    if len(run.heredocs) == 1 and _is_lone(line):
        only = run.heredocs[0]
        if only.text.startswith("#!"):
            return (f"/dev/pipes/{only.name}",), {only.name: only.text}
        return (*state.shell, only.text), {}
    documents = "".join(f"\n{heredoc.content}{heredoc.name}" for heredoc in run.heredocs)
    return (*state.shell, line + documents), {}


def _is_lone(line: str) -> bool:
    return line.startswith("<<") and len(line.split()) == (
        2 if line.rstrip("-") == "<<" or line.startswith(("<< ", "<<- ")) else 1
    )


class Steps:
    """Carries steps out in the workspace of one build."""

    def __init__(
        self, workspace: Workspace, runner: StepRunner, fetch: Fetch, caches: CacheMounts, limits: Limits, hostname: str
    ) -> None:
        self._workspace = workspace
        self._runner = runner
        self._fetch = fetch
        self._caches = caches
        self._limits = limits
        self._hostname = hostname

    async def gather(
        self, step: Copy, root_of: Callable[[str], Awaitable[Root]], held: AsyncExitStack
    ) -> transfer.Gathered:
        """What a COPY or ADD will copy; see `transfer.gather`. Raises InvalidArgument if it cannot go where it is sent."""
        gathered = await transfer.gather(step, root_of, self._fetch, self._workspace.scratch, held)
        transfer.check(step, len(gathered.items))
        return gathered

    async def copy(self, step: Copy, gathered: transfer.Gathered, state: State, chain: Digest | None) -> Made:
        async with self._workspace.writable(chain) as key:
            async with self._workspace.opened(key) as root:
                await transfer.place(step, gathered, root, state.workdir)
            return await self._workspace.commit(key, chain)

    async def workdir(self, path: str, user: str, chain: Digest | None) -> Made | None:
        """Make the directory, owned by USER; None if it is there."""
        try:
            async with self._workspace.viewed(chain) as root:
                if stat.S_ISDIR(root.stat(path).st_mode):
                    return None
        except FileNotFoundError:
            pass  # then it is made
        except OSError as error:
            raise mapped(error, f"WORKDIR {path}") from error
        async with self._workspace.writable(chain) as key:
            async with self._workspace.opened(key) as root:
                try:
                    owner = transfer.resolve_owner(root, user) if user else (0, 0)
                    root.make_dirs(path, 0o755, *owner)
                except OSError as error:
                    raise mapped(error, f"WORKDIR {path}") from error
            return await self._workspace.commit(key, chain)

    async def run(
        self, plan: RunPlan, state: State, chain: Digest | None, trees: Trees, step_id: str,
        output: Callable[[str], None],
    ) -> Made:  # fmt: skip
        """Raises StepFailed, and what mounts and runner raise; nothing is kept then."""
        mounting = Mounting(self._workspace, self._caches, trees, state.workdir)
        async with AsyncExitStack() as held:
            extra = [await enter(mount, mounting, held) for mount in plan.mounts]
            if plan.scripts:
                extra.append(_pipes(plan.scripts, self._workspace.scratch, held))
            key = await held.enter_async_context(self._workspace.writable(chain))
            made = await self._make_mount_points(key, extra)
            step = RunStep(
                step_id, tuple(self._workspace.snapshots.mounts(key)), plan.argv, plan.env, state.workdir, state.user,
                plan.network, tuple(extra), self._hostname, self._limits.shm_size_bytes, self._limits.extra_hosts,
                self._limits.memory_bytes, self._limits.cpu_quota, self._limits.cpu_period, self._limits.cpu_shares,
                self._limits.cpuset_cpus, self._limits.cpuset_mems,
            )  # fmt: skip
            code = await self._runner.run(step, _decoded(output))
            if code != 0:
                raise StepFailed(f"The command '{plan.shown}' returned a non-zero code: {code}", code)
            await self._remove_mount_points(key, made)
            return await self._workspace.commit(key, chain)

    async def _make_mount_points(self, key: str, extra: list[StepMount]) -> list[str]:
        """Make what the mounts need and the image lacks; returns the paths made, outermost first."""
        if not extra:
            return []
        made: list[str] = []
        async with self._workspace.opened(key) as root:
            for mount in extra:
                try:
                    _make_point(root, mount.target, mount.is_file, made)
                except OSError as error:
                    raise mapped(error, f"RUN --mount: target {mount.target}") from error
        return made

    async def _remove_mount_points(self, key: str, made: list[str]) -> None:
        """Take them out of the layer again, unless the step put something there. Only ever empty ones, beneath the root:
        what a step may have put in their place cannot make us delete anything else (CVE-2024-23652)."""
        if not made:
            return
        async with self._workspace.opened(key) as root:
            for path in reversed(made):
                try:
                    with root.parent(path) as (folder, name):
                        info = os.stat(name, dir_fd=folder, follow_symlinks=False)
                        if stat.S_ISDIR(info.st_mode):
                            os.rmdir(name, dir_fd=folder)
                        elif stat.S_ISREG(info.st_mode) and not info.st_size:
                            os.unlink(name, dir_fd=folder)
                except OSError:
                    continue  # used by the step, or gone: then it is part of the result


def _make_point(root: Root, target: str, is_file: bool, made: list[str]) -> None:
    parts = target.strip("/").split("/")
    for depth in range(1, len(parts) + 1):
        path = "/" + "/".join(parts[:depth])
        try:
            root.stat(path)
        except FileNotFoundError:
            with root.parent(path) as (folder, name):
                if is_file and depth == len(parts):
                    os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644, dir_fd=folder))
                else:
                    os.mkdir(name, 0o755, dir_fd=folder)
            made.append(path)


def _pipes(scripts: Mapping[str, str], scratch: str, held: AsyncExitStack) -> StepMount:
    """Heredocs that are programs, as files in /dev/pipes."""
    path = tempfile.mkdtemp(prefix="pipes-", dir=scratch)
    held.push_async_callback(finish_in_thread, remove_tree, path)
    os.chmod(path, 0o755)
    for name, text in scripts.items():
        file = os.path.join(path, posixpath.basename(name))
        with open(file, "w", encoding="utf-8", newline="") as out:
            out.write(text)
        os.chmod(file, 0o755)
    return StepMount("bind", "/dev/pipes", (Mount("bind", path),), read_only=True)


def _decoded(output: Callable[[str], None]) -> Callable[[int, bytes], None]:
    """Bytes of two streams to text, characters that were cut in two put together again."""
    decoders = {fd: codecs.getincrementaldecoder("utf-8")("replace") for fd in (1, 2)}

    def take(fd: int, data: bytes) -> None:
        if text := decoders[fd].decode(data):
            output(text if fd == 1 else f"\x1b[91m{text}\x1b[0m")  # as the classic builder paints stderr

    return take


def new_id() -> str:
    """A step's container id."""
    return secrets.token_hex(32)
