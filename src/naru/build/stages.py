"""The walk of one build: the stages a target needs, in order; for each step describe → ask the cache → do it → remember.

Prints what Docker's classic builder prints. Steps that only change the configuration cost no file system: their id is the
digest of the configuration as it would be. What a step is and does is `state.py`'s and `steps.py`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace

from naru.build import instructions as i
from naru.build import sources, transfer
from naru.build.bases import Bases
from naru.build.cache import Cache, Record
from naru.build.parse import DockerfileError
from naru.build.plan import BUILT_IN, PROXIES, Plan, Stage
from naru.build.reading import trigger
from naru.build.runmounts import Tree, Trees
from naru.build.shell import expand
from naru.build.state import State, apply, begin, declare, expanded, nop, workdir
from naru.build.steps import StepFailed, Steps, describe_run, new_id
from naru.build.workspace import Made, Workspace
from naru.errors import InvalidArgument, NaruError
from naru.events import Progress, Report
from naru.images.values import Image, rfc3339
from naru.linux.files import Root
from naru.linux.threads import finish_in_thread
from naru.oci.digest import Digest, chain_id
from naru.oci.image import CONFIG_LIMIT_BYTES, ImageConfig, Manifest, Platform

Make = Callable[[], Awaitable[Made | None]]


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be built, and how."""

    plan: Plan
    context: str  # a private directory
    given: Mapping[str, str]  # --build-arg
    labels: Mapping[str, str]
    platform: Platform | None  # as asked for; None: whatever there is
    host: Platform
    network: str
    no_cache: bool
    epoch_ns: int = 0  # SOURCE_DATE_EPOCH: the time that images state; 0 for now


@dataclass(frozen=True, slots=True)
class Miss:
    """A step that had to be done, and why."""

    step: str
    line: int
    why: str


