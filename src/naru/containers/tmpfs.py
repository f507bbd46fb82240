"""The options of a tmpfs, as `--tmpfs` and `--mount type=tmpfs` write them: merged over the defaults, the last word winning. Pure.

Docker checks those of `--tmpfs` only when the container is started, and then calls a bad one its own fault (Internal).
"""

from __future__ import annotations

from collections.abc import Iterable

from naru.errors import Internal, InvalidArgument
from naru.wire.container import TmpfsOptions

DEFAULTS = ("noexec", "nosuid", "nodev")
# Words that say the same thing one way or the other: of each group the last one counts. (mount(8), "tmpfs")
_GROUPS = (
    ("ro", "rw"), ("suid", "nosuid"), ("dev", "nodev"), ("exec", "noexec"), ("sync", "async"), ("dirsync",), ("remount",),
    ("mand", "nomand"), ("atime", "noatime"), ("diratime", "nodiratime"), ("relatime", "norelatime"),
    ("strictatime", "nostrictatime"), ("bind",), ("rbind",),
    ("private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable"),
)  # fmt: skip
_GROUP_OF = {word: group[0] for group in _GROUPS for word in group}
_VALUES = {"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"}
_REQUEST_WORDS = ("exec", "noexec")  # all that a mount request may say beside size and mode


def merge(words: Iterable[str]) -> tuple[str, ...]:
    """The words that count, in their order, over the defaults. Raises Internal."""
    kept: dict[str, str] = {}
    for word in (*DEFAULTS, *words):
        if word == "defaults":
            continue
        name, equals, _ = word.partition("=")
        key = _GROUP_OF.get(word) or (name if equals and name in _VALUES else None)
        if key is None:
            raise Internal(f'invalid tmpfs option "{name}"')
        kept.pop(key, None)
        kept[key] = word
    return tuple(kept.values())


def split(text: str) -> tuple[str, ...]:
    """The words of `--tmpfs /run:size=1m,exec`."""
    return tuple(text.split(",")) if text else ()


def requested(options: TmpfsOptions | None, read_only: bool, where: str) -> tuple[str, ...]:
    """Those of a mount request. Raises InvalidArgument, at create."""
    words = ["ro"] if read_only else []
    if options is not None:
        words += [f"mode={options.mode:o}"] if options.mode else []
        words += [f"size={options.size_bytes}"] if options.size_bytes else []
        for option in options.options or []:
            if len(option) not in (1, 2):
                raise InvalidArgument(f"{where}invalid option array length")
            if len(option) == 2 or option[0] not in _REQUEST_WORDS:
                raise InvalidArgument(f"{where}invalid option: {option[0]}")
            words.append(option[0])
    return tuple(words)
