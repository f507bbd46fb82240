from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from naru.cli import copytar
from naru.errors import InvalidArgument


def archive(*entries: tuple[str, str, str]) -> list[bytes]:
    """(name, kind, content or link target) as a tar, in small pieces."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        for name, kind, text in entries:
            header = tarfile.TarInfo(name)
            header.type = {
                "file": tarfile.REGTYPE,
                "dir": tarfile.DIRTYPE,
                "link": tarfile.SYMTYPE,
                "hard": tarfile.LNKTYPE,
            }[kind]
            header.mode = 0o755 if kind == "dir" else 0o640
            header.linkname = text if kind in ("link", "hard") else ""
            header.size = len(text) if kind == "file" else 0
            made.addfile(header, io.BytesIO(text.encode()))
    data = out.getvalue()
    return [data[at : at + 700] for at in range(0, len(data), 700)]


def tree(folder: Path) -> dict[str, str]:
    found = {}
    for root, dirs, files in os.walk(folder):
        for name in dirs + files:
            path = Path(root, name)
            kind = f"-> {os.readlink(path)}" if path.is_symlink() else "dir" if path.is_dir() else path.read_text()
            found[str(path.relative_to(folder))] = kind
    return found


ENTRIES = [
    ("top", "dir", ""),
    ("top/f", "file", "F"),
    ("top/l", "link", "/etc/passwd"),
    ("top/h", "hard", "top/f"),
    ("top/d/", "dir", ""),
    ("top/d/g", "file", "G"),
]


@pytest.mark.parametrize("name", ["top", "new", ""])
def test_round_trip(name: str, tmp_path: Path) -> None:
    size = copytar.unpack(archive(*ENTRIES), str(tmp_path), "top", name, keep_owner=False)
    assert size > 0
    prefix = f"{name}/" if name else ""
    wanted = {"f": "F", "l": "-> /etc/passwd", "h": "F", "d": "dir", "d/g": "G"}
    assert tree(tmp_path) == {f"{prefix}{key}": value for key, value in wanted.items()} | (
        {name: "dir"} if name else {}
    )
    (tmp_path / "again").mkdir()
    source = tmp_path / name if name else tmp_path
    if name:
        copytar.unpack(copytar.pack(str(source), "x"), str(tmp_path / "again"), "x", "y", keep_owner=False)
        assert tree(tmp_path / "again/y") == tree(source)


HOSTILE = [
    [("top", "dir", ""), ("top/../../evil", "file", "x")],
    [("../evil", "file", "x")],
    [("top", "link", "/"), ("top/evil", "file", "x")],
    [("top", "dir", ""), ("top/l", "link", ".."), ("top/l/../evil", "file", "x")],
    [("top", "dir", ""), ("top/l", "link", "../.."), ("top/l/evil", "link", "x")],
    [("top", "dir", ""), ("top/h", "hard", "../../secret")],
]


@pytest.mark.parametrize("entries", HOSTILE)
def test_nothing_leaves_the_folder(entries: list[tuple[str, str, str]], tmp_path: Path) -> None:
    inside = tmp_path / "outer/inside"
    inside.mkdir(parents=True)
    (tmp_path / "secret").write_text("s")
    with pytest.raises(InvalidArgument, match="leads out of"):
        copytar.unpack(archive(*entries), str(inside), "top", "top", keep_owner=False)
    assert sorted(path.name for path in (tmp_path / "outer").iterdir()) == ["inside"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outer", "secret"]


def test_what_begins_an_archive() -> None:
    assert copytar.is_archive(b"".join(archive(("a", "file", "x")))[:512])
    assert copytar.is_archive(b"\x1f\x8b\x08")
    assert not copytar.is_archive(b"FROM alpine\n")
