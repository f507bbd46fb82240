"""A corpus of hostile layers: whatever they try, nothing outside their own directory changes, and what is refused is
refused with the right kind of error and leaves nothing behind."""

from __future__ import annotations

import asyncio
import bz2
import gzip
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from naru.errors import DataLoss, InvalidArgument, NaruError, NotFound, Unsupported
from naru.oci.digest import Digest
from naru.oci.image import OCI_LAYER_GZIP, Descriptor
from naru.snapshots.apply import extract_into, extract_layer
from naru.snapshots.tarformat import (
    BLOCKDEV,
    CHAR,
    DIR,
    FIFO,
    GNU_LINK,
    GNU_NAME,
    HARDLINK,
    PAX,
    PAX_GLOBAL,
    SYMLINK,
    Entry,
    encode_header,
    padding,
)

pytestmark = pytest.mark.root

END = bytes(1024)
SECRET = "/naru-hostile-target"  # an absolute path that must never come to be


def body(entry: Entry, data: bytes) -> bytes:
    entry.size = len(data)
    return encode_header(entry) + data + bytes(padding(len(data)))


def file(name: str, data: bytes = b"evil") -> bytes:
    return body(Entry(name), data)


def link(name: str, target: str, kind: str = SYMLINK) -> bytes:
    return encode_header(Entry(name, kind, link=target))


def folder(name: str) -> bytes:
    return encode_header(Entry(name, DIR, mode=0o755))


def patched(block: bytes, at: int, value: bytes) -> bytes:
    """The header with a field overwritten and its checksum right again."""
    data = bytearray(block)
    data[at : at + len(value)] = value
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)


def pax(*records: tuple[str, bytes]) -> bytes:
    data = b""
    for key, value in records:
        rest = b" " + key.encode() + b"=" + value + b"\n"
        size = len(rest) + 1
        while len(str(size)) + len(rest) != size:
            size += 1
        data += str(size).encode() + rest
    return body(Entry("pax", PAX), data)


UP = "../../../../../../../../../.."
BIG = b"\x80" + (1 << 61).to_bytes(11, "big")
NEGATIVE = b"\xff" * 12

