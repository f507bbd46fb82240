"""A real builder on temporary directories: real snapshots, store and image service, and a runner that really runs."""

from __future__ import annotations

import asyncio
import io
import os
import shlex
import shutil
import signal
import tarfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from naru.build.context import Context
from naru.build.needs import RunStep
from naru.build.solve import Builder, BuildRequest, BuildResult
from naru.content.blobs import ContentStore
from naru.errors import NotFound
from naru.events import Bus, Progress
from naru.images.feed import Pour, poured
from naru.images.service import Images
from naru.linux import syscalls
from naru.linux.mounts import apply_all, in_private_namespace
from naru.linux.process import Child, spawn, wait_readable
from naru.oci import reference
from naru.oci.image import Platform
from naru.remote.fetch import Fetched
from naru.snapshots.overlay import Snapshots
from naru.store.db import Database

BUSYBOX = "/usr/bin/busybox"


class ChrootRunner:
    """Runs a step as root in a chroot, in a mount namespace of its own that ends with it. Enough for a test."""

    def __init__(self, scratch: str) -> None:
        self._root = os.path.join(scratch, "root")
        self._aside = os.path.join(scratch, "aside")
        for path in (self._root, self._aside):
            os.makedirs(path)
        self.steps: list[RunStep] = []

    async def run(self, step: RunStep, output: Callable[[int, bytes], None]) -> int:
        self.steps.append(step)
        reads, writes = zip(*(os.pipe2(os.O_CLOEXEC) for _ in range(2)), strict=True)
        try:
            pid = await asyncio.to_thread(self._start, step, writes)
        finally:
            for fd in writes:
                os.close(fd)
        try:
            async with asyncio.TaskGroup() as group:
                for number, fd in enumerate(reads, 1):
                    group.create_task(self._pump(fd, number, output))
                code = group.create_task(Child(pid).wait_exit())
        except asyncio.CancelledError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)  # noqa: ASYNC222 - it was just killed
            raise
        return code.result()

    async def _pump(self, fd: int, number: int, output: Callable[[int, bytes], None]) -> None:
        try:
            while True:
                await wait_readable(fd)
                data = os.read(fd, 65536)
                if not data:
                    return
                output(number, data)
        finally:
            os.close(fd)

    def _start(self, step: RunStep, writes: tuple[int, ...]) -> int:
        def work() -> int:
            apply_all(step.mounts, self._root)
            for extra in step.extra_mounts:
                target = self._root + os.path.realpath(extra.target)
                if extra.kind == "tmpfs":
                    syscalls.mount("tmpfs", target, "tmpfs", 0, f"size={extra.size_bytes}" if extra.size_bytes else "")
                    continue
                apply_all(extra.mounts, self._aside)
                source = os.path.join(self._aside, extra.subpath)
                syscalls.mount(source, target, "", syscalls.MS_BIND)
                if extra.read_only:
                    flags = syscalls.MS_BIND | syscalls.MS_REMOUNT | syscalls.MS_RDONLY
                    syscalls.mount("", target, "", flags)
                syscalls.umount(self._aside)
            env = dict(entry.partition("=")[::2] for entry in step.env)
            script = f"cd {shlex.quote(step.cwd)} && exec " + shlex.join(step.argv)
            argv = [BUSYBOX, "chroot", self._root, "/bin/busybox", "sh", "-c", script]
            return spawn(argv, env=env, fds={1: writes[0], 2: writes[1]})

        return in_private_namespace(work)


class EmptyRegistry:
    """The registry of somebody who is offline: it has nothing."""

    async def resolve(self, ref: object, credentials: object) -> tuple[object, bytes]:
        raise NotFound(f"failed to resolve reference {ref}: not found")

    fetch_manifest = fetch_blob = push_blob = push_manifest = resolve


class Tars:
    """Archives as clients send them. (A fixture, since test modules cannot import from here.)"""

    @staticmethod
    def tar_of(files: dict[str, bytes | None]) -> bytes:
        """A tar of files; None is a directory."""
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.mode = 0o755
                if data is None:
                    info.type = tarfile.DIRTYPE
                else:
                    info.size = len(data)
                tar.addfile(info, io.BytesIO(data or b""))
        return out.getvalue()

    @staticmethod
    def pour(data: bytes) -> Pour:
        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(data), 65536):
                yield data[start : start + 65536]

        return poured(pieces())


