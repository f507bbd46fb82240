"""The graph of a build: stages, which of them a target needs, and the variables that exist before the first FROM. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from naru.build.instructions import Arg, Copy, From, Instruction, Run
from naru.build.parse import Dockerfile, located
from naru.build.shell import expand
from naru.errors import InvalidArgument
from naru.oci.image import Platform

PROXIES = tuple(
    case(name)
    for name in ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
    for case in (str.upper, str.lower)
)


BUILT_IN = (  # build arguments that speak to the builder, and need no ARG
    "BUILDKIT_BUILD_NAME", "BUILDKIT_CACHE_MOUNT_NS", "BUILDKIT_CONTEXT_KEEP_GIT_DIR", "BUILDKIT_INLINE_CACHE",
    "BUILDKIT_MULTI_PLATFORM", "BUILDKIT_SANDBOX_HOSTNAME", "BUILDKIT_SYNTAX", "BUILDKIT_DOCKERFILE_CHECK",
    "SOURCE_DATE_EPOCH",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stage:
    index: int
    from_: From
    base: str  # FROM's argument, expanded
    steps: tuple[Instruction, ...]
    needs: tuple[int, ...]  # indices of earlier stages: base, COPY --from, RUN --mount=from

    @property
    def name(self) -> str:
        return self.from_.name


@dataclass(frozen=True, slots=True)
class Plan:
    file: Dockerfile
    before: tuple[Arg, ...]  # the ARGs in front of the first FROM
    globals: Mapping[str, str]  # what they and the platform define
    stages: tuple[Stage, ...]

    def stage(self, name: str, before: int) -> Stage | None:
        """The stage that `--from=name` or `FROM name` means in stage number `before`: the latest of that name, or a number."""
        for stage in reversed(self.stages[:before]):
            if stage.name and stage.name == name.lower():
                return stage
        return self.stages[int(name)] if name.isascii() and name.isdigit() and int(name) < before else None

    def target(self, name: str) -> Stage:
        """The last stage, or the one that --target names. Raises InvalidArgument in Docker's words."""
        if not name:
            return self.stages[-1]
        for stage in reversed(self.stages):
            if stage.name == name.lower() and stage.name:
                return stage
        if name.isascii() and name.isdigit() and int(name) < len(self.stages) and not self.stages[int(name)].name:
            return self.stages[int(name)]
        raise InvalidArgument(f'target stage "{name}" could not be found')

    def needed(self, target: Stage) -> list[Stage]:
        """The stages to build for target, in order, itself last. Stages that only an ONBUILD trigger needs are not known yet."""
        wanted = {target.index}
        pending = [target]
        while pending:
            for index in pending.pop().needs:
                if index not in wanted:
                    wanted.add(index)
                    pending.append(self.stages[index])
        return [self.stages[index] for index in sorted(wanted)]


def platform_args(target: Platform, build: Platform, target_stage: str = "") -> dict[str, str]:
    """The arguments that are always defined in the global scope."""
    out = {"TARGETSTAGE": target_stage or "default"}
    for prefix, platform in (("BUILD", build), ("TARGET", target)):
        out |= {
            f"{prefix}PLATFORM": str(platform),
            f"{prefix}OS": platform.os,
            f"{prefix}ARCH": platform.architecture,
            f"{prefix}VARIANT": platform.variant,
            f"{prefix}OSVERSION": "",
        }
    return out


def plan(
    file: Dockerfile, instructions: Sequence[Instruction], given: Mapping[str, str], platforms: Mapping[str, str]
) -> Plan:
    """Group instructions into stages. Raises DockerfileError."""
    variables = {**platforms, **{name: given[name] for name in platforms if name in given}}
    before: list[Arg] = []
    grouped: list[tuple[From, list[Instruction]]] = []
    for instruction in instructions:
        try:
            if isinstance(instruction, From):
                grouped.append((instruction, []))
            elif grouped:
                grouped[-1][1].append(instruction)
            elif isinstance(instruction, Arg):
                before.append(instruction)
                _define(variables, instruction, given, file.escape)
            else:
                raise InvalidArgument("no build stage in current context")
        except InvalidArgument as error:
            raise located(str(error), file.name, instruction.node.first_line, instruction.node.last_line) from error
    if not grouped:
        raise InvalidArgument("no build stage in current context")
    out = Plan(file, tuple(before), variables, ())
    for from_, steps in grouped:
        try:
            out = _with_stage(out, from_, steps)
        except InvalidArgument as error:
            raise located(str(error), file.name, from_.node.first_line, from_.node.last_line) from error
    return out


def _define(variables: dict[str, str], arg: Arg, given: Mapping[str, str], escape: str) -> None:
    for name, default in arg.pairs:
        if name in given:
            variables[name] = given[name]
        elif default is not None:
            variables[name] = expand(default, variables, escape=escape)


def _with_stage(plan: Plan, from_: From, steps: list[Instruction]) -> Plan:
    base = expand(from_.base, plan.globals, escape=plan.file.escape)
    if not base:
        raise InvalidArgument(f"base name ({from_.base}) should not be blank")
    index = len(plan.stages)
    names = [base] if not base.isdigit() else []  # FROM takes no numbers
    for step in steps:
        if isinstance(step, Copy) and step.from_:
            names.append(step.from_)
        elif isinstance(step, Run):
            names += [match[1] for mount in step.mounts if (match := re.search(r"(?i)(?:^|,)from=([^,]*)", mount))]
    needs = {stage.index for name in names if (stage := plan.stage(name, index)) is not None}
    stage = Stage(index, from_, base, tuple(steps), tuple(sorted(needs)))
    return Plan(plan.file, plan.before, plan.globals, (*plan.stages, stage))