REFUSED: dict[str, tuple[bytes, type[NaruError]]] = {
    # leaving by name
    "up": (file(f"{UP}{SECRET}"), InvalidArgument),
    "up one": (file("../canary/passwd"), InvalidArgument),
    "up in the middle": (file(f"a/b/{UP}{SECRET}"), InvalidArgument),
    "up and back": (file("a/../../fs/x"), InvalidArgument),
    "up as a directory": (folder("../canary"), InvalidArgument),
    "up alone": (folder(".."), InvalidArgument),
    "up after slash": (file("/../canary/passwd"), InvalidArgument),
    "up as a symlink's name": (link("../canary/l", "x"), InvalidArgument),
    "up as a hard link's name": (file("a") + link("../canary/l", "a", HARDLINK), InvalidArgument),
    "up in pax": (pax(("path", b"../canary/passwd")) + file("x"), InvalidArgument),
    "up in a GNU name": (body(Entry("@", GNU_NAME), b"../canary/passwd\0") + file("x"), InvalidArgument),
    "up as a device": (encode_header(Entry("../canary/null", CHAR, major=1, minor=3)), InvalidArgument),
    "up by whiteout": (file("../canary/.wh.passwd", b""), InvalidArgument),
    "whiteout of up": (file(".wh...", b""), InvalidArgument),
    "whiteout of here": (file(".wh..", b""), InvalidArgument),
    "whiteout of nothing": (file(".wh.", b""), InvalidArgument),
    # leaving by links
    "hard link up": (link("x", "../canary/passwd", HARDLINK), InvalidArgument),
    "hard link to the outside": (link("x", "/etc/passwd", HARDLINK), InvalidArgument),
    "hard link through a link up": (link("l", UP) + link("x", "l/etc/passwd", HARDLINK), InvalidArgument),
    "hard link through an absolute link": (link("l", "/etc") + link("x", "l/passwd", HARDLINK), InvalidArgument),
    "hard link in pax": (pax(("linkpath", b"../canary/passwd")) + link("x", "y", HARDLINK), InvalidArgument),
    "hard link by GNU link": (
        body(Entry("@", GNU_LINK), b"../canary/passwd\0") + link("x", "y", HARDLINK),
        InvalidArgument,
    ),
    "hard link to itself": (file("x") + link("x", "x", HARDLINK), InvalidArgument),
    "hard link to the root": (link("x", "/", HARDLINK), InvalidArgument),
    "hard link to a directory": (folder("d") + link("x", "d", HARDLINK), InvalidArgument),
    "hard link to nothing": (link("x", "", HARDLINK), InvalidArgument),
    "hard link to a missing file": (link("x", "y", HARDLINK), InvalidArgument),
    "hard link relative to the working directory": (link("a/x", "passwd", HARDLINK), InvalidArgument),
    "symlink to nothing": (link("x", ""), InvalidArgument),
    "through a dangling link": (link("l", SECRET) + file("l/x"), InvalidArgument),
    "through a link to a host directory": (link("l", "/etc") + file("l/x"), InvalidArgument),
    "through a link up": (link("l", f"{UP}/tmp") + file("l/x"), InvalidArgument),
    "through a chain of links": (link("a", "b") + link("b", "/tmp") + file("a/x"), InvalidArgument),
    "through a loop of links": (link("a", "b") + link("b", "a") + file("a/x"), InvalidArgument),
    "through a file": (file("f") + file("f/x"), InvalidArgument),
    "through a device": (encode_header(Entry("n", CHAR, major=1, minor=3)) + file("n/x"), InvalidArgument),
    "whiteout through a link": (link("l", "/etc") + file("l/.wh.passwd", b""), InvalidArgument),
    "opaque through a link": (link("l", "/etc") + file("l/.wh..wh..opq", b""), InvalidArgument),
    # the root itself
    "a file for the root": (file("."), InvalidArgument),
    "a link for the root": (link("/", "/etc"), InvalidArgument),
    "no name": (file(""), InvalidArgument),
    # sizes and numbers
    "negative size": (patched(file("x"), 124, NEGATIVE), InvalidArgument),
    "absurd size": (patched(file("x"), 124, BIG), InvalidArgument),
    "size beyond the end": (encode_header(Entry("x", size=1 << 40)), InvalidArgument),
    "size not octal": (patched(file("x"), 124, b"99999999999\0"), InvalidArgument),
    "negative size of metadata": (patched(body(Entry("p", PAX), b""), 124, NEGATIVE), InvalidArgument),
    "absurd size in pax": (pax(("size", b"9223372036854775807")) + file("x"), InvalidArgument),
    "negative size in pax": (pax(("size", b"-1")) + file("x"), InvalidArgument),
    "owner nobody can be": (patched(file("x"), 108, b"\x80\0\0\0\xff\xff\xff\xff"), InvalidArgument),
    "owner -1": (patched(file("x"), 108, b"\xff" * 8), InvalidArgument),
    "device beyond the kernel's": (encode_header(Entry("x", CHAR, major=1 << 13)), InvalidArgument),
    # metadata
    "huge pax header": (encode_header(Entry("p", PAX, size=1 << 21)) + bytes(1 << 21), InvalidArgument),
    "pax header of 8 EiB": (patched(body(Entry("p", PAX), b""), 124, BIG), InvalidArgument),
    "huge GNU name": (encode_header(Entry("@", GNU_NAME, size=1 << 21)) + bytes(1 << 21), InvalidArgument),
    "pax upon pax": (pax(("path", b"a")) * 1000 + file("x"), InvalidArgument),
    "names upon names": (body(Entry("@", GNU_NAME), b"a\0") * 1000 + file("x"), InvalidArgument),
    "pax for nothing": (pax(("path", b"a")), InvalidArgument),
    "pax record too long": (body(Entry("p", PAX), b"99 path=a\n") + file("x"), InvalidArgument),
    "pax record of no length": (body(Entry("p", PAX), b"path=a\n") + file("x"), InvalidArgument),
    "NUL in a pax name": (pax(("path", b"a\0b")) + file("x"), InvalidArgument),
    "name too long": (pax(("path", b"a/" * 3000)) + file("x"), InvalidArgument),
    "component too long": (pax(("path", b"a" * 256)) + file("x"), InvalidArgument),
    "link target too long": (pax(("linkpath", b"a" * 5000)) + link("x", "y"), InvalidArgument),
    "xattr too large": (pax(("SCHILY.xattr.user.a", b"v" * 70000)) + file("x"), InvalidArgument),
    # the stream
    "not a tar": (b"#!/bin/sh\necho this is no tar at all\n" * 50, InvalidArgument),
    "short and not a tar": (b"hello", InvalidArgument),
    "wrong checksum": (bytes([file("x")[0] ^ 1]) + file("x")[1:], InvalidArgument),
    "cut in a header": (file("x") + file("y")[:300], InvalidArgument),
    "cut in a body": (file("x", b"x" * 5000)[:3000], InvalidArgument),
    "cut in metadata": (pax(("path", b"a" * 200))[:600], InvalidArgument),
    "one zero block, then more": (bytes(512) + file("x"), InvalidArgument),
    "old GNU sparse": (patched(file("x"), 156, b"S"), Unsupported),
    "pax sparse": (pax(("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0")) + file("x"), Unsupported),
    "unknown type": (patched(file("x"), 156, b"Z"), Unsupported),
}

