"""The image a stage is about to become, and what the instructions that only change its configuration do to it. Pure.

Such an instruction makes a new State and the text of its history entry, in the classic builder's words
(`/bin/sh -c #(nop)  ENV a=b`); no layer, no container, nothing on disk.
"""

from __future__ import annotations

import json
import posixpath
import re
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from naru.build import instructions as i
from naru.build.shell import expand, expand_words
from naru.errors import InvalidArgument
from naru.oci.digest import Digest
from naru.oci.image import Descriptor, History, ImageConfig, Json, Platform

DEFAULT_SHELL = ("/bin/sh", "-c")
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class State:
    """`run` is the image's `config`, in Docker's names; `scope` what `$x` means here; `declared` the ARGs of this stage."""

    platform: Platform
    run: Json = field(default_factory=dict)
    diff_ids: tuple[Digest, ...] = ()
    layers: tuple[Descriptor, ...] = ()
    history: tuple[History, ...] = ()
    created: str = ""
    author: str = ""
    scope: Mapping[str, str] = field(default_factory=dict)
    declared: Mapping[str, str] = field(default_factory=dict)
    cmd_set: bool = False

    @property
    def env(self) -> dict[str, str]:
        return dict(entry.partition("=")[::2] for entry in self.run.get("Env") or ())

    @property
    def shell(self) -> tuple[str, ...]:
        return tuple(self.run.get("Shell") or DEFAULT_SHELL)

    @property
    def workdir(self) -> str:
        return self.run.get("WorkingDir") or "/"

    @property
    def user(self) -> str:
        return self.run.get("User") or ""

    @property
    def args(self) -> dict[str, str]:
        """The declared ARGs that a RUN sees: those that no ENV has taken the place of since."""
        env = self.env
        return {
            name: value
            for name, value in self.declared.items()
            if env.get(name) != self.scope.get(name) or name not in env
        }

    def config(self) -> ImageConfig:
        return ImageConfig.build(
            platform=self.platform, run=self.run, diff_ids=self.diff_ids, history=self.history,
            created=self.created, author=self.author,
        )  # fmt: skip

    def committed(self, created: str, created_by: str, layer: tuple[Descriptor, Digest] | None) -> State:
        """One step later: a history entry more, and a layer if the step made one."""
        entry = History(created, created_by, self.author, "", layer is None)
        state = replace(self, history=(*self.history, entry), created=created)
        if layer is not None:
            state = replace(state, layers=(*state.layers, layer[0]), diff_ids=(*state.diff_ids, layer[1]))
        return state


def begin(platform: Platform, config: ImageConfig | None, layers: tuple[Descriptor, ...]) -> State:
    """A stage's state just after FROM; config None is scratch. ONBUILD triggers are still in it."""
    if config is None:
        return State(platform)
    state = State(config.platform, config.run, config.diff_ids, layers, config.history, config.created, config.author)
    return replace(state, scope=state.env)


_EXPANDED: dict[type[i.Instruction], tuple[str, ...]] = {
    i.Add: ("sources", "target", "chown", "chmod", "checksum"),
    i.Copy: ("sources", "target", "chown", "chmod"),
    i.Env: ("pairs",),
    i.Label: ("pairs",),
    i.Stopsignal: ("signal",),
    i.User: ("user",),
    i.Volume: ("paths",),
    i.Workdir: ("path",),
}


def expanded(instruction: i.Instruction, scope: Mapping[str, str], escape: str) -> i.Instruction:
    """The instruction with its variables replaced, where Docker replaces them. Raises InvalidArgument."""

    def word(text: str) -> str:
        return expand(text, scope, escape=escape)

    if isinstance(instruction, i.Expose):
        return replace(
            instruction,
            ports=tuple(sorted(p for port in instruction.ports for p in expand_words(port, scope, escape=escape))),
        )
    changes: dict[str, Any] = {}
    for name in _EXPANDED.get(type(instruction), ()):
        value = getattr(instruction, name)
        if isinstance(value, str):
            changes[name] = word(value)
        else:
            changes[name] = tuple(tuple(map(word, item)) if isinstance(item, tuple) else word(item) for item in value)
    if isinstance(instruction, i.Copy):
        changes["files"] = tuple(
            replace(f, text=expand(f.text, scope, quotes=False)) if f.expand else f for f in instruction.files
        )
    return replace(instruction, **changes) if changes else instruction


def apply(state: State, instruction: i.Instruction) -> tuple[State, str]:
    """Carry out an (expanded) instruction that changes the configuration alone: the new state, without a history entry
    yet, and the entry's text. Raises InvalidArgument."""
    return _APPLY[type(instruction)](state, instruction)


def nop(state: State, text: str) -> str:
    """The classic builder's history text of a step that runs nothing."""
    return " ".join([*state.shell, "#(nop) ", text])


def _set(state: State, **changes: Any) -> State:
    run = {key: value for key, value in {**state.run, **changes}.items() if value is not None}
    return replace(state, run=run)


def _env(state: State, step: i.Env) -> tuple[State, str]:
    env = {**state.env, **dict(step.pairs)}
    changed = _set(state, Env=[f"{name}={value}" for name, value in env.items()])
    return replace(changed, scope={**state.scope, **dict(step.pairs)}), "ENV " + _joined(step.pairs)


def _joined(pairs: i.Pairs) -> str:
    return " ".join(f"{name}={value}" for name, value in pairs)


def _label(state: State, step: i.Label) -> tuple[State, str]:
    return _set(state, Labels={**(state.run.get("Labels") or {}), **dict(step.pairs)}), "LABEL " + _joined(step.pairs)


