from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from naru.cli import buildcontext
from naru.errors import InvalidArgument


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "ctx"
    (root / "sub").mkdir(parents=True)
    (root / "node_modules/x").mkdir(parents=True)
    (root / "Dockerfile").write_text("FROM scratch\n")
    (root / "a").write_text("A")
    (root / "sub/b.log").write_text("B")
    (root / "sub/c").write_text("C" * 200000)
    (root / "node_modules/x/y").write_text("Y")
    (root / "link").symlink_to("a")
    os.chmod(root / "a", 0o755)
    return root


def unpacked(body: Any) -> dict[str, tarfile.TarInfo]:
    data = body if isinstance(body, bytes) else b"".join(body)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {member.name: member for member in archive}


def test_everything_in_order(folder: Path) -> None:
    context = buildcontext.prepare(str(folder), "")
    members = unpacked(context.body)
    assert context.dockerfile == "Dockerfile"
    assert list(members) == [
        "Dockerfile", "a", "link", "node_modules", "sub", "node_modules/x", "node_modules/x/y", "sub/b.log", "sub/c",
    ]  # fmt: skip
    assert (members["a"].mode & 0o777, members["a"].uid, members["a"].uname) == (0o755, 0, "")
    assert (members["link"].linkname, members["sub/c"].size) == ("a", 200000)


def test_content_is_whole(folder: Path) -> None:
    data = b"".join(buildcontext.prepare(str(folder), "").body)  # type: ignore[arg-type]
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        file = archive.extractfile("sub/c")
        assert file is not None
        assert file.read() == b"C" * 200000


def test_ignored(folder: Path) -> None:
    (folder / ".dockerignore").write_text("node_modules\n**/*.log\nDockerfile\n")
    assert sorted(unpacked(buildcontext.prepare(str(folder), "").body)) == [
        ".dockerignore",
        "Dockerfile",
        "a",
        "link",
        "sub",
        "sub/c",
    ]


def test_an_ignore_file_of_the_dockerfile_comes_first(folder: Path) -> None:
    (folder / ".dockerignore").write_text("a\n")
    (folder / "sub/D").write_text("FROM scratch\n")
    (folder / "sub/D.dockerignore").write_text("node_modules\nsub\n")
    context = buildcontext.prepare(str(folder), str(folder / "sub/D"))
    assert context.dockerfile == "sub/D"
    assert sorted(unpacked(context.body)) == [".dockerignore", "Dockerfile", "a", "link", "sub/D"]


def test_dockerfile_from_elsewhere(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "Other").write_text("FROM elsewhere\n")
    context = buildcontext.prepare(str(folder), str(tmp_path / "Other"))
    members = unpacked(context.body)
    assert context.dockerfile.startswith(".dockerfile.")
    assert members[context.dockerfile].size == len("FROM elsewhere\n")


class Stdin:
    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


def test_stdin(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Stdin(b"FROM stdin\n"))
    assert list(unpacked(buildcontext.prepare("-", "").body)) == ["Dockerfile"]
    monkeypatch.setattr("sys.stdin", Stdin(b"FROM stdin\n"))
    context = buildcontext.prepare(str(folder), "-")
    assert context.dockerfile in unpacked(context.body)
    archive = b"".join(buildcontext.prepare(str(folder), "").body)  # type: ignore[arg-type]
    monkeypatch.setattr("sys.stdin", Stdin(archive))
    context = buildcontext.prepare("-", "sub/c")
    assert (context.dockerfile, b"".join(context.body)) == ("sub/c", archive)  # type: ignore[arg-type]


def test_remote() -> None:
    context = buildcontext.prepare("https://example.com/x.git", "")
    assert (context.body, context.remote, context.dockerfile) == (b"", "https://example.com/x.git", "Dockerfile")


ERRORS = [
    ("nowhere", "", 'path "nowhere" not found'),
    ("", "missing", "no such file or directory"),
    ("-", "-", "can't use stdin for both"),
]


@pytest.mark.parametrize(("path", "dockerfile", "words"), ERRORS)
def test_errors(path: str, dockerfile: str, words: str, folder: Path) -> None:
    with pytest.raises(InvalidArgument, match=words):
        buildcontext.prepare(path or str(folder), dockerfile)


def test_a_fifo_is_no_dockerfile(folder: Path) -> None:
    os.unlink(folder / "Dockerfile")
    os.mkfifo(folder / "Dockerfile")
    with pytest.raises(InvalidArgument):
        buildcontext.prepare(str(folder), "")