ACCEPTED: dict[str, tuple[bytes, list[str]]] = {
    "absolute names are beneath the root": (file(f"{SECRET}/x"), [SECRET[1:], f"{SECRET[1:]}/x"]),
    "absolute hard links too": (file("a") + link("b", "/a", HARDLINK), ["a", "b"]),
    "many slashes and dots": (file("././/a//./b"), ["a", "a/b"]),
    "a symlink may point anywhere": (link("l", "/etc/shadow") + link("m", f"{UP}/x"), ["l", "m"]),
    "a file in the place of a symlink": (link("l", "/etc/passwd") + file("l"), ["l"]),
    "a file in the place of a dangling symlink": (link("l", SECRET) + file("l"), ["l"]),
    "a directory in the place of a symlink": (link("l", "/etc") + folder("l") + file("l/x"), ["l", "l/x"]),
    "a hard link in the place of a symlink": (file("a") + link("l", "/etc/passwd") + link("l", "a", HARDLINK), ["a", "l"]),
    "a hard link to a symlink": (link("l", "/etc/passwd") + link("h", "l", HARDLINK), ["h", "l"]),
    "a file in the place of a directory": (folder("d") + file("d/a/b/c") + file("d"), ["d"]),
    "a directory in the place of a file": (file("d") + folder("d") + file("d/x"), ["d", "d/x"]),
    "file and directory in turns": ((folder("d") + file("d/x") + file("d")) * 50, ["d"]),
    "the same file again": (file("a", b"1") * 100, ["a"]),
    "a file written through its hard link": (file("a") + link("b", "a", HARDLINK) + file("b", b"2"), ["a", "b"]),
    "through a link within the layer": (folder("r") + link("l", "r") + file("l/x"), ["l", "r", "r/x"]),
    "through an absolute link within": (folder("r") + link("l", "/r") + file("l/x"), ["l", "r", "r/x"]),
    "a link that only seems to leave": (folder("r") + link("l", f"{UP}/r") + file("l/x"), ["l", "r", "r/x"]),
    "devices": (
        encode_header(Entry("c", CHAR, major=1, minor=3)) + encode_header(Entry("b", BLOCKDEV, major=8)), ["b", "c"],
    ),
    "a FIFO does not hang us": (encode_header(Entry("p", FIFO)) + file("p") + encode_header(Entry("p", FIFO)), ["p"]),
    "a body where none can be": (patched(folder("d"), 124, b"00000001000\0") + file("x"), ["d", "x"]),
    "a time before the epoch": (patched(file("x"), 136, NEGATIVE), ["x"]),
    "a time beyond the end": (pax(("mtime", b"99999999999999999.5")) + file("x"), ["x"]),
    "global headers": (body(Entry("g", PAX_GLOBAL), b"6 a=b\n") * 50 + file("x"), ["x"]),
    "no end": (file("x"), ["x"]),
    "nothing": (b"", []),
    "only the end": (END, []),
    "rubbish after the end": (file("x") + END + b"rubbish", ["x"]),
    "book-keeping of AUFS": (file(".wh..wh.plnk/1.2", b"") + file(".wh..wh.aufs", b"") + file("x"), [".wh..wh.plnk", ".wh..wh.plnk/1.2", "x"]),
    "255 deep": (file("d/" * 254 + "f"), ["d" + "/d" * n for n in range(254)] + ["d/" * 254 + "f"]),
}  # fmt: skip


