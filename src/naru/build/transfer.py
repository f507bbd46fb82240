"""COPY and ADD: gathering what they name, and putting it in place.

Gathering comes first, since the cache must know what would be copied before anything is; placing is done in a snapshot
that is opened for it. Copying itself is `copy.py`'s, unpacking the confined child's (`snapshots.apply`).
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import stat
import tempfile
import urllib.parse
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from naru.build import chmod
from naru.build.copy import Copier, Options
from naru.build.ignore import Ignore
from naru.build.instructions import Add, Copy
from naru.build.needs import Fetch
from naru.build.sources import Source, digests, find, mapped, shown
from naru.containers.accounts import find_user
from naru.errors import DataLoss, InvalidArgument, NaruError, NotFound, Unsupported
from naru.linux.erase import remove_tree
from naru.linux.files import Root
from naru.linux.threads import finish_in_thread
from naru.snapshots.apply import extract_into
from naru.snapshots.inflate import inflated
from naru.snapshots.tarformat import BLOCK, parse_header

_URL = re.compile(r"https?://")
_GIT = re.compile(r"(git://|git@|ssh://)|https?://.*\.git(#.*)?$")


@dataclass(frozen=True, slots=True)
class Item:
    root: Root
    source: Source
    unpack: bool = False


@dataclass(frozen=True, slots=True)
class Gathered:
    """Everything a COPY or ADD will copy; `inputs` name and digest it for the cache, `summary` is history's
    `file:<hash>`, `dir:<hash>` or `multi:<hash>`."""

    items: tuple[Item, ...]
    inputs: dict[str, str]
    summary: str


async def gather(
    step: Copy, root_of: Callable[[str], Awaitable[Root]], fetch: Fetch, scratch: str, held: AsyncExitStack
) -> Gathered:
    """Find, download and digest the sources of an expanded instruction; files and roots live until `held` ends.

    `root_of("")` is the context. Raises NotFound or InvalidArgument in Docker's words, and what `fetch` raises.
    """
    excludes = Ignore(step.excludes) if step.excludes else None
    items: list[Item] = []
    for source in step.sources:
        if isinstance(step, Add) and (_GIT.match(source) or _URL.match(source)):
            items.append(await _download(step, source, fetch, scratch, held))
        else:
            items += await finish_in_thread(_local, step, source, await root_of(step.from_), excludes)
    if step.files:
        items += await _inline(step, scratch, held)
    if not items:
        raise InvalidArgument(f"{step.node.name.upper()} failed: no source files were specified")
    keep_mode = not (step.chmod and chmod.is_absolute(step.chmod))
    inputs: dict[str, str] = {}
    for item in items:
        found = await finish_in_thread(
            digests, item.root, item.source, excludes, keep_owner=bool(step.from_), keep_mode=keep_mode
        )
        inputs |= {f"file {shown(name)}": digest for name, digest in found.items()}
    kind = "multi" if len(items) > 1 else "dir" if items[0].source.is_dir else "file"
    hasher = hashlib.sha256("\0".join(f"{name} {digest}" for name, digest in sorted(inputs.items())).encode())
    return Gathered(tuple(items), inputs, f"{kind}:{hasher.hexdigest()}")


def _local(step: Copy, written: str, root: Root, excludes: Ignore | None) -> list[Item]:
    name = step.node.name.upper()
    try:
        found = find(root, written, parents=step.parents)
    except NotFound as error:
        where = "" if step.from_ else "file not found in build context or excluded by .dockerignore: "
        raise NotFound(f"{name} failed: {where}{error}") from error
    except InvalidArgument as error:
        raise InvalidArgument(f"{name} failed: {error}") from error
    items = []
    for source in found:
        if excludes is not None and not source.is_dir and excludes.excludes(source.name):
            continue
        unpack = (
            isinstance(step, Add) and step.unpack is not False and not source.is_dir and _is_archive(root, source.path)
        )
        items.append(Item(root, source, unpack))
    return items


def _is_archive(root: Root, path: str) -> bool:
    """Whether a regular file begins like a tar, compressed or not."""
    if not stat.S_ISREG(root.stat(path).st_mode):  # looked at before it is opened: it may be a device
        return False
    fd = root.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        try:
            _, more = inflated(lambda count: os.read(fd, count))
            block = b""
            while len(block) < BLOCK and (piece := more()):
                block += piece
            if len(block) < BLOCK or not block[:BLOCK].strip(b"\0"):
                return False
            parse_header(block[:BLOCK])
        except NaruError:
            return False  # no tar: an ordinary file, to be copied as it is
        return True
    finally:
        os.close(fd)


async def _folder(scratch: str, held: AsyncExitStack) -> tuple[str, Root]:
    path = tempfile.mkdtemp(prefix="add-", dir=scratch)
    held.push_async_callback(finish_in_thread, remove_tree, path)
    return path, held.enter_context(Root.at(path))


async def _inline(step: Copy, scratch: str, held: AsyncExitStack) -> list[Item]:
    path, root = await _folder(scratch, held)
    for file in step.files:
        with open(os.path.join(path, file.name), "w", encoding="utf-8", newline="") as out:
            out.write(file.text)
        os.chmod(os.path.join(path, file.name), 0o644)
    return [Item(root, Source(file.name, file.name, False)) for file in step.files]


async def _download(step: Add, url: str, fetch: Fetch, scratch: str, held: AsyncExitStack) -> Item:
    if _GIT.match(url):
        raise Unsupported(f"ADD from a git repository is not supported yet: {url}")
    name = posixpath.basename(urllib.parse.unquote(urllib.parse.urlsplit(url).path))
    if name in ("", ".", "..") or "\0" in name or "/" in name:
        if step.target.endswith("/"):
            raise InvalidArgument(f"cannot determine filename from url: {url}")
        name = "__unnamed__"
    path, root = await _folder(scratch, held)
    file = os.path.join(path, name)
    fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fetched = await fetch(url, fd)
        os.fchmod(fd, 0o600)
        os.utime(fd, ns=(fetched.last_modified_ns, fetched.last_modified_ns))
        if step.checksum:
            await finish_in_thread(_verify, fd, step.checksum, url)
    finally:
        os.close(fd)
    unpack = bool(step.unpack) and await finish_in_thread(_is_archive, root, name)
    return Item(root, Source(name, name, False), unpack)


def _verify(fd: int, expected: str, url: str) -> None:
    algorithm, _, digits = expected.partition(":")
    if algorithm not in ("sha256", "sha384", "sha512") or not re.fullmatch(r"[0-9a-f]+", digits):
        raise InvalidArgument(f"invalid checksum digest format: {expected}")
    os.lseek(fd, 0, os.SEEK_SET)
    with os.fdopen(os.dup(fd), "rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    if found != digits:
        raise DataLoss(f"digest mismatch {algorithm}:{found}: {expected} was expected of {url}")


def text(step: Copy) -> str:
    """The expanded instruction as one line: what the cache compares and an explanation shows."""
    flags = {"from": step.from_, "chown": step.chown, "chmod": step.chmod}
    words = [f"--{name}={value}" for name, value in flags.items() if value]
    words += ["--link"] * step.link + ["--parents"] * step.parents + [f"--exclude={e}" for e in step.excludes]
    if isinstance(step, Add):
        words += [f"--checksum={step.checksum}"] * bool(step.checksum)
        words += [] if step.unpack is None else [f"--unpack={str(step.unpack).lower()}"]
    names = [*step.sources, *(f"<<{file.name}" for file in step.files)]
    return " ".join([step.node.name.upper(), *words, *names, step.target])


def check(step: Copy, count: int) -> None:
    """Raises InvalidArgument if `count` sources cannot go where the instruction says."""
    if count > 1 and not step.target.endswith("/"):
        raise InvalidArgument(
            f"When using {step.node.name.upper()} with more than one source file, the destination must be a directory and end with a /"
        )
    if step.chmod:
        chmod.parse(step.chmod)


async def place(step: Copy, gathered: Gathered, target: Root, workdir: str) -> None:
    """Copy and unpack everything gathered into the root file system `target`. Raises InvalidArgument, Unavailable."""
    owner = await finish_in_thread(_owner, step, target)
    options = Options(
        owner, chmod.parse(step.chmod) if step.chmod else None, Ignore(step.excludes) if step.excludes else None
    )
    destination = posixpath.normpath(posixpath.join("/", workdir, step.target))
    destination = "/" + destination.lstrip("/")
    into = step.target.endswith("/") or posixpath.basename(step.target) in (".", "..")
    copiers: dict[Root, Copier] = {}
    for item in gathered.items:
        if item.unpack:
            await _unpack(item, target, destination, owner if step.chown else None)
        else:
            copier = copiers.setdefault(item.root, Copier(item.root, target, options))
            await finish_in_thread(copier.copy, item.source, destination, into=into)


async def _unpack(item: Item, target: Root, destination: str, owner: tuple[int, int] | None) -> None:
    try:
        await finish_in_thread(target.make_dirs, destination, 0o755, *(owner or (0, 0)))
    except OSError as error:
        raise mapped(error, destination) from error
    archive = item.root.open(item.source.path, os.O_RDONLY)
    try:
        await extract_into(target.fd, destination, archive, owner=owner)
    finally:
        os.close(archive)


def _owner(step: Copy, target: Root) -> tuple[int, int] | None:
    """Who owns the copies: --chown, else 0:0, else (None: from another stage) whoever owned them."""
    if not step.chown:
        return None if step.from_ else (0, 0)
    return resolve_owner(target, step.chown)


def resolve_owner(target: Root, spec: str) -> tuple[int, int]:
    """`user[:group]` with the root file system's own files; a number alone is also the group. Raises InvalidArgument."""
    found = find_user(target, spec, ())
    alone = spec.isascii() and spec.isdigit()
    return found.uid, found.uid if alone else found.gid
