"""Log drivers and their options: which there are, what they may say, and what they mean for the files kept.

Words and order are Docker's. It finds some nonsense only when the container is started; here it is refused at once, in
the words of that moment.
"""

from __future__ import annotations

from collections.abc import Mapping

from naru.errors import InvalidArgument
from naru.logs.attributes import COMMON, check_attributes
from naru.logs.drivers import SHIPPING
from naru.logs.goliterals import boolean, integer, size_bytes
from naru.logs.values import Policy
from naru.wire.container import LogConfig

_MIB = 1 << 20
_DEFAULT = Policy(20 * _MIB, 5, True)
_BACKSTOP_BYTES = 128 * _MIB
_MODES = {"", "blocking", "non-blocking"}
_ALWAYS = {"mode", "max-buffer-size", "cache-disabled", "cache-max-size", "cache-max-file", "cache-compress"}
_FILE = {"max-size", "max-file", "compress"}
_KNOWN = {
    **dict.fromkeys(("json-file", "local"), COMMON | _FILE),
    **{name: COMMON | driver.options for name, driver in SHIPPING.items()},
}
Options = Mapping[str, str]


def merge(asked: LogConfig, default: LogConfig) -> LogConfig:
    """The daemon's driver if none is asked for, and its options if that is the driver."""
    driver = asked.type or default.type
    inherited = default.config or {} if driver == default.type else {}
    return LogConfig(type=driver, config={**inherited, **(asked.config or {})})


def check(config: LogConfig) -> None:
    """Raises InvalidArgument."""
    driver, options = config.type or "json-file", config.config or {}
    if driver == "none":
        return
    if driver not in _KNOWN:
        raise InvalidArgument(f'error looking up logging plugin {driver}: plugin "{driver}" not found')
    _check_mode(options)
    if options.get("cache-disabled") is not None:
        try:
            boolean(options["cache-disabled"])
        except ValueError as error:
            raise InvalidArgument(f"invalid value for option cache-disabled: {options['cache-disabled']}") from error
    shipping = SHIPPING.get(driver)
    if driver == "gelf" and "gelf-address" not in options:
        raise InvalidArgument("gelf-address is a required parameter")  # before it looks at the others
    for option in options:
        if option not in _KNOWN[driver] | _ALWAYS:
            words = f"log driver {driver}" if driver == "local" else f"{driver} log driver"
            raise InvalidArgument(f"unknown log opt '{option}' for {words}")
    if shipping is not None:
        try:
            shipping.check(options)
        except ValueError as error:
            raise InvalidArgument(str(error)) from error
    try:
        _parse(config)
        check_attributes(options)
    except ValueError as error:
        raise InvalidArgument(f"failed to initialize logging driver: {error}") from error


def _check_mode(options: Options) -> None:
    mode, size = options.get("mode", ""), options.get("max-buffer-size")
    if mode not in _MODES:
        raise InvalidArgument(f"logger: logging mode not supported: {mode}")
    if size is None:
        return
    if mode != "non-blocking":
        raise InvalidArgument("logger: max-buffer-size option is only supported with 'mode=non-blocking'")
    try:
        size_bytes(size)
    except ValueError as error:
        raise InvalidArgument(f"error parsing option max-buffer-size: {error}") from error


# -- what is kept on disk -------------------------------------------------------------------------------------------------


def is_readable(config: LogConfig) -> bool:
    options = config.config or {}
    cached = config.type in ("", "json-file", "local") or options.get("cache-disabled", "0") in ("0", "f", "F", "false", "FALSE", "False")  # fmt: skip
    return config.type != "none" and cached


def policy(config: LogConfig) -> Policy:
    """The default for nonsense, which an earlier version took."""
    try:
        return _parse(config)
    except ValueError:
        return _DEFAULT


def _parse(config: LogConfig) -> Policy:
    """Raises ValueError in Docker's words for a nonsensical one."""
    options = config.config or {}
    if config.type in ("", "json-file"):
        return _json_file(options)
    prefix = "" if config.type == "local" else "cache-"
    return _local({name.removeprefix(prefix): value for name, value in options.items() if name.startswith(prefix)})


def _json_file(options: Options) -> Policy:
    """Where nothing is said the bounds are those of `local`, so that no log fills the disk."""
    size = options.get("max-size")
    max_bytes = _DEFAULT.max_bytes if size is None else size_bytes(size)
    if not max_bytes:
        raise ValueError("max-size must be a positive number")
    max_files = integer(options["max-file"]) if "max-file" in options else _DEFAULT.max_files if size is None else 1
    if max_files is None or max_files < 1:
        raise ValueError("max-file cannot be less than 1")
    compress = boolean(options["compress"]) if "compress" in options else size is None and max_files > 1
    if compress and max_files < 2:
        raise ValueError("compress cannot be true when max-file is less than 2 or max-size is not set")
    return Policy(max_bytes, max_files, compress)


def _local(options: Options) -> Policy:
    try:
        max_bytes = size_bytes(options["max-size"]) if "max-size" in options else _DEFAULT.max_bytes
    except ValueError as error:
        raise ValueError(f"invalid value for max-size: {options['max-size']}: {error}") from error
    try:
        max_files = integer(options["max-file"]) if "max-file" in options else _DEFAULT.max_files
    except ValueError as error:
        raise ValueError(f"invalid value for max-file: {options['max-file']}: {error}") from error
    try:
        compress = boolean(options["compress"]) if "compress" in options else _DEFAULT.compress
    except ValueError as error:
        raise ValueError(f"invalid boolean value for compress: {error}") from error
    if max_files is not None and max_files < 0:
        raise ValueError("max-file must not be negative")
    if compress and max_files in (0, 1):
        raise ValueError("compression cannot be enabled when max file count is 1")
    return Policy(max_bytes or None, max_files or 1, compress)


def backstop_bytes(config: LogConfig) -> int | None:
    """After so many bytes conmon begins a new file by itself: the bound while no daemon rotates."""
    kept = policy(config)
    if kept.max_bytes is None:
        return None
    return max(_BACKSTOP_BYTES, kept.max_bytes * (kept.max_files or 1))