@pytest.fixture
def place(shared_place: Any) -> Any:
    return shared_place


@pytest.fixture
def canary(place: Any, digest_of: Callable[..., str]) -> Iterator[None]:
    """Beside every staging directory lies a tree with tempting names; nothing of it or of the host may change."""
    outside = place.top / "snapshots" / "canary"
    outside.mkdir(exist_ok=True)
    (outside / "passwd").write_text("root\n")
    host = [os.stat(path) for path in ("/etc", "/tmp", "/etc/passwd", "/")]
    before = digest_of(outside)
    yield
    assert digest_of(outside) == before
    assert not os.path.lexists(SECRET)
    assert not os.path.lexists("/etc/x")
    assert [(s.st_mode, s.st_uid) for s in host] == [
        (s.st_mode, s.st_uid) for s in map(os.stat, ("/etc", "/tmp", "/etc/passwd", "/"))
    ]
    assert os.stat("/etc/passwd").st_nlink == host[2].st_nlink
    assert sorted(os.listdir(place.snapshots.root)) == ["canary", "empty"]


def extract(place: Any, raw: bytes, **options: int) -> Any:
    data = gzip.compress(raw, 1)
    digest = place.store.put(data, durable=False)
    descriptor = Descriptor(OCI_LAYER_GZIP, digest, len(data))
    return asyncio.run(extract_layer(place.snapshots, place.store, descriptor, Digest.of(raw), **options))


@pytest.mark.parametrize("name", REFUSED)
def test_refused(place: Any, canary: None, name: str) -> None:
    raw, kind = REFUSED[name]
    with pytest.raises(kind) as caught:
        extract(place, raw)
    assert caught.type is kind
    assert str(caught.value).startswith("failed to extract layer sha256:")


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(place: Any, canary: None, name: str) -> None:
    raw, expected = ACCEPTED[name]
    staged = extract(place, raw)
    top = Path(staged.path) / "fs"
    found = [os.path.relpath(os.path.join(at, each), top) for at, dirs, files in os.walk(top) for each in dirs + files]
    assert sorted(found) == sorted(expected)
    place.snapshots.destroy([staged.path])


def test_the_corpus_is_large_enough() -> None:
    assert len(REFUSED) + len(ACCEPTED) >= 60


def test_hard_links_to_symlinks_do_not_follow(place: Any, canary: None) -> None:
    staged = extract(place, link("l", "/etc/passwd") + link("h", "l", HARDLINK))
    assert os.readlink(os.path.join(staged.path, "fs/h")) == "/etc/passwd"
    place.snapshots.destroy([staged.path])


@pytest.mark.slow
def test_deeper_than_any_path(place: Any, canary: None) -> None:
    """Links let a layer go on where its names end; what it builds must still be removable."""
    part = "dddddd/" * 90
    raw = b"".join(
        folder(f"{'l' * n if n else ''}{'/' if n else ''}{part}")
        + link("l" * (n + 1), f"{'l' * n}/{part}" if n else part)
        for n in range(7)
    )
    staged = extract(place, raw)
    place.snapshots.destroy([staged.path])


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lambda data: data])
def test_bombs_end_at_the_limit(place: Any, canary: None, pack: Callable[[bytes], bytes]) -> None:
    raw = file("x", bytes(30 << 20)) + END
    data = pack(raw)
    digest = place.store.put(data, durable=False)
    with pytest.raises(InvalidArgument, match="archive of more than 1048576 bytes"):
        asyncio.run(
            extract_layer(
                place.snapshots, place.store, Descriptor(OCI_LAYER_GZIP, digest, 1), Digest.of(raw), limit_bytes=1 << 20
            )
        )


def test_a_bomb_behind_the_archive_counts_too(place: Any, canary: None) -> None:
    with pytest.raises(InvalidArgument, match="archive of more than"):
        extract(place, file("x") + END + bytes(8 << 20), limit_bytes=1 << 20)


