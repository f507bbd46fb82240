"""The tar header, bytes → values and back: ustar, GNU and pax as layers use them. Pure: no file, no clock.

POSIX.1-2017 pax "ustar Interchange Format" and "pax Header Block"; GNU tar manual "Basic Tar Format"; OCI image-spec
layer.md. What is refused is refused with InvalidArgument in the words of Go's archive/tar, which Docker's users know.
This module is loaded by the unpacking child for each layer, so it imports next to nothing (`dataclasses` alone would
double the child's start) and `Entry` is a plain class.
"""

from __future__ import annotations

from naru.errors import InvalidArgument, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

BLOCK = 512
FILE, HARDLINK, SYMLINK, CHAR, BLOCKDEV, DIR, FIFO = "0", "1", "2", "3", "4", "5", "6"
PAX, PAX_GLOBAL, GNU_NAME, GNU_LINK = "x", "g", "L", "K"
METADATA = (PAX, PAX_GLOBAL, GNU_NAME, GNU_LINK)

METADATA_LIMIT_BYTES = 1 << 20  # one pax header or long name; Go's limit too
PATH_LIMIT_BYTES = 4095
NAME_LIMIT_BYTES = 255
_ID_LIMIT = (1 << 32) - 1  # chown(2) reads -1 as "leave it"
_SIZE_LIMIT = 1 << 62
_XATTR = "SCHILY.xattr."
_FILES = ("\0", "7")  # V7's regular file; the contiguous file, which POSIX says to treat as one
_KINDS = (FILE, HARDLINK, SYMLINK, CHAR, BLOCKDEV, DIR, FIFO, *METADATA)


class Entry:
    """One member: its header as a value. `kind` is the type flag; `size` is that of the body that follows."""

    __slots__ = ("gid", "kind", "link", "major", "minor", "mode", "mtime_s", "name", "size", "uid", "xattrs")

    def __init__(
        self, name: str, kind: str = FILE, *, mode: int = 0o644, uid: int = 0, gid: int = 0, size: int = 0,
        mtime_s: int = 0, link: str = "", major: int = 0, minor: int = 0, xattrs: Mapping[str, bytes] | None = None,
    ) -> None:  # fmt: skip
        self.name, self.kind, self.mode, self.uid, self.gid, self.size = name, kind, mode, uid, gid, size
        self.mtime_s, self.link, self.major, self.minor = mtime_s, link, major, minor
        self.xattrs = xattrs or {}

    def __repr__(self) -> str:
        return f"Entry({self.name!r}, {self.kind!r}, size={self.size})"


def invalid(detail: str = "") -> InvalidArgument:
    return InvalidArgument("archive/tar: invalid tar header" + (f": {detail}" if detail else ""))


def safe_path(name: str) -> str:
    """The path of name beneath a root: relative, no `.`, no empty part; "" is the root itself. Raises InvalidArgument."""
    if len(name.encode("utf-8", "surrogateescape")) > PATH_LIMIT_BYTES:
        raise invalid(f"name of more than {PATH_LIMIT_BYTES} bytes: {name[:60]!r}…")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    for part in parts:
        if part == "..":
            raise InvalidArgument(f"invalid tar entry {name[:200]!r}: path leaves the root")
        if len(part) > NAME_LIMIT_BYTES // 4 and len(part.encode("utf-8", "surrogateescape")) > NAME_LIMIT_BYTES:
            raise invalid(f"name component of more than {NAME_LIMIT_BYTES} bytes: {part[:60]!r}…")
    return "/".join(parts)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _number(field: bytes, what: str) -> int:
    """Octal text, or GNU's base-256 (first bit set, two's complement)."""
    if field[0] & 0x80:
        bits = 8 * len(field) - 1
        value = int.from_bytes(field, "big") - (1 << bits)
        if field[0] & 0x40:
            value -= 1 << bits
        if not -_SIZE_LIMIT < value < _SIZE_LIMIT:
            raise invalid(f"{what} out of range")
        return value
    digits = field.strip(b" \0").partition(b"\0")[0]
    if not digits:
        return 0
    if not digits.isdigit() or b"8" in digits or b"9" in digits:
        raise invalid(f"{what} is not octal")
    return int(digits, 8)


def _check_sum(block: bytes) -> None:
    stated = _number(block[148:156], "checksum")
    if stated == sum(block) - sum(block[148:156]) + 256:  # the field itself counts as eight spaces
        return
    signed = sum(byte - 256 if byte > 127 else byte for byte in block[:148] + block[156:]) + 256  # old Sun tars
    if stated != signed:
        raise invalid()


def parse_header(block: bytes) -> Entry:
    """One header block, which is not all zeros. `kind` may be one of METADATA. Raises InvalidArgument, Unsupported."""
    _check_sum(block)
    kind = chr(block[156])
    name = _text(block[:100])
    posix = block[257:263] == b"ustar\0"
    if posix and block[345]:
        name = f"{_text(block[345:500])}/{name}"
    if kind in _FILES:
        kind = DIR if kind == "\0" and name.endswith("/") else FILE
    if kind not in _KINDS:
        what = "sparse files are not supported" if kind == "S" else f"unhandled tar header type {kind!r}"
        raise Unsupported(f"tar entry {name[:200]!r}: {what}")
    devices = kind in (CHAR, BLOCKDEV)
    return check(
        Entry(
            name, kind,
            mode=_number(block[100:108], "mode") & 0o7777,
            uid=_number(block[108:116], "uid"), gid=_number(block[116:124], "gid"),
            size=_number(block[124:136], "size"), mtime_s=_number(block[136:148], "mtime"),
            link=_text(block[157:257]) if kind in (HARDLINK, SYMLINK) else "",
            major=_number(block[329:337], "device number") if devices else 0,
            minor=_number(block[337:345], "device number") if devices else 0,
        )
    )  # fmt: skip


