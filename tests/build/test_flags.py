from __future__ import annotations

import pytest

from naru.build.flags import RunMount, parse_mount, size_bytes
from naru.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("target=/a", RunMount("bind", target="/a", read_only=True)),
        ("type=bind,from=s,src=/x,dst=/a,rw", RunMount("bind", "/x", "/a", "s", False)),
        ("target=/a,readonly=false", RunMount("bind", target="/a", read_only=False)),
        ("target=/a,readwrite=true", RunMount("bind", target="/a", read_only=False)),
        ("TYPE=cache,destination=/a,ID=x,sharing=LOCKED", RunMount("cache", target="/a", read_only=False, id="x", sharing="locked")),
        ("type=cache,target=/a,ro,mode=0700,uid=1,gid=2", RunMount("cache", target="/a", read_only=True, mode=0o700, uid=1, gid=2)),
        ("type=tmpfs,target=/a,size=64m", RunMount("tmpfs", target="/a", read_only=False, size_bytes=64 << 20)),
        ("type=secret,id=x,required", RunMount("secret", id="x", read_only=True, required=True)),
        ("type=secret,id=x,env=TOKEN,mode=0400", RunMount("secret", id="x", read_only=True, env="TOKEN", mode=0o400)),
        ("type=ssh", RunMount("ssh", read_only=True)),
        ('"target=/a,b",ro', RunMount("bind", target="/a,b", read_only=True)),
        ("target=<x>", RunMount("bind", target="/expanded", read_only=True)),
    ],
)  # fmt: skip
def test_mounts(text: str, expected: RunMount) -> None:
    assert parse_mount(text, lambda value: value.replace("<x>", "/expanded")) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type=bnid,target=/a", r'unsupported mount type "bnid" \(did you mean bind\?\)'),
        ("target", "invalid field 'target' must be a key=value pair"),
        ("nonsense=1,target=/a", "unexpected key 'nonsense' in 'nonsense=1'"),
        ("target=/a,ro=maybe", "invalid value for ro: maybe"),
        ("target=/a,size=1", "unexpected key 'size' for mount type 'bind'"),
        ("type=tmpfs,target=/a,size=big", "invalid value for size: big"),
        ("target=/a,required", "unexpected key 'required' for mount type 'bind'"),
        ("target=/a,mode=0700", 'mode not allowed for "bind" type mounts'),
        ("type=tmpfs,target=/a,uid=1", 'uid not allowed for "tmpfs" type mounts'),
        ("type=cache,target=/a,mode=9", "invalid value 9 for mode"),
        ("type=cache,target=/a,uid=-1", "invalid value -1 for uid"),
        ("type=cache,target=/a,gid=4294967296", "invalid value 4294967296 for gid"),
        ("type=cache,target=/a,sharing=share", r'unsupported sharing value "share" \(did you mean shared\?\)'),
        ("target=/a,sharing=shared", "invalid cache sharing set for bind mount"),
        ("type=secret", "invalid secret mount. one of source, target required"),
        ("type=secret,id=a,source=b", "both source and id can't be set"),
        ("type=secret,id=a,from=b", "secret mount should not have a from"),
        ("type=cache", 'invalid mount target ""'),
        ("from=$x,target=/a", "'from' doesn't support variable expansion"),
        ('"target=/a', "failed to parse csv mounts"),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        parse_mount(text, str)


@pytest.mark.parametrize(
    ("text", "size"), [("10", 10), ("1k", 1024), ("1.5K", 1536), ("2 GiB", 2 << 30), ("3mb", 3 << 20)]
)
def test_size(text: str, size: int) -> None:
    assert size_bytes(text) == size
