from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naru.errors import InvalidArgument, NaruError, Unsupported
from naru.snapshots import tarformat as tf
from naru.snapshots.tarformat import Entry
from naru.snapshots.tarstream import TarReader


def read_all(data: bytes) -> list[Entry]:
    pieces = iter([data])
    return list(TarReader(lambda: next(pieces, b"")))


def fields(entry: Entry) -> tuple[object, ...]:
    return tuple(getattr(entry, name) for name in Entry.__slots__)


NAME = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=400)


@settings(max_examples=150, deadline=None)
@given(
    name=NAME, link=NAME, kind=st.sampled_from([tf.FILE, tf.DIR, tf.SYMLINK, tf.HARDLINK, tf.CHAR, tf.FIFO]),
    mode=st.integers(0, 0o7777), uid=st.integers(0, 2**32 - 2), mtime_s=st.integers(0, 2**33 - 1),
    value=st.binary(max_size=300),
)  # fmt: skip
def test_what_is_encoded_is_read_back(
    name: str, link: str, kind: str, mode: int, uid: int, mtime_s: int, value: bytes
) -> None:
    name = name.rstrip("/") or "x"
    entry = Entry(
        name, kind, mode=mode, uid=uid, gid=uid, mtime_s=mtime_s, xattrs={"user.a": value},
        link=link if kind in (tf.SYMLINK, tf.HARDLINK) else "",
        major=3 if kind == tf.CHAR else 0, minor=7 if kind == tf.CHAR else 0,
    )  # fmt: skip
    (back,) = read_all(tf.encode_header(entry) + bytes(1024))
    assert fields(back) == fields(entry)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_reads_what_others_write(form: int) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, kind in (
            ("short", tarfile.REGTYPE),
            ("d/" * 30 + "n" * 90, tarfile.REGTYPE),
            ("dir", tarfile.DIRTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.uid, member.mtime = kind, 1234, 1_600_000_000
            archive.addfile(member)
    out.seek(0)
    entries = read_all(out.read())
    assert [entry.name.rstrip("/") for entry in entries] == ["short", "d/" * 30 + "n" * 90, "dir"]
    assert [entry.kind for entry in entries] == [tf.FILE, tf.FILE, tf.DIR]
    assert {(entry.uid, entry.mtime_s) for entry in entries} == {(1234, 1_600_000_000)}


def test_gnu_long_names_and_huge_numbers() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        member = tarfile.TarInfo("n" * 3000)
        member.type, member.linkname, member.uid = tarfile.SYMTYPE, "l" * 3000, 3_000_000
        archive.addfile(member)
    (entry,) = read_all(out.getvalue())
    assert (entry.name, entry.link, entry.uid) == ("n" * 3000, "l" * 3000, 3_000_000)


def test_others_read_what_we_write() -> None:
    entry = Entry("ä/" * 100 + "x", mode=0o4755, uid=3_000_000, mtime_s=1, xattrs={"user.k": b"v\n\0"})
    with tarfile.open(fileobj=io.BytesIO(tf.encode_header(entry) + bytes(1024))) as archive:
        (member,) = archive.getmembers()
    assert (member.name, member.mode, member.uid) == (entry.name, 0o4755, 3_000_000)
    assert member.pax_headers["SCHILY.xattr.user.k"] == "v\n\0"


@pytest.mark.parametrize(
    ("name", "path"),
    [("a", "a"), ("./a//b/", "a/b"), ("/etc/passwd", "etc/passwd"), (".", ""), ("/", ""), ("", ""), ("...", "...")],
)
def test_safe_path(name: str, path: str) -> None:
    assert tf.safe_path(name) == path


@pytest.mark.parametrize("name", ["..", "a/../b", "/..", "../a", "a/..", "x" * 256, "a/" * 2048 + "b", "ä" * 130])
def test_unsafe_path(name: str) -> None:
    with pytest.raises(InvalidArgument):
        tf.safe_path(name)


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"0 a=b\n",
        b"5 a=b\n",
        b"7 a=b\n",
        b"6 a=b ",
        b"6 =ab\n",
        b"5 ab\n",
        b"-6 a=b\n",
        b"6  a=b\n",
        b"99999999999 a=b\n",
        b"6 a=b\n6",
    ],
)
def test_damaged_pax_records(data: bytes) -> None:
    with pytest.raises(InvalidArgument):
        tf.parse_pax(data)


def test_pax_values_may_hold_anything() -> None:
    assert tf.parse_pax(b"12 a=\n\0=5 \xff\n") == {"a": b"\n\0=5 \xff"}


@pytest.mark.parametrize(
    "records",
    [
        {"path": b"a\0b"}, {"linkpath": b"\0"}, {"size": b"-1"}, {"size": b"9" * 19}, {"size": b"1e3"}, {"uid": b"4294967295"},
        {"gid": b"99999999999999999999999"}, {"mtime": b"x"},
    ],
)  # fmt: skip
def test_pax_that_makes_no_sense(records: dict[str, bytes]) -> None:
    with pytest.raises(InvalidArgument):
        tf.merge_pax(Entry("a"), records)


def test_sparse_files_are_refused() -> None:
    with pytest.raises(Unsupported, match="sparse"):
        tf.merge_pax(Entry("a"), {"GNU.sparse.major": b"1"})


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=3000), st.integers(0, 511), st.integers(0, 255))
def test_damage_is_an_error_and_not_a_crash(noise: bytes, at: int, value: int) -> None:
    block = bytearray(tf.encode_header(Entry("a" * 150, size=len(noise))))
    block[at % len(block)] = value
    for data in (noise, bytes(block) + noise):
        try:
            read_all(data)
        except NaruError:
            continue