def check(entry: Entry) -> Entry:
    """The entry, its numbers found to make sense: a body where none can be counts as none, a time before 1970 as 1970."""
    if not 0 <= entry.size < _SIZE_LIMIT:
        raise invalid(f"size {entry.size}")
    if not (0 <= entry.uid < _ID_LIMIT and 0 <= entry.gid < _ID_LIMIT):
        raise invalid(f"owner {entry.uid}:{entry.gid}")
    if not (0 <= entry.major < 1 << 12 and 0 <= entry.minor < 1 << 20):
        raise invalid(f"device {entry.major}:{entry.minor}")
    if not 0 <= entry.mtime_s < 1 << 33:
        entry.mtime_s = 0
    if entry.kind != FILE and entry.kind not in METADATA:
        entry.size = 0
    return entry


def parse_pax(data: bytes) -> dict[str, bytes]:
    """The records of one pax header; a later one of the same key wins. Raises InvalidArgument."""
    records: dict[str, bytes] = {}
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 10)
        digits = data[at:space]
        if space < 0 or not digits.isdigit():
            raise invalid("pax record without a length")
        end = at + int(digits)
        if not space + 1 < end <= len(data) or data[end - 1] != 0x0A:
            raise invalid("pax record with a wrong length")
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or not key or b"\0" in key:
            raise invalid("pax record without a key")
        records[key.decode("utf-8", "surrogateescape")] = value
        at = end
    return records


def _decimal(value: bytes, what: str) -> int:
    if not value.isdigit() or len(value) > 19:
        raise invalid(f"pax {what}")
    return int(value)


def merge_pax(entry: Entry, records: Mapping[str, bytes]) -> Entry:
    """The entry with what a pax header says about it put over its own fields. Raises InvalidArgument, Unsupported."""
    xattrs: dict[str, bytes] = {}
    for key, value in records.items():
        if key.startswith(_XATTR):
            xattrs[key.removeprefix(_XATTR)] = value
        elif key.startswith("GNU.sparse."):
            raise Unsupported(f"tar entry {entry.name[:200]!r}: sparse files are not supported")
        elif not value:
            continue  # POSIX: an empty value takes the header's own back
        elif key in ("path", "linkpath"):
            if b"\0" in value:
                raise invalid(f"NUL in pax {key}")
            setattr(entry, "name" if key == "path" else "link", value.decode("utf-8", "surrogateescape"))
        elif key in ("uid", "gid", "size"):
            setattr(entry, key, _decimal(value, key))
        elif key == "mtime":
            whole = value.partition(b".")[0]
            entry.mtime_s = 0 if whole.startswith(b"-") else _decimal(whole or b"0", key)
    entry.xattrs = xattrs
    return check(entry)


def _octal(value: int, width: int) -> bytes:
    return b"%0*o\0" % (width - 1, value)


def _pax_record(key: str, value: bytes) -> bytes:
    body = b" " + key.encode("utf-8", "surrogateescape") + b"=" + value + b"\n"
    length = len(body) + len(str(len(body)))
    if length < len(body) + len(str(length)):  # the length counts its own digits
        length += 1
    return str(length).encode() + body


def _header(entry: Entry, name: bytes, prefix: bytes, link: bytes) -> bytes:
    devices = entry.kind in (CHAR, BLOCKDEV)
    block = b"".join(
        (
            name.ljust(100, b"\0"), _octal(entry.mode & 0o7777, 8),
            _octal(entry.uid if entry.uid < 1 << 21 else 0, 8), _octal(entry.gid if entry.gid < 1 << 21 else 0, 8),
            _octal(entry.size if entry.size < 1 << 33 else 0, 12), _octal(entry.mtime_s, 12), b" " * 8,
            entry.kind.encode(), link.ljust(100, b"\0"), b"ustar\x0000", bytes(64),
            _octal(entry.major, 8) if devices else bytes(8), _octal(entry.minor, 8) if devices else bytes(8),
            prefix.ljust(155, b"\0"), bytes(12),
        )
    )  # fmt: skip
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """(name, prefix) of a ustar header, or None if this name needs a pax record."""
    if not name.isascii():
        return None
    if len(name) <= 100:
        return name, b""
    at = name.rfind(b"/", 0, 156)
    rest = name[at + 1 :]
    return (rest, name[:at]) if at > 0 and 0 < len(rest) <= 100 else None


def padding(size: int) -> int:
    """How many zero bytes follow a body of this size."""
    return -size % BLOCK


def encode_header(entry: Entry) -> bytes:
    """The header of entry, after a pax header where ustar cannot say it; deterministic. The body is the caller's."""
    name, link = (text.encode("utf-8", "surrogateescape") for text in (entry.name, entry.link))
    records: dict[str, bytes] = {}
    where = _split(name)
    if where is None:
        records["path"] = name
        where = (
            name[-100:] if name.isascii() else name.decode("ascii", "replace")[-100:].encode("ascii", "replace"),
            b"",
        )
    if len(link) > 100 or not link.isascii():
        records["linkpath"] = link
        link = link[:100] if link.isascii() else b""
    for key, value, limit in (("uid", entry.uid, 1 << 21), ("gid", entry.gid, 1 << 21), ("size", entry.size, 1 << 33)):
        if value >= limit:
            records[key] = b"%d" % value
    records.update((_XATTR + key, value) for key, value in entry.xattrs.items())
    header = _header(entry, where[0], where[1], link)
    if not records:
        return header
    body = b"".join(_pax_record(key, records[key]) for key in sorted(records))
    around = Entry("", PAX, size=len(body), mode=0o644)
    return _header(around, b"PaxHeaders.0/entry", b"", b"") + body + bytes(padding(len(body))) + header
