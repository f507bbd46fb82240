from __future__ import annotations

import asyncio
import bz2
import contextlib
import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zstandard

from naru.build.context import Context, check_remote, local, receive
from naru.errors import InvalidArgument, NaruError, Unsupported
from naru.images.feed import poured

if TYPE_CHECKING:
    from conftest import Tars

FILES = {"Dockerfile": b"FROM scratch\n", "sub": None, "sub/file": b"x"}


def _names(path: str) -> list[str]:
    return sorted(os.path.relpath(os.path.join(top, name), path) for top, _, names in os.walk(path) for name in names)


@pytest.mark.root
@pytest.mark.parametrize(
    "pack", [bytes, gzip.compress, bz2.compress, lzma.compress, zstandard.ZstdCompressor().compress]
)
def test_a_tar_of_any_compression_is_received_and_gone_afterwards(
    tmp_path: Path, tars: Tars, pack: Callable[[bytes], bytes]
) -> None:
    async def work() -> list[str]:
        async with receive(tars.pour(pack(tars.tar_of(FILES))), str(tmp_path)) as context:
            assert context.dockerfile("Dockerfile") == b"FROM scratch\n"
            return _names(context.path)

    assert asyncio.run(work()) == ["Dockerfile", "sub/file"]
    assert os.listdir(tmp_path) == []


def _hostile(name: str, link: str = "", kind: bytes = tarfile.REGTYPE) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        tar.addfile(info)
        tar.addfile(tarfile.TarInfo(f"{name}/planted"))
    return out.getvalue()


@pytest.mark.root
@pytest.mark.parametrize("kind", ["garbage", "torn", "climbing", "absolute link", "climbing link"])
def test_a_bad_archive_leaves_nothing(tmp_path: Path, tars: Tars, kind: str) -> None:
    scratch, outside = tmp_path / "scratch", tmp_path / "outside"
    for path in (scratch, outside):
        path.mkdir()
    data = {
        "garbage": b"no archive at all" * 100,
        "torn": gzip.compress(tars.tar_of(FILES))[:-30],
        "climbing": _hostile("../../outside"),
        "absolute link": _hostile("link", str(outside), tarfile.SYMTYPE),
        "climbing link": _hostile("link", "../../outside", tarfile.SYMTYPE),
    }[kind]

    async def work() -> None:
        async with receive(tars.pour(data), str(scratch)):
            pass

    with contextlib.suppress(NaruError):  # refused, or kept inside: both will do
        asyncio.run(work())
    assert os.listdir(scratch) == []
    assert _names(str(tmp_path)) == []


@pytest.mark.root
def test_a_failing_body_leaves_nothing(tmp_path: Path, tars: Tars) -> None:
    async def body():
        yield tars.tar_of(FILES)[:600]
        raise ConnectionResetError("client went away")

    async def work() -> None:
        async with receive(poured(body()), str(tmp_path)):
            pytest.fail("a torn context was accepted")

    with pytest.raises((ConnectionResetError, InvalidArgument)):
        asyncio.run(work())
    assert os.listdir(tmp_path) == []


def test_a_dockerfile_that_is_not_a_file_in_the_context(tmp_path: Path) -> None:
    (tmp_path / "context").mkdir()
    context = Context(str(tmp_path / "context"))
    (tmp_path / "outside").write_text("FROM secret\n")
    os.mkfifo(tmp_path / "context/fifo")
    (tmp_path / "context/absolute").symlink_to(tmp_path / "outside")
    (tmp_path / "context/relative").symlink_to("../outside")
    (tmp_path / "context/empty").write_text("")
    for name in ("missing", "fifo", "absolute", "relative", "../outside", "."):
        with pytest.raises(InvalidArgument, match="Cannot locate specified Dockerfile: "):
            context.dockerfile(name)
    with pytest.raises(InvalidArgument, match=r"the Dockerfile \(empty\) cannot be empty"):
        context.dockerfile("empty")


@pytest.mark.parametrize(
    ("rules", "left"),
    [
        ("", [".dockerignore", "Dockerfile", "a/b/c", "a/d", "e"]),
        ("a\n", [".dockerignore", "Dockerfile", "e"]),
        ("a\n!a/b\n", [".dockerignore", "Dockerfile", "a/b/c", "e"]),
        ("**\n", []),
        ("*\n!e\n", ["e"]),
        (".dockerignore\nDockerfile\n", ["a/b/c", "a/d", "e"]),
    ],
)
def test_ignored_files_are_gone(tmp_path: Path, rules: str, left: list[str]) -> None:
    for name in ("Dockerfile", "a/b/c", "a/d", "e"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / ".dockerignore").write_text(rules)
    Context(str(tmp_path)).apply_ignore("Dockerfile")
    assert _names(str(tmp_path)) == left


def test_the_dockerfiles_own_ignore_file_wins(tmp_path: Path) -> None:
    for name in ("one", "two", "app.Dockerfile"):
        (tmp_path / name).write_text(name)
    (tmp_path / ".dockerignore").write_text("one")
    (tmp_path / "app.Dockerfile.dockerignore").write_text("two")
    Context(str(tmp_path)).apply_ignore("app.Dockerfile")
    assert "one" in _names(str(tmp_path))
    assert "two" not in _names(str(tmp_path))


def test_an_ignore_file_that_leads_out_is_none(tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (tmp_path / "rules").write_text("*")
    (context / ".dockerignore").symlink_to("../rules")
    (context / "keep").write_text("x")
    Context(str(context)).apply_ignore("Dockerfile")
    assert "keep" in _names(str(context))


@pytest.mark.root
def test_a_local_directory_is_copied_and_left_alone(tmp_path: Path) -> None:
    folder, scratch = tmp_path / "mine", tmp_path / "scratch"
    for path in (folder, scratch):
        path.mkdir()
    for name, text in {"Dockerfile": "FROM x", ".dockerignore": "*\n!keep", "keep": "1", "drop": "2"}.items():
        (folder / name).write_text(text)

    async def work() -> list[str]:
        async with local(str(folder), str(scratch)) as context:
            assert context.dockerfile("Dockerfile") == b"FROM x"
            assert "drop" not in _names(context.path)
            context.apply_ignore("Dockerfile")
            return _names(context.path)

    assert asyncio.run(work()) == ["keep"]
    assert _names(str(folder)) == [".dockerignore", "Dockerfile", "drop", "keep"]
    assert os.listdir(scratch) == []


@pytest.mark.parametrize(
    "url", ["https://github.com/a/b.git#main:sub", "git@example.com:a/b", "https://example.com/a.tar"]
)
def test_remote_contexts_say_so(url: str) -> None:
    with pytest.raises(Unsupported, match="not supported yet"):
        check_remote(url)


def test_a_remote_context_that_is_none() -> None:
    with pytest.raises(InvalidArgument):
        check_remote("--upload-pack=evil")