@dataclass
class World:
    """Everything a build needs; `build` runs one and keeps what it printed in `output`."""

    path: Path
    builder: Builder
    images: Images
    store: ContentStore
    snapshots: Snapshots
    runner: ChrootRunner
    db: Database
    downloads: dict[str, bytes]
    output: str = ""
    aux: list[object] = field(default_factory=list)

    def build(self, dockerfile: str, files: dict[str, str] | None = None, **options: object) -> BuildResult:
        context = self.path / f"context-{len(os.listdir(self.path))}"
        context.mkdir()
        for name, text in {"Dockerfile": dockerfile, **(files or {})}.items():
            file = context / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return self.build_in(context, **options)

    def build_in(self, context: Path, **options: object) -> BuildResult:
        self.output, self.aux = "", []

        def report(progress: Progress) -> None:
            self.output += progress.stream
            if progress.aux is not None:
                self.aux.append(progress.aux)

        request = BuildRequest(Context(str(context)), **options)  # type: ignore[arg-type]
        return asyncio.run(self.builder.build(request, report))

    def read(self, name: str, path: str) -> str:
        """A file of an image."""
        from naru.linux.files import Root
        from naru.linux.mounts import open_detached

        image = self.images.resolve(name)
        asyncio.run(self.images.unpack(image))
        with Root(open_detached(self.snapshots.view(image.chain_id), str(self.path))) as root:
            return root.read(path, 1 << 20).decode()


@pytest.fixture
def tars() -> type[Tars]:
    return Tars


def _stores(path: Path) -> tuple[Database, ContentStore, Snapshots, Images]:
    db = Database(str(path / "naru.db"))
    store = ContentStore(str(path / "content"))
    snapshots = Snapshots(str(path / "snapshots"), db)
    return db, store, snapshots, Images(store, snapshots, db, Bus(), Platform(), EmptyRegistry())  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def world_with_busybox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores that hold one image, to be copied for each test."""
    path = tmp_path_factory.mktemp("template")
    db, _, _, images = _stores(path)
    files: dict[str, bytes | None] = {"bin": None, "bin/busybox": Path(BUSYBOX).read_bytes(), "etc": None, "tmp": None}
    files |= {"etc/passwd": b"root:x:0:0::/:/bin/sh\nbob:x:7:8::/:/bin/sh\n", "etc/group": b"root:x:0:\nstaff:x:9:\n"}
    links = ("sh", "cat", "echo", "ls", "test", "touch", "mkdir", "env", "stat", "rm", "true", "false")
    base = _with_links(Tars.tar_of(files), links)
    ref = reference.parse("busybox").with_default_tag()
    asyncio.run(images.import_(Tars.pour(base), ref, run={"Env": ["PATH=/bin"], "Cmd": ["sh"]}))
    db.close()
    return path


@pytest.fixture
def world(tmp_path: Path, world_with_busybox: Path) -> Iterator[World]:
    shutil.copytree(world_with_busybox, tmp_path, symlinks=True, dirs_exist_ok=True)
    db, store, snapshots, images = _stores(tmp_path)
    runner = ChrootRunner(str(tmp_path / "runner"))
    downloads: dict[str, bytes] = {}
    clock = iter(range(1_700_000_000_000_000_000, 1 << 63, 10**9))

    async def fetch(url: str, fd: int) -> Fetched:
        if url not in downloads:
            raise NotFound(f"{url}: 404 Not Found")
        os.write(fd, downloads[url])
        return Fetched(1_600_000_000 * 10**9)

    builder = Builder(
        images, snapshots, store, runner, fetch, db, Bus(), str(tmp_path / "build"), Platform(), lambda: next(clock)
    )
    yield World(tmp_path, builder, images, store, snapshots, runner, db, downloads)
    db.close()


def _with_links(base: bytes, names: tuple[str, ...]) -> bytes:
    out = io.BytesIO(base)
    with tarfile.open(fileobj=out, mode="a") as tar:
        for name in names:
            info = tarfile.TarInfo(f"bin/{name}")
            info.type, info.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(info)
    return out.getvalue()
