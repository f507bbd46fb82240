from __future__ import annotations

from typing import Any

import pytest

from naru.build import instructions as i
from naru.build.parse import DockerfileError, parse
from naru.build.reading import duration_ns, read, trigger
from naru.errors import InvalidArgument, Unsupported


def _one(line: str) -> Any:
    return read(parse(line.encode()))[0]


def _fields(instruction: i.Instruction) -> dict[str, Any]:
    return {name: getattr(instruction, name) for name in ("base", "name", "platform") if hasattr(instruction, name)}


@pytest.mark.parametrize(
    ("line", "kind", "fields"),
    [
        ("FROM a", i.From, {"base": "a", "name": "", "platform": ""}),
        ("from --platform=$X a:1 aS Some-Name_1.x", i.From, {"base": "a:1", "name": "some-name_1.x", "platform": "$X"}),
        ("ARG a", i.Arg, {"pairs": (("a", None),)}),
        ("ARG a= b=1 c='x y'", i.Arg, {"pairs": (("a", ""), ("b", "1"), ("c", "'x y'"))}),
        ("ENV a=b c='d e'", i.Env, {"pairs": (("a", "b"), ("c", "'d e'"))}),
        ("ENV a b c", i.Env, {"pairs": (("a", "b c"),)}),
        ("ENV a=", i.Env, {"pairs": (("a", ""),)}),
        ("ENV a b=c", i.Env, {"pairs": (("a", "b=c"),)}),
        ("LABEL a.b=c", i.Label, {"pairs": (("a.b", "c"),)}),
        ("MAINTAINER me <me@x>", i.Maintainer, {"name": "me <me@x>"}),
        ("RUN a b", i.Run, {"command": i.Command(("a b",), True), "network": "default"}),
        ('RUN ["a", "b"]', i.Run, {"command": i.Command(("a", "b"), False)}),
        ("RUN [a, b]", i.Run, {"command": i.Command(("[a, b]",), True)}),
        ('RUN ["a", "b"] c', i.Run, {"command": i.Command(('["a", "b"] c',), True)}),
        ("RUN ['a']", i.Run, {"command": i.Command(("['a']",), True)}),
        ("RUN --network=none --mount=type=cache,target=/c a", i.Run, {"network": "none", "mounts": ("type=cache,target=/c",)}),
        ("RUN --mount=target=$X a", i.Run, {"mounts": ("target=$X",)}),
        ("RUN", i.Run, {"command": i.Command((), True)}),
        ("CMD a", i.Cmd, {"command": i.Command(("a",), True)}),
        ("CMD []", i.Cmd, {"command": i.Command((), False)}),
        ('ENTRYPOINT [ "a" ]', i.Entrypoint, {"command": i.Command(("a",), False)}),
        ("COPY a b", i.Copy, {"sources": ("a",), "target": "b", "from_": ""}),
        ('COPY ["a b", "c d"]', i.Copy, {"sources": ("a b",), "target": "c d"}),
        (
            "COPY --from=s --chown=u:g --chmod=755 --link --parents --exclude=*.md --exclude=x a b /c/", i.Copy,
            {"from_": "s", "chown": "u:g", "chmod": "755", "link": True, "parents": True, "excludes": ("*.md", "x"), "sources": ("a", "b")},
        ),
        ("COPY --link=false a b", i.Copy, {"link": False}),
        ("COPY <<F /x\nhi $a\nF", i.Copy, {"sources": (), "files": (i.InlineFile("F", "hi $a\n", True),), "target": "/x"}),
        ("COPY << 'F' a /x/\nhi\nF", i.Copy, {"sources": ("a",), "files": (i.InlineFile("F", "hi\n", False),)}),
        ("ADD --checksum=sha256:ab --unpack=false --keep-git-dir u /x", i.Add, {"checksum": "sha256:ab", "unpack": False, "keep_git_dir": True}),
        ("ADD a b", i.Add, {"unpack": None}),
        ("EXPOSE 90 80/udp", i.Expose, {"ports": ("80/udp", "90")}),
        ("VOLUME /a /b", i.Volume, {"paths": ("/a", "/b")}),
        ('VOLUME ["/a b"]', i.Volume, {"paths": ("/a b",)}),
        ("USER a:b", i.User, {"user": "a:b"}),
        ("WORKDIR /a b", i.Workdir, {"path": "/a b"}),
        ("STOPSIGNAL SIGTERM", i.Stopsignal, {"signal": "SIGTERM"}),
        ("HEALTHCHECK NONE", i.Healthcheck, {"health": i.Health(("NONE",))}),
        ("HEALTHCHECK cmd a b", i.Healthcheck, {"health": i.Health(("CMD-SHELL", "a b"))}),
        (
            'HEALTHCHECK --interval=1m30s --timeout=.5s --start-period=0 --start-interval=1ms --retries=3 CMD ["a"]', i.Healthcheck,
            {"health": i.Health(("CMD", "a"), 90 * 10**9, 5 * 10**8, 0, 10**6, 3)},
        ),
        ('SHELL ["/bin/bash", "-c"]', i.Shell, {"words": ("/bin/bash", "-c")}),
        ("ONBUILD RUN a", i.Onbuild, {"trigger": "RUN a"}),
        ("ONBUILD RUN <<E\na\nE", i.Onbuild, {"trigger": "RUN <<E\na\nE"}),
    ],
)  # fmt: skip
def test_every_instruction(line: str, kind: type[i.Instruction], fields: dict[str, Any]) -> None:
    instruction = _one(line)
    assert type(instruction) is kind
    assert {name: getattr(instruction, name) for name in fields} == fields


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("FORM a", r"unknown instruction: FORM \(did you mean FROM\?\)"),
        ("XYZZYQ a", "unknown instruction: XYZZYQ$"),
        ("FROM", "FROM requires either one or three arguments"),
        ("FROM a b", "FROM requires either one or three arguments"),
        ("FROM a AS 1b", 'invalid name for build stage: "1b"'),
        ("FROM a AS b/c", "name can't start with a number or contain symbols"),
        ("FROM --platfrom=x a", r"unknown flag: --platfrom \(did you mean platform\?\)"),
        ("FROM --platform a", "missing a value on flag: --platform"),
        ("ARG", "ARG requires at least one argument"),
        ("ARG =a", "ARG names can not be blank"),
        ("ENV", "ENV requires at least one argument"),
        ("ENV a", "ENV must have two arguments"),
        ("ENV a=b c", 'Syntax error - can\'t find = in "c". Must be of the form: name=value'),
        ("ENV =b", "ENV names can not be blank"),
        ("LABEL --x a=b", "unknown flag: --x"),
        ("MAINTAINER", "MAINTAINER requires exactly one argument"),
        ('CMD ["a", 1]', "when using JSON array syntax, arrays must be comprised of strings only"),
        ('RUN [["a"]]', "arrays must be comprised of strings only"),
        ("RUN --network=hots a", r"invalid network mode: hots \(did you mean host\?\)"),
        ("RUN --mount=type=bnd,target=/a b", r'unsupported mount type "bnd" \(did you mean bind\?\)'),
        ("RUN --mount=from=$a,target=/a b", "'from' doesn't support variable expansion"),
        ("RUN --mount=trget=/a b", r"unexpected key 'trget' in 'trget=/a' \(did you mean target\?\)"),
        (
            "COPY a",
            "COPY requires at least two arguments, but only one was provided. Destination could not be determined",
        ),
        ("COPY", "COPY requires at least two arguments"),
        ("COPY --from=a --from=b c d", "duplicate flag specified: --from"),
        ("COPY --from=$a c d", "'--from' doesn't support variable expansion"),
        ("COPY --link=maybe a b", "expecting boolean value for flag --link, not: maybe"),
        ("COPY --link= a b", "missing a value on flag: --link"),
        ("COPY --checksum=a b c", "unknown flag: --checksum"),
        ("COPY a <<F\nF", "COPY cannot accept a heredoc as a destination"),
        ("COPY <<../F /x\na\n../F", "it names a file"),
        ("ADD --from=x a b", "unknown flag: --from"),
        ("EXPOSE", "EXPOSE requires at least one argument"),
        ("VOLUME", "VOLUME requires at least one argument"),
        ('VOLUME [" "]', "VOLUME specified can not be an empty string"),
        ("USER", "USER requires exactly one argument"),
        ("WORKDIR", "WORKDIR requires exactly one argument"),
        ("STOPSIGNAL", "STOPSIGNAL requires exactly one argument"),
        ("HEALTHCHECK", "HEALTHCHECK requires at least one argument"),
        ("HEALTHCHECK NONE a", "HEALTHCHECK NONE takes no arguments"),
        ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
        ("HEALTHCHECK RUN a", r'Unknown type "RUN" in HEALTHCHECK \(try CMD\)'),
        ("HEALTHCHECK --interval=1us CMD a", 'Interval "interval" cannot be less than 1ms'),
        ("HEALTHCHECK --interval=1 CMD a", 'invalid duration "1"'),
        ("HEALTHCHECK --retries=x CMD a", "invalid number"),
        ("HEALTHCHECK --retries=-1 CMD a", r"--retries cannot be negative \(-1\)"),
        ("SHELL /bin/sh", "SHELL requires the arguments to be in JSON form"),
        ("SHELL []", "SHELL requires at least one argument"),
        ("ONBUILD", "ONBUILD requires at least one argument"),
        ("ONBUILD ONBUILD RUN a", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
        ("ONBUILD FROM a", "FROM isn't allowed as an ONBUILD trigger"),
        ("ONBUILD maintainer a", "MAINTAINER isn't allowed as an ONBUILD trigger"),
        ("ONBUILD CPY a b", r"unknown instruction: CPY \(did you mean COPY\?\)"),
    ],
)
def test_bad_input_names_its_line(line: str, message: str) -> None:
    with pytest.raises(DockerfileError, match=rf"^dockerfile parse error on line 3: .*{message}") as caught:
        read(parse(f"\n# c\n{line}\n".encode()))
    assert caught.value.first_line == 3


@pytest.mark.parametrize("line", ["RUN --security=insecure a", "RUN --device=x a"])
def test_entitlements_are_refused(line: str) -> None:
    with pytest.raises(Unsupported, match=r"is not allowed \(Dockerfile:1\)"):
        _one(line)


def test_triggers_of_base_images() -> None:
    assert isinstance(trigger("COPY a b"), i.Copy)
    run = trigger("RUN <<E\na\nE")
    assert isinstance(run, i.Run)
    assert run.heredocs[0].content == "a\n"
    with pytest.raises(InvalidArgument):
        trigger("NONSENSE")


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("0", 0),
        ("1s", 10**9),
        ("1h2m3s", 3723 * 10**9),
        ("1.5ms", 1_500_000),
        ("2us", 2000),
        ("2µs", 2000),
        ("+1s", 10**9),
        ("-1s", -(10**9)),
    ],
)
def test_duration(text: str, ns: int) -> None:
    assert duration_ns(text) == ns


@pytest.mark.parametrize("text", ["", "1", "s", "1 s", "1d", "1s1", "--1s", "1..5s"])
def test_bad_duration(text: str) -> None:
    with pytest.raises(InvalidArgument):
        duration_ns(text)
