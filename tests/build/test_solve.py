from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING

import pytest

from naru.build.context import Context, receive
from naru.build.parse import DockerfileError
from naru.build.solve import BuildRequest, BuildResult
from naru.build.steps import StepFailed
from naru.errors import InvalidArgument, NotFound, Unsupported
from naru.events import Progress
from naru.oci.digest import Digest

if TYPE_CHECKING:
    from conftest import Tars, World

pytestmark = pytest.mark.root

SIMPLE = """\
FROM busybox
ENV GREETING=hello
WORKDIR /app
COPY main.txt .
RUN echo $GREETING > greeting && cat main.txt
CMD ["cat", "greeting"]
"""


def test_the_whole_path_and_what_it_prints(world: World) -> None:
    result = world.build(SIMPLE, {"main.txt": "main\n"}, tags=("app:1", "app"))
    shape = re.sub(r"\b[0-9a-f]{12}\b", "<id>", world.output)
    assert shape == (
        "Step 1/6 : FROM busybox\n ---> <id>\n"
        "Step 2/6 : ENV GREETING=hello\n ---> <id>\n"
        "Step 3/6 : WORKDIR /app\n ---> <id>\n"
        "Step 4/6 : COPY main.txt .\n ---> <id>\n"
        "Step 5/6 : RUN echo $GREETING > greeting && cat main.txt\n ---> Running in <id>\nmain\n"
        " ---> Removed intermediate container <id>\n ---> <id>\n"
        'Step 6/6 : CMD ["cat", "greeting"]\n ---> <id>\n'
        "Successfully built <id>\nSuccessfully tagged app:1\nSuccessfully tagged app:latest\n"
    )
    assert result.tags == ("app:1", "app:latest")
    assert world.aux[-1] == {"ID": result.image_id}
    assert re.search(r"(^Successfully built |sha256:)([0-9a-f]+)$", world.output, re.MULTILINE)
    image = world.images.resolve("app:1")
    assert image.id == result.image_id == world.images.resolve("app").id
    assert world.read("app", "/app/greeting") == "hello\n"
    assert image.config.run["WorkingDir"] == "/app"
    assert image.config.run["Cmd"] == ["cat", "greeting"]
    assert len(image.config.diff_ids) == len(image.manifest.layers) == 1 + 3


def test_history_is_the_classic_builders(world: World) -> None:
    world.build("FROM busybox\nARG v=1\n" + SIMPLE.partition("\n")[2], {"main.txt": "x"}, tags=("app",))
    history = world.images.resolve("app").config.history[1:]
    texts = [re.sub(r"file:[0-9a-f]{64}", "file:<hash>", entry.created_by) for entry in history]
    assert texts == [
        "/bin/sh -c #(nop)  ARG v=1",
        "/bin/sh -c #(nop)  ENV GREETING=hello",
        "/bin/sh -c #(nop)  WORKDIR /app",
        "/bin/sh -c #(nop) COPY file:<hash> in . ",
        "|1 v=1 /bin/sh -c echo $GREETING > greeting && cat main.txt",
        '/bin/sh -c #(nop)  CMD ["cat" "greeting"]',
    ]
    assert [entry.empty_layer for entry in history] == [True, True, False, False, False, True]


def test_a_rebuild_uses_the_cache_and_gives_the_same_image(world: World) -> None:
    first = world.build(SIMPLE, {"main.txt": "main"})
    assert len(first.misses) == 5
    again = world.build(SIMPLE, {"main.txt": "main"})
    assert again.image_id == first.image_id
    assert again.misses == ()
    assert world.output.count(" ---> Using cache\n") == 5
    assert len(world.runner.steps) == 1


@pytest.mark.parametrize(
    ("change", "options", "step", "why"),
    [
        (("main.txt", "other"), {}, "COPY main.txt .", "file main.txt changed"),
        (("Dockerfile", SIMPLE.replace("cat main", "ls main")), {}, "RUN", "instruction changed, from: RUN /bin/sh -c echo $GREETING > greeting && cat main.txt"),
        (("main.txt", "main"), {"no_cache": True}, "ENV", "the cache is not used"),
    ],
)  # fmt: skip
def test_a_miss_says_why(world: World, change: tuple[str, str], options: dict, step: str, why: str) -> None:
    world.build(SIMPLE, {"main.txt": "main"})
    files = {"Dockerfile": SIMPLE, "main.txt": "main"} | dict([change])
    misses = world.build(files.pop("Dockerfile"), files, **options).misses
    assert misses[0].step.startswith(step)
    assert misses[0].why == why
    assert all(miss.why in ("an earlier step changed", "the cache is not used") for miss in misses[1:])