def test_another_diff_id_is_data_loss(place: Any, canary: None) -> None:
    data = gzip.compress(file("x"))
    digest = place.store.put(data, durable=False)
    with pytest.raises(DataLoss, match="wrong diff id calculated on extraction"):
        asyncio.run(
            extract_layer(place.snapshots, place.store, Descriptor(OCI_LAYER_GZIP, digest, 1), Digest.of(b"other"))
        )


def test_trailing_bytes_belong_to_the_diff_id(place: Any, canary: None) -> None:
    raw = file("x") + END + bytes(10240)
    staged = extract(place, raw)
    assert staged.diff_id == Digest.of(raw)
    place.snapshots.destroy([staged.path])


def test_a_missing_blob(place: Any, canary: None) -> None:
    with pytest.raises(NotFound):
        asyncio.run(extract_layer(place.snapshots, place.store, Descriptor("", Digest.of(b"?"), 1), Digest.of(b"?")))


def test_attributes_of_overlayfs_are_not_taken(place: Any, canary: None) -> None:
    raw = pax(
        ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"), ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
        ("SCHILY.xattr.user.overlay.opaque", b"y"), ("SCHILY.xattr.security.selinux", b"x"),
        ("SCHILY.xattr.user.kept", b"1"),
    ) + folder("d")  # fmt: skip
    staged = extract(place, raw)
    assert os.listxattr(os.path.join(staged.path, "fs/d")) == ["user.kept"]
    place.snapshots.destroy([staged.path])


def into(root: Path, raw: bytes, where: str = "/", **options: Any) -> None:
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    os.write(write_end, raw)
    os.close(write_end)
    fd = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        asyncio.run(extract_into(fd, where, read_end, **options))
    finally:
        os.close(fd)
        os.close(read_end)


def test_copying_in_stays_beneath_the_root(place: Any, canary: None, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "data").mkdir(parents=True)
    (root / "out").symlink_to("/data")  # absolute: inside the root, as a process in there sees it
    (root / "etc").symlink_to("/../../etc")
    into(root, file("x") + END, "out")
    assert (root / "data/x").read_bytes() == b"evil"
    with pytest.raises(InvalidArgument):
        into(root, file("x") + END, "etc")


@pytest.mark.parametrize(
    "name",
    [name for name in REFUSED if "whiteout" not in name and "opaque" not in name and len(REFUSED[name][0]) < 60000],
)
def test_copying_in_refuses_the_same(place: Any, canary: None, tmp_path: Path, name: str) -> None:
    raw, kind = REFUSED[name]
    root = tmp_path / "root"
    root.mkdir()
    if name in ("a file for the root", "a link for the root", "no name"):
        kind = InvalidArgument
    with pytest.raises(kind):
        into(root, raw)


@pytest.mark.parametrize("size", [1 << 20, 500 << 20, 1 << 40])
def test_copying_in_takes_no_more_room_than_there_was_content(
    place: Any, canary: None, tmp_path: Path, size: int
) -> None:
    with pytest.raises(InvalidArgument, match="unexpected EOF"):
        into(tmp_path, encode_header(Entry("big", size=size)) + bytes(5000))
    found = os.stat(tmp_path / "big")
    assert found.st_size <= 5000 and found.st_blocks * 512 <= 1 << 16


def test_copying_in_keeps_kinds_if_asked(place: Any, canary: None, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "d").mkdir(parents=True)
    (root / "f").write_text("old")
    for raw, words in (
        (file("d"), 'cannot overwrite directory "d" with non-directory "/"'),
        (folder("f"), "cannot overwrite non-directory"),
    ):
        with pytest.raises(InvalidArgument, match=words):
            into(root, raw, no_overwrite_dir_non_dir=True)
    into(root, file("f") + file("d"))
    assert (root / "d").read_bytes() == (root / "f").read_bytes() == b"evil"


def test_copying_in_changes_owners_if_asked(place: Any, canary: None, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    into(root, body(Entry("a", uid=5, gid=6, mode=0o4755), b"x"))
    into(root, body(Entry("b", uid=5, gid=6), b"x") + file(".wh.c", b""), owner=(7, 8))
    assert [(os.stat(root / n).st_uid, os.stat(root / n).st_gid) for n in ("a", "b")] == [(5, 6), (7, 8)]
    assert os.stat(root / "a").st_mode & 0o7777 == 0o4755
    assert (root / ".wh.c").is_file()  # only layers have whiteouts