def declare(
    state: State, step: i.Arg, given: Mapping[str, str], outer: Mapping[str, str], escape: str
) -> tuple[State, str]:
    """ARG: --build-arg beats the default, the default beats the value from before the first FROM."""
    scope, declared = dict(state.scope), dict(state.declared)
    words: list[str] = []
    for name, default in step.pairs:
        value = given.get(name)
        if value is None and default is not None:
            value = expand(default, scope, escape=escape)
        if value is None:
            value = outer.get(name)
        words.append(name if default is None else f"{name}={expand(default, state.scope, escape=escape)}")
        if value is not None:
            scope[name] = declared[name] = value
    return replace(state, scope=scope, declared=declared), "ARG " + " ".join(words)


def _maintainer(state: State, step: i.Maintainer) -> tuple[State, str]:
    return replace(state, author=step.name), "MAINTAINER " + step.name


def quoted(words: tuple[str, ...]) -> str:
    """Go's %q of a list of strings: `["a" "b"]`."""
    return "[" + " ".join(json.dumps(word, ensure_ascii=False) for word in words) + "]"


def _cmd(state: State, step: i.Cmd) -> tuple[State, str]:
    argv = step.command.argv(state.shell) if step.command.words else ()
    return replace(_set(state, Cmd=list(argv)), cmd_set=True), f"CMD {quoted(argv)}"


def _entrypoint(state: State, step: i.Entrypoint) -> tuple[State, str]:
    argv = step.command.argv(state.shell) if step.command.words else ()
    changed = _set(state, Entrypoint=list(argv) or None)
    if not state.cmd_set:  # a base image's CMD was meant for the base image's ENTRYPOINT
        changed = _set(changed, Cmd=None)
    return changed, f"ENTRYPOINT {quoted(argv)}"


_PORT = re.compile(r"(?:.*:)?(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", re.IGNORECASE | re.DOTALL)


def _expose(state: State, step: i.Expose) -> tuple[State, str]:
    ports = dict(state.run.get("ExposedPorts") or {})
    for text in step.ports:
        match = _PORT.fullmatch(text)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if match is None or not first <= last <= 65535:
            raise InvalidArgument(f"invalid containerPort: {text}")
        ports |= {f"{port}/{(match[3] or 'tcp').lower()}": {} for port in range(first, last + 1)}
    return _set(state, ExposedPorts=ports), "EXPOSE " + " ".join(step.ports)


def _volume(state: State, step: i.Volume) -> tuple[State, str]:
    if not all(step.paths):
        raise InvalidArgument("VOLUME specified can not be an empty string")
    volumes = {**(state.run.get("Volumes") or {}), **{path: {} for path in step.paths}}
    return _set(state, Volumes=volumes), f"VOLUME [{' '.join(step.paths)}]"


def _user(state: State, step: i.User) -> tuple[State, str]:
    return _set(state, User=step.user), "USER " + step.user


def workdir(state: State, step: i.Workdir) -> tuple[State, str]:
    """WORKDIR's part in the configuration; making the directory is `steps.py`'s."""
    if not step.path:
        raise InvalidArgument("cannot normalize nothing")
    path = "/" + posixpath.normpath(posixpath.join(state.workdir, step.path)).lstrip("/")
    return _set(state, WorkingDir=path), "WORKDIR " + path


def _stopsignal(state: State, step: i.Stopsignal) -> tuple[State, str]:
    name = step.signal.upper().removeprefix("SIG")
    realtime = re.fullmatch(r"RTM(IN|AX)(?:[-+]\d{1,2})?", name)
    number = name.isascii() and name.isdigit() and 1 <= int(name) <= 64
    if not (number or realtime or f"SIG{name}" in signal.Signals.__members__):
        raise InvalidArgument(f"invalid signal: {step.signal}")
    return _set(state, StopSignal=step.signal), "STOPSIGNAL " + step.signal


def _go_duration(ns: int) -> str:
    """Go's rendering of a duration: 1m30s, 1.5s, 250ms, 0s."""
    if ns < 10**9:
        return f"{ns / 10**6:.6f}".rstrip("0").rstrip(".") + "ms" if ns else "0s"
    minutes, rest = divmod(ns, 60 * 10**9)
    seconds = f"{rest / 10**9:.9f}".rstrip("0").rstrip(".") + "s"
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + seconds


def _healthcheck(state: State, step: i.Healthcheck) -> tuple[State, str]:
    h = step.health
    times = {
        "Interval": h.interval_ns,
        "Timeout": h.timeout_ns,
        "StartPeriod": h.start_period_ns,
        "StartInterval": h.start_interval_ns,
    }
    check: Json = {"Test": list(h.test)} | {name: ns for name, ns in times.items() if ns}
    if h.retries:
        check["Retries"] = h.retries
    shown = " ".join(f'"{_go_duration(ns)}"' for ns in times.values())
    return _set(state, Healthcheck=check), f"HEALTHCHECK &{{{quoted(h.test)} {shown} '\\x{h.retries:02x}'}}"


def _shell(state: State, step: i.Shell) -> tuple[State, str]:
    return _set(state, Shell=list(step.words)), f"SHELL [{' '.join(step.words)}]"


def _onbuild(state: State, step: i.Onbuild) -> tuple[State, str]:
    return _set(state, OnBuild=[*(state.run.get("OnBuild") or []), step.trigger]), "ONBUILD " + step.trigger


_APPLY: dict[type[i.Instruction], Callable[[State, Any], tuple[State, str]]] = {
    i.Cmd: _cmd,
    i.Entrypoint: _entrypoint,
    i.Env: _env,
    i.Expose: _expose,
    i.Healthcheck: _healthcheck,
    i.Label: _label,
    i.Maintainer: _maintainer,
    i.Onbuild: _onbuild,
    i.Shell: _shell,
    i.Stopsignal: _stopsignal,
    i.User: _user,
    i.Volume: _volume,
}