def test_a_build_argument_is_an_input_of_run_alone(world: World) -> None:
    text = "FROM busybox\nARG WHO=you\nENV A=b\nRUN echo $WHO > /who\n"
    world.build(text, tags=("one",))
    result = world.build(text, build_args={"WHO": "me"}, tags=("two",))
    assert [(miss.step, miss.why) for miss in result.misses] == [("RUN echo $WHO > /who", "build-arg WHO changed")]
    assert (world.read("one", "/who"), world.read("two", "/who")) == ("you\n", "me\n")


def test_a_changed_base_is_named(world: World) -> None:
    world.build("FROM busybox\nENV a=1\n", tags=("base",))
    world.build("FROM base\nRUN true\n")
    world.build("FROM busybox\nENV a=2\n", tags=("base",))
    result = world.build("FROM base\nRUN true\n")
    assert [miss.why for miss in result.misses] == ["base image base changed"]


def test_only_needed_stages_are_built_and_copied_from(world: World) -> None:
    text = """\
ARG BASE=busybox
FROM ${BASE} AS one
RUN echo 1 > /made && touch -d @1000 /made && /bin/busybox chown 7:8 /made
FROM busybox AS unused
RUN false
FROM scratch
COPY --from=one /made /bin/busybox /x/
COPY --from=busybox /etc/passwd /
"""
    world.build(text, tags=("app",))
    assert "RUN false" not in world.output
    assert world.output.startswith("Step 1/6 : ARG BASE=busybox\nStep 2/6 : FROM ${BASE} AS one\n")
    assert world.read("app", "/x/made") == "1\n"
    assert "bob" in world.read("app", "/passwd")


def test_a_failing_run_says_what_where_and_how(world: World) -> None:
    with pytest.raises(
        StepFailed, match=r"^The command '/bin/sh -c exit 7' returned a non-zero code: 7 \(Dockerfile:3\)$"
    ) as caught:
        world.build("FROM busybox\n\nRUN exit 7\n")
    assert caught.value.exit_code == 7
    assert world.db.rows("SELECT * FROM active") == []
    assert [name for name in world.path.joinpath("build/scratch").iterdir()] == []