class Stages:
    def __init__(
        self, order: Order, workspace: Workspace, bases: Bases, steps: Steps, cache: Cache, report: Report,
        now_ns: Callable[[], int],
    ) -> None:  # fmt: skip
        self._order = order
        self._plan = order.plan
        self._escape = order.plan.file.escape
        self._trees = Trees(self._tree, order.given.get("BUILDKIT_CACHE_MOUNT_NS", ""), order.no_cache)
        self._workspace = workspace
        self._bases = bases
        self._steps = steps
        self._cache = cache
        self._report = report
        self._now_ns = now_ns
        self._states: dict[int, State] = {}
        self._images: dict[int, Image] = {}  # what stages began from, if that was an image
        self._used_args: set[str] = set()
        self._stage = order.plan.stages[0]
        self._base = ""  # the name in FROM, until the stage's first step is done
        self._missed = False  # a step of this stage was done anew: what follows is too
        self._number = 0
        self._total = 0
        self.misses: list[Miss] = []

    async def solve(self, last: Stage) -> tuple[Manifest, ImageConfig]:
        """Build the stage and all it needs. Its layers are in the content store when this returns."""
        needed = self._plan.needed(last)
        extra = len(self._plan.before) + bool(self._order.labels)
        self._total = extra + sum(1 + len(stage.steps) for stage in needed)
        for arg in self._plan.before:
            self._announce(arg.node.original)
            self._used_args.update(name for name, _ in arg.pairs)
        for stage in needed:
            await self._build(stage)
        state = self._states[last.index]
        if self._order.labels:
            state = await self._label(state, last)
        unused = sorted(set(self._order.given) - self._used_args - set(PROXIES) - set(BUILT_IN))
        if unused:
            self._say(f"[Warning] One or more build-args [{' '.join(unused)}] were not consumed\n")
        config = state.config()
        image = self._images.get(last.index)
        if image is not None and len(state.history) == len(image.config.history):
            return image.manifest, image.config  # FROM alone: the very image
        return Manifest.build(config.descriptor, state.layers), config

    def _say(self, text: str) -> None:
        self._report(Progress(stream=text))

    def _announce(self, text: str) -> None:
        self._number += 1
        self._say(f"Step {self._number}/{self._total} : {text.strip()}")
        self._say("\n")

    # --- stages ----------------------------------------------------------------------------------------------------

    async def _build(self, stage: Stage) -> None:
        before = self._stage, self._base, self._missed
        self._stage, self._base, self._missed = stage, stage.base, False
        self._announce(stage.from_.node.original)
        with self._located(stage.from_):
            state = await self._begin(stage)
        triggers = [str(text) for text in state.run.get("OnBuild") or ()]
        state = replace(state, run={key: value for key, value in state.run.items() if key != "OnBuild"})
        if triggers:
            self._say(f"# Executing {len(triggers)} build trigger{'s' if len(triggers) > 1 else ''}\n")
        for text in triggers:
            with self._located(stage.from_):
                state = await self._step(trigger(text), state)
        for instruction in stage.steps:
            self._announce(instruction.node.original)
            with self._located(instruction):
                state = await self._step(instruction, state)
        self._states[stage.index] = state
        self._stage, self._base, self._missed = before
        self._report(Progress(aux={"ID": _id(state)}))

    async def _begin(self, stage: Stage) -> State:
        source = self._plan.stage(stage.base, stage.index) if not stage.base.isdigit() else None
        if source is not None:
            state = replace(await self._state(source), cmd_set=False)
            if source.index in self._images:
                self._images[stage.index] = self._images[source.index]
            self._say(f" ---> {_short(state)}\n")
            return state
        if stage.base == "scratch":
            self._say(" ---> \n")
            return begin(self._order.platform or self._order.host, None, ())
        platform = self._order.platform
        if stage.from_.platform:
            platform = Platform.parse(expand(stage.from_.platform, self._plan.globals, escape=self._escape))
        image = await self._bases.image(stage.base, platform)
        self._images[stage.index] = image
        self._say(f" ---> {Digest(image.id).hex[:12]}\n")
        return begin(image.config.platform, image.config, image.manifest.layers)

    async def _state(self, stage: Stage) -> State:
        """The state at the end of an earlier stage, built now if only a trigger needs it."""
        if stage.index not in self._states:
            self._total += 1 + len(stage.steps)
            await self._build(stage)
        return self._states[stage.index]

    async def _label(self, state: State, stage: Stage) -> State:
        """--label is one more LABEL at the end."""
        pairs = tuple(sorted(self._order.labels.items()))
        label = i.Label(replace(stage.from_.node, original=""), pairs)
        after, text = apply(state, label)
        self._announce(text)
        return await self._settle(label, state, after, nop(state, text), {"instruction": text})

    @contextmanager
    def _located(self, instruction: i.Instruction) -> Iterator[None]:
        """Errors of a step say where it stands."""
        where = f" ({self._plan.file.name}:{instruction.node.first_line})"
        try:
            yield
        except DockerfileError:
            raise
        except StepFailed as error:
            raise StepFailed(f"{error}{where}", error.exit_code) from error
        except NaruError as error:
            kind = next(kind for kind in type(error).__mro__ if kind.__module__ == NaruError.__module__)
            raise kind(f"{error}{where}") from error
        except OSError as error:
            raise sources.mapped(error, f"{instruction.node.name.upper()} failed{where}") from error

    # --- steps -----------------------------------------------------------------------------------------------------

    async def _step(self, instruction: i.Instruction, state: State) -> State:
        if isinstance(instruction, i.Arg):
            self._used_args.update(name for name, _ in instruction.pairs)
            after, text = declare(state, instruction, self._order.given, self._plan.globals, self._escape)
            return await self._settle(instruction, state, after, nop(state, text), {"instruction": text})
        instruction = expanded(instruction, state.scope, self._escape)
        if isinstance(instruction, i.Run):
            return await self._run(instruction, state)
        if isinstance(instruction, i.Copy):
            return await self._copy(instruction, state)
        make: Make | None = None
        if isinstance(instruction, i.Workdir):
            after, text = workdir(state, instruction)

            async def make_directory() -> Made | None:
                return await self._steps.workdir(after.workdir, state.user, await self._bases.chain(state))

            make = make_directory
        else:
            after, text = apply(state, instruction)
        return await self._settle(instruction, state, after, nop(state, text), {"instruction": text}, make)

    async def _copy(self, step: i.Copy, state: State) -> State:
        async with AsyncExitStack() as held:
            gathered = await self._steps.gather(step, self._root, held)
            chown = f"--chown={step.chown} " if step.chown else ""
            text = f"#(nop) {step.node.name.upper()} {chown}{gathered.summary} in {step.target} "
            inputs = {"instruction": transfer.text(step), **gathered.inputs}

            async def make() -> Made:
                return await self._steps.copy(step, gathered, state, await self._bases.chain(state))

            return await self._settle(step, state, state, " ".join([*state.shell, text]), inputs, make)

    async def _run(self, run: i.Run, state: State) -> State:
        described = describe_run(run, state, self._order.given, self._order.network, self._escape)
        inputs = dict(described.inputs)
        for mount in described.mounts:
            if mount.kind == "bind":
                inputs |= await self._bound(mount.from_, mount.source)

        async def make() -> Made:
            step_id = new_id()
            self._say(f" ---> Running in {step_id[:12]}\n")
            chain = await self._bases.chain(state)
            made = await self._steps.run(described, state, chain, self._trees, step_id, self._say)
            self._say(f" ---> Removed intermediate container {step_id[:12]}\n")
            return made

        return await self._settle(run, state, state, described.created_by, inputs, make)

    async def _bound(self, from_: str, source: str) -> dict[str, str]:
        """What a bind mount adds to a RUN's inputs: the context's files, or the identity of the stage or image."""
        tree = await self._tree(from_)
        if not tree.path:
            return {f"mount from {from_}": f"{tree.chain or 'empty'} {source}"}
        root = await self._bases.root(tree)
        found: dict[str, str] = {}
        for item in await finish_in_thread(sources.find, root, source or "."):
            found |= await finish_in_thread(sources.digests, root, item, None)
        return {f"file {sources.shown(name)}": digest for name, digest in found.items()}

    async def _settle(
        self, instruction: i.Instruction, state: State, after: State, created_by: str, inputs: Mapping[str, str],
        make: Make | None = None,
    ) -> State:  # fmt: skip
        """The state after the step: from the cache, or by doing it."""
        await asyncio.sleep(0)  # steps without a file system wait for nothing, and others want to live too
        parent, base, self._base = _id(state), self._base, ""
        record = None
        if not self._order.no_cache:
            record = self._cache.find(parent, inputs, lambda found: self._is_whole(state, found))
        if record is not None:
            self._say(" ---> Using cache\n")
            done = _after(after, record)
        else:
            why = "the cache is not used" if self._order.no_cache else "an earlier step changed"
            if not (self._missed or self._order.no_cache):
                why = self._cache.explain(parent, inputs, base)
            self._missed = True
            self.misses.append(Miss(instruction.node.original.strip(), instruction.node.first_line, why))
            made = await make() if make is not None else None
            layer, diff_id = (made.layer, str(made.diff_id)) if made is not None else (None, "")
            record = Record(inputs, rfc3339(self._order.epoch_ns or self._now_ns()), created_by, base, layer, diff_id)
            done = _after(after, record)
            self._cache.save(parent, record, done.diff_ids)
        self._say(f" ---> {_short(done)}\n")
        return done

    def _is_whole(self, state: State, record: Record) -> bool:
        """Whether what a cached step made is still there; protects it if so."""
        if record.layer is None:
            return True
        chain = chain_id((*state.diff_ids, Digest(record.diff_id)))
        assert chain is not None
        return self._workspace.holds(record.layer.digest, chain)

    # --- trees -----------------------------------------------------------------------------------------------------

    async def _tree(self, name: str) -> Tree:
        """What --from=name means here: an earlier stage, or an image; "" is the context."""
        if not name:
            return Tree(path=self._order.context)
        stage = self._plan.stage(name, self._stage.index)
        if stage is not None:
            return Tree(await self._bases.chain(await self._state(stage)))
        return await self._bases.tree(name, self._order.platform)

    async def _root(self, name: str) -> Root:
        return await self._bases.root(await self._tree(name))


def _after(state: State, record: Record) -> State:
    layer = (record.layer, Digest(record.diff_id)) if record.layer is not None else None
    return state.committed(record.created, record.created_by, layer)


def _id(state: State) -> Digest:
    """What the state is called: the id of its configuration. Raises InvalidArgument if nobody could read that back."""
    descriptor = state.config().descriptor
    if descriptor.size > CONFIG_LIMIT_BYTES:
        raise InvalidArgument(f"the image's configuration is larger than {CONFIG_LIMIT_BYTES} bytes")
    return descriptor.digest


def _short(state: State) -> str:
    return _id(state).hex[:12]
