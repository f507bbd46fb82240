"""Values of options, from text and from JSON: what they become, and dockerd's words for what they cannot be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from naru.daemon import values
from naru.daemon.values import AddressPool, NamedRuntime, Ulimit


@pytest.mark.parametrize(
    ("parse", "given", "wanted"),
    [
        (values.size_bytes, "64m", 64 << 20), (values.size_bytes, "1.5GiB", 3 << 29), (values.size_bytes, "10 kb", 10240), (values.size_bytes, 7, 7), (values.size_bytes, "7", 7),
        (values.number, "-1", -1), (values.boolean, "T", True), (values.boolean, "0", False), (values.address, "::1", "::1"), (values.label, "a=", "a="),
        (values.search_domain, "ex.org.", "ex.org."), (values.search_domain, ".", "."), (values.feature, "x", ("x", True)), (values.feature, "x=false", ("x", False)),
        (values.ulimit, "nofile=1024", Ulimit("nofile", 1024, 1024)), (values.ulimit, "core=0:-1", Ulimit("core", 0, -1)),
        (values.ulimits, {"cpu": {"name": "cpu", "hard": 2}}, (Ulimit("cpu", 0, 2),)), (values.pool, "size=24,base=10.9.0.0/16", AddressPool("10.9.0.0/16", 24)),
        (values.pools, [{"Base": "10.9.0.0/16", "Size": 16}], (AddressPool("10.9.0.0/16", 16),)), (values.runtime, "a=/b", NamedRuntime("a", "/b")),
        (values.runtimes, {"a": {"path": "b", "runtimeArgs": ["-x"]}}, (NamedRuntime("a", "b", ("-x",)),)),
    ],
)  # fmt: skip
def test_good_values(parse: Callable[[Any], Any], given: Any, wanted: Any) -> None:
    assert parse(given) == wanted


@pytest.mark.parametrize(
    ("parse", "given", "words"),
    [
        (values.size_bytes, "zz", "invalid size: 'zz'"), (values.size_bytes, -1, "invalid size: '-1'"), (values.size_bytes, "99999999999p", "invalid size"), (values.size_bytes, True, "invalid size"),
        (values.number, "x", 'strconv.ParseInt: parsing "x": invalid syntax'), (values.number, "9" * 30, "invalid syntax"), (values.boolean, "zz", 'strconv.ParseBool: parsing "zz": invalid syntax'),
        (values.address, "zz", 'ParseAddr("zz"): unable to parse IP'), (values.label, "zz", "bad attribute format: zz"), (values.search_domain, "-a", "-a is not a valid domain"),
        (values.ulimit, "zz", "invalid ulimit argument: zz"), (values.ulimit, "zz=1", "invalid ulimit type: zz"), (values.ulimit, "cpu=2:1", "ulimit soft limit must be less than or equal to hard limit: 2 > 1"),
        (values.ulimits, {"zz": {}}, "invalid ulimit type: zz"), (values.ulimits, {"cpu": {"Hard": "1"}}, "expected numbers"), (values.ulimits, [], "expected an object"),
        (values.pool, "zz=1", "unexpected key 'zz' in 'zz=1'"), (values.pool, "zz", "invalid field 'zz' must be a key=value pair"), (values.pool, "base=10.9.0.0/16,size=4", "invalid size 4"),
        (values.pool, "base=fd00::/16,size=24", "IPv6"), (values.pool, "size=24", "invalid base pool ''"), (values.pools, [{"base": 1}], "expected a list of objects"), (values.pools, {}, "expected a list"),
        (values.runtime, "zz", "invalid runtime argument: zz"), (values.runtime, "runc=/x", "runtime name 'runc' is reserved"),
        (values.runtimes, {"a": {"runtimeType": "x"}}, "runtime a: runtimeType is not supported"), (values.runtimes, {"a": {}}, "runtime a: expected a path"),
        (values.features, {"x": "y"}, "expected an object of booleans"),
    ],
)  # fmt: skip
def test_bad_values(parse: Callable[[Any], Any], given: Any, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse(given)
    assert words in str(caught.value)