@pytest.mark.parametrize(
    ("dockerfile", "kind", "message"),
    [
        ("FORM busybox", DockerfileError, r"dockerfile parse error on line 1: unknown instruction: FORM \(did you mean FROM\?\)"),
        ("RUN true", DockerfileError, "no build stage in current context"),
        ("FROM busybox\nCOPY nofile /x", NotFound, r"COPY failed: file not found in build context or excluded by .dockerignore: stat nofile: file does not exist \(Dockerfile:2\)"),
        ("FROM nowhere:1", NotFound, r"nowhere:1.* \(Dockerfile:1\)"),
        ("FROM busybox\nCOPY Dockerfile Dockerfile /x", InvalidArgument, "When using COPY with more than one source file"),
        ("FROM busybox\nCOPY *.none /x/", InvalidArgument, "COPY failed: no source files were specified"),
        ("FROM busybox\nSTOPSIGNAL NOPE", InvalidArgument, "invalid signal: NOPE"),
        ("FROM busybox\nRUN --mount=type=secret,id=x true", Unsupported, "type=secret needs a build session"),
        ("FROM busybox\nRUN --security=insecure true", Unsupported, "security.insecure is not allowed"),
        ("FROM busybox\nUSER ${x:?must be set}", InvalidArgument, "x: must be set"),
        ("FROM busybox\nCOPY --chown=nobody:x Dockerfile /x", InvalidArgument, "unable to find user nobody"),
        ("FROM busybox\nADD https://example.com/x /x", NotFound, "404"),
        ("FROM ${nothing}", DockerfileError, r"base name \(\$\{nothing\}\) should not be blank"),
    ],
)  # fmt: skip
def test_what_cannot_be_built(world: World, dockerfile: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        world.build(dockerfile, tags=("app",))
    assert world.db.rows("SELECT * FROM active") == []
    with pytest.raises(NotFound):
        world.images.resolve("app")


def test_targets(world: World) -> None:
    text = "FROM busybox AS one\nENV a=1\nFROM busybox\nENV a=2\n"
    world.build(text, target="ONE", tags=("app",))
    assert "a=1" in world.images.resolve("app").config.run["Env"]
    with pytest.raises(InvalidArgument, match='target stage "0" could not be found'):
        world.build(text, target="0")


def test_onbuild_triggers_run_in_the_child_and_are_gone(world: World) -> None:
    world.build("FROM busybox\nONBUILD COPY src /src\nONBUILD RUN cat /src > /built\n", tags=("parent",))
    assert world.images.resolve("parent").config.run["OnBuild"] == ["COPY src /src", "RUN cat /src > /built"]
    world.build("FROM parent\nENV a=1\n", {"src": "source"}, tags=("child",))
    assert "# Executing 2 build triggers\n" in world.output
    assert world.read("child", "/built") == "source"
    assert "OnBuild" not in world.images.resolve("child").config.run


def test_from_alone_is_the_image_itself(world: World) -> None:
    result = world.build("FROM busybox\n", tags=("same",))
    assert result.image_id == world.images.resolve("busybox").id


def test_labels_come_last_and_unused_arguments_are_told(world: World) -> None:
    world.build("FROM busybox\n", labels={"a": "b c"}, build_args={"NOPE": "1", "http_proxy": "x"}, tags=("app",))
    assert "Step 2/2 : LABEL a=b c\n" in world.output
    assert "[Warning] One or more build-args [NOPE] were not consumed\n" in world.output
    assert world.images.resolve("app").config.run["Labels"] == {"a": "b c"}


def test_proxies_reach_run_and_leave_no_trace(world: World) -> None:
    text = "FROM busybox\nRUN echo $http_proxy > /proxy\n"
    world.build(text, build_args={"http_proxy": "http://one"}, tags=("app",))
    assert world.read("app", "/proxy") == "http://one\n"
    assert "http://one" not in world.images.resolve("app").config.raw.decode()
    assert world.build(text, build_args={"http_proxy": "http://two"}).misses == ()


def test_metadata_costs_no_file_system(world: World) -> None:
    world.build("FROM busybox\nENV a=b\nEXPOSE 80\nVOLUME /v\nUSER bob\nLABEL x=y\nSTOPSIGNAL 9\n", tags=("app",))
    assert len(world.images.resolve("app").manifest.layers) == 1
    assert len(world.snapshots.chains()) == 1


def test_a_result_that_is_gone_is_made_again(world: World) -> None:
    text = "FROM busybox\nRUN echo x > /x\n"
    world.build(text)
    (layer,) = world.builder.cache.blobs()
    world.store.delete(layer)
    result = world.build(text, tags=("app",))
    assert len(result.misses) == 1
    (again,) = world.builder.cache.blobs()  # another, if the clock has moved on between the two
    assert world.store.has(again)


def test_pulled_images_are_never_candidates(world: World) -> None:
    world.build("FROM busybox\nRUN echo x > /x\n", tags=("app",))
    world.builder.cache.prune()
    assert [miss.why for miss in world.build("FROM busybox\nRUN echo x > /x\n").misses] == ["never built before"]


def test_run_heredocs(world: World) -> None:
    text = """\
FROM busybox
RUN <<EOF
echo one > /one
echo "$HOME $x" >> /one
EOF
RUN <<-"END" cat > /two
\tliteral $x
END
RUN <<SCRIPT
#!/bin/sh
echo $0 > /three
SCRIPT
COPY <<a <<"b" /files/
$PATH
a
$PATH
b
"""
    world.build(text, tags=("app",))
    assert world.read("app", "/one") == "one\n \n"
    assert world.read("app", "/two") == "literal $x\n"
    assert world.read("app", "/three") == "/dev/pipes/SCRIPT\n"
    assert world.read("app", "/files/a") == "/bin\n"
    assert world.read("app", "/files/b") == "$PATH\n"


def test_run_mounts(world: World) -> None:
    text = """\
FROM busybox AS other
RUN echo other > /o
FROM busybox
RUN --mount=target=/ctx --mount=from=other,source=/o,target=/mnt/o --mount=type=tmpfs,target=/t \
    cat /ctx/file /mnt/o > /seen && touch /t/x && ! touch /ctx/y
RUN --mount=type=cache,target=/c --mount=target=/ctx,rw echo x >> /c/n && cat /c/n > /count && touch /ctx/new
"""
    world.build(text, {"file": "file\n"}, tags=("app",))
    assert world.read("app", "/seen") == "file\nother\n"
    assert world.read("app", "/count") == "x\n"
    for gone in ("/ctx", "/mnt", "/t", "/c"):
        with pytest.raises(FileNotFoundError):
            world.read("app", gone)
    world.build(text, {"file": "file2\n"}, tags=("app",))
    assert world.read("app", "/count") == "x\nx\n"
    world.build(text, {"file": "file2\n"}, tags=("app",), no_cache=True)
    assert world.read("app", "/count") == "x\n"


def test_a_mount_source_cannot_leave_its_root(world: World) -> None:
    context = world.path / "hostile"
    context.mkdir()
    (world.path / "canary").write_text("canary")
    (context / "Dockerfile").write_text("FROM busybox\nRUN --mount=source=link,target=/m cat /m\n")
    (context / "link").symlink_to(world.path / "canary")
    with pytest.raises(NotFound):
        world.build_in(context)
    (context / "Dockerfile").write_text("FROM busybox\nCOPY link /m\n")
    with pytest.raises(NotFound):
        world.build_in(context)


def test_add_unpacks_archives_and_downloads(world: World, tars: Tars) -> None:
    world.downloads["https://example.com/dir/file.txt?x=1"] = b"downloaded"
    archive = tars.tar_of({"sub": None, "sub/inner": b"inner"})
    world.downloads["https://example.com/a.tar"] = archive
    context = world.path / "adding"
    context.mkdir()
    (context / "a.tar").write_bytes(archive)
    (context / "Dockerfile").write_text(
        "FROM busybox\nADD a.tar /out\nADD --unpack=false a.tar /kept/\nADD https://example.com/dir/file.txt?x=1 /d/\n"
        "ADD --unpack=true https://example.com/a.tar /remote/\nRUN stat -c '%a %Y' /d/file.txt > /stat\n"
    )
    world.build_in(context, tags=("app",))
    assert world.read("app", "/out/sub/inner") == world.read("app", "/remote/sub/inner") == "inner"
    assert "inner" in world.read("app", "/kept/a.tar")
    assert world.read("app", "/d/file.txt") == "downloaded"
    assert world.read("app", "/stat") == "600 1600000000\n"


def test_owner_and_mode(world: World) -> None:
    text = """\
FROM busybox
USER bob
WORKDIR /mine
USER root
COPY --chown=bob f /a
COPY --chown=7 f /b
COPY --chown=5:staff --chmod=0741 f /c
COPY --chmod=u=rwX,go= d /d
RUN stat -c '%n %u:%g %a' /mine /a /b /c /d /d/f > /owners
"""
    world.build(text, {"f": "x", "d/f": "y"}, tags=("app",))
    assert (
        world.read("app", "/owners") == "/mine 7:8 755\n/a 7:8 644\n/b 7:7 644\n/c 5:9 741\n/d 0:0 700\n/d/f 0:0 600\n"
    )


def test_scope_of_arguments_and_environment(world: World) -> None:
    text = """\
ARG GLOBAL=g
FROM busybox AS base
ARG GLOBAL
ARG A=a
ENV E=$A-$GLOBAL A2=$A
FROM base
RUN echo "$A $GLOBAL $E $TARGETARCH" > /one
ARG TARGETARCH
ENV A=env
RUN echo "$A $TARGETARCH" > /two
ARG A=later
RUN echo "$A" > /three
"""
    world.build(text, build_args={"A": "given"}, tags=("app",))
    assert world.read("app", "/one") == "given g given-g \n"
    assert world.read("app", "/two") == "env amd64\n"
    assert world.read("app", "/three") == "given\n"
    assert "A=env" in world.images.resolve("app").config.run["Env"]


def test_the_dockerignore_of_the_context_applies(world: World) -> None:
    files = {".dockerignore": "*\n!keep\n!sub/keep\n", "keep": "1", "drop": "2", "sub/keep": "3", "sub/drop": "4"}
    world.build("FROM busybox\nCOPY . /all\nRUN cd /all && ls -aR > /list\n", files, tags=("app",))
    assert "drop" not in world.read("app", "/list")
    assert "Dockerfile" not in world.read("app", "/list")
    assert world.read("app", "/all/sub/keep") == "3"


def test_the_daemons_environment_stays_outside(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NARU_SECRET", "s3cret")
    world.build("FROM busybox\nRUN env > /env\n", tags=("app",))
    assert "s3cret" not in world.read("app", "/env")


def test_the_manifest_and_config_are_in_the_store(world: World) -> None:
    result = world.build(SIMPLE, {"main.txt": ""})
    manifest = json.loads(world.store.read(result.image_id, 1 << 20))
    assert all(world.store.has(Digest(layer["digest"])) for layer in [*manifest["layers"], manifest["config"]])


def test_a_cancelled_build_leaves_nothing(world: World) -> None:
    async def work() -> None:
        started = asyncio.Event()
        context = world.path / "cancelled"
        context.mkdir()
        (context / "Dockerfile").write_text("FROM busybox\nRUN echo started && while true; do :; done\n")

        def report(progress: Progress) -> None:
            if progress.stream == "started\n":
                started.set()

        async with asyncio.TaskGroup() as group:
            build = group.create_task(world.builder.build(BuildRequest(Context(str(context))), report))
            await started.wait()
            build.cancel()

    asyncio.run(work())
    assert world.db.rows("SELECT * FROM active") == []
    assert list(world.path.joinpath("build/scratch").iterdir()) == []
    assert world.db.rows("SELECT * FROM lease") == []


def test_builds_at_the_same_time_do_not_disturb_each_other(world: World) -> None:
    async def work() -> list[BuildResult]:
        async with asyncio.TaskGroup() as group:
            tasks = []
            for number in range(4):
                context = world.path / f"parallel-{number}"
                context.mkdir()
                (context / "f").write_text("same")
                (context / "Dockerfile").write_text(
                    f"FROM busybox\nCOPY f /f\nRUN --mount=type=cache,target=/c touch /c/{number}\n"
                )
                request = BuildRequest(Context(str(context)), tags=(f"app{number}",))
                tasks.append(group.create_task(world.builder.build(request, lambda _: None)))
        return [task.result() for task in tasks]

    assert len(asyncio.run(work())) == 4
    assert all(world.read(f"app{number}", "/f") == "same" for number in range(4))


def test_a_received_context_is_built(world: World, tars: Tars) -> None:
    async def work() -> BuildResult:
        data = tars.tar_of({"Dockerfile": b"FROM busybox\nCOPY f /f\nRUN stat -c %u /f > /owner\n", "f": b"text"})
        async with receive(tars.pour(data), world.builder.scratch) as context:
            return await world.builder.build(BuildRequest(context, tags=("app",)), lambda _: None)

    asyncio.run(work())
    assert world.read("app", "/owner") == "0\n"


def test_source_date_epoch_fixes_the_times(world: World) -> None:
    world.build("FROM busybox\nENV a=b\n", build_args={"SOURCE_DATE_EPOCH": "86400"}, tags=("app",))
    assert world.images.resolve("app").config.created == "1970-01-02T00:00:00Z"
    with pytest.raises(InvalidArgument, match="invalid SOURCE_DATE_EPOCH: x"):
        world.build("FROM busybox\n", build_args={"SOURCE_DATE_EPOCH": "x"})


def test_a_passwd_that_is_a_fifo_is_an_error_and_no_wait(world: World) -> None:
    world.build("FROM busybox\nRUN rm /etc/passwd && /bin/busybox mkfifo /etc/passwd\n", tags=("trap",))
    with pytest.raises(InvalidArgument, match="unable to find user"):
        world.build("FROM trap\nCOPY --chown=bob Dockerfile /x\n")


def test_mount_points_a_step_replaced_are_left_alone(world: World) -> None:
    text = """\
FROM busybox
RUN --mount=type=tmpfs,target=/made/deep touch /made/mine && mkdir /made/other
RUN ls /made > /list
"""
    world.build(text, tags=("app",))
    assert world.read("app", "/list") == "mine\nother\n"


def test_a_configuration_nobody_could_read_back_is_refused(world: World) -> None:
    doubling = "ENV A=" + "x" * 30000 + "\n" + "ENV A=$A$A\n" * 4
    with pytest.raises(InvalidArgument, match=r"the image's configuration is larger than \d+ bytes \(Dockerfile:\d+\)"):
        world.build("FROM busybox\n" + doubling + "LABEL a=$A b=$A c=$A d=$A\n")


@pytest.mark.parametrize(
    "options", [{"build_args": {"A": "\0"}}, {"labels": {"a\0": "b"}}, {"labels": {"a": "\udc80"}}]
)
def test_text_that_cannot_be_passed_on(world: World, options: dict) -> None:
    with pytest.raises(InvalidArgument, match="it contains characters that cannot be passed on"):
        world.build("FROM busybox\n", **options)


def test_prune_forgets_results_and_caches(world: World) -> None:
    text = "FROM busybox\nRUN --mount=type=cache,target=/c echo x >> /c/n && cat /c/n > /count\n"
    world.build(text, tags=("app",))
    assert asyncio.run(world.builder.prune()) >= 0
    world.build(text, tags=("app",))
    assert world.read("app", "/count") == "x\n"
