"""`naru stats`: one connection and one thread for each container, one table for all."""

from __future__ import annotations

from naru.cli.listing import FORMAT_HELP, Columns, render
from naru.cli.units import binary_size, decimal_size
from naru.errors import NaruError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from naru.cli.grammar import Args
    from naru.cli.session import Session

    Json = dict[str, Any]

HELP = {
    "stats": f"""\
Usage:  naru stats [OPTIONS] [CONTAINER...]

Options:
  -a, --all             Show all containers (default shows just running)
      --format string   {FORMAT_HELP}
      --no-stream       Show one reading, and end
      --no-trunc        Don't truncate output
"""
}
_HEADERS = {
    "Container": "CONTAINER", "ID": "CONTAINER ID", "Name": "NAME", "CPUPerc": "CPU %", "MemUsage": "MEM USAGE / LIMIT",
    "MemPerc": "MEM %", "NetIO": "NET I/O", "BlockIO": "BLOCK I/O", "PIDs": "PIDS",
}  # fmt: skip
_DEFAULT = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs")
_UNKNOWN = "--"
_CLEAR = "\x1b[H\x1b[J"
_READING_S = 1.0  # how often the daemon takes a reading


def cpu_percent(now: Json, before: Json) -> float:
    """Share of one CPU that was used between two readings, in percent. Pure."""
    used = (now.get("cpu_usage") or {}).get("total_usage", 0) - (before.get("cpu_usage") or {}).get("total_usage", 0)
    passed = now.get("system_cpu_usage", 0) - before.get("system_cpu_usage", 0)
    cpus = now.get("online_cpus") or len((now.get("cpu_usage") or {}).get("percpu_usage") or []) or 1
    return used / passed * cpus * 100 if used > 0 and passed > 0 else 0.0


def memory_used(memory: Json) -> int:
    """Bytes in use without the page cache that could be dropped at once. Pure."""
    usage, details = memory.get("usage", 0), memory.get("stats") or {}
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    return int(usage - cache if cache < usage else usage)


def _io(stats: Json) -> tuple[str, str]:
    networks = (stats.get("networks") or {}).values()
    received, sent = sum(n.get("rx_bytes", 0) for n in networks), sum(n.get("tx_bytes", 0) for n in networks)
    blocks = (stats.get("blkio_stats") or {}).get("io_service_bytes_recursive") or []
    read = sum(entry["value"] for entry in blocks if entry["op"][:1] in "rR")
    written = sum(entry["value"] for entry in blocks if entry["op"][:1] in "wW")
    return f"{_three(received)} / {_three(sent)}", f"{_three(read)} / {_three(written)}"


def _three(size: int) -> str:
    return decimal_size(size, 3)


def row(name: str, stats: Json) -> Json:
    """The columns of one reading. Pure."""
    if not (stats.get("memory_stats") or {}).get("limit"):
        unknown = dict.fromkeys(_HEADERS, _UNKNOWN)
        sized = {
            "CPUPerc": "0.00%",
            "MemUsage": "0B / 0B",
            "MemPerc": "0.00%",
            "NetIO": "0B / 0B",
            "BlockIO": "0B / 0B",
            "PIDs": "0",
        }
        known = {
            "Container": name,
            "ID": stats.get("id") or name,
            "Name": str(stats.get("name") or _UNKNOWN).lstrip("/"),
        }
        return unknown | sized | known
    memory = stats["memory_stats"]
    used, limit = memory_used(memory), memory["limit"]
    network, block = _io(stats)
    return {
        "Container": name,
        "ID": stats.get("id") or name,
        "Name": str(stats.get("name") or _UNKNOWN).lstrip("/"),
        "CPUPerc": f"{cpu_percent(stats.get('cpu_stats') or {}, stats.get('precpu_stats') or {}):.2f}%",
        "MemUsage": f"{binary_size(used)} / {binary_size(limit)}",
        "MemPerc": f"{used / limit * 100:.2f}%",
        "NetIO": network,
        "BlockIO": block,
        "PIDs": str((stats.get("pids_stats") or {}).get("current", 0)),
    }


def _columns(truncate: bool) -> Columns:
    def getter(name: str) -> Any:
        if name in ("ID", "Container") and truncate:
            return lambda record: record[name][:12]
        return lambda record: record[name]

    return Columns({name: getter(name) for name in _HEADERS}, _HEADERS, _DEFAULT, "statsContext")


class _Readings:
    """The last reading of each container, kept up to date by a thread each; `error` is what ended one too early."""

    def __init__(self, session: Session, names: list[str], *, stream: bool) -> None:
        import threading

        self.rows: dict[str, Json] = {}
        self.errors: list[NaruError] = []
        self.changed = threading.Event()
        self._threads = []
        for name in names:
            client = session.second_client()
            thread = threading.Thread(target=self._follow, args=(client, name, stream), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _follow(self, client: Any, name: str, stream: bool) -> None:
        try:
            for reading in client.containers.stats(name, stream=stream):
                self.rows[name] = row(name, reading)
                self.changed.set()
        except NaruError as error:
            self.errors.append(error)
        finally:
            if stream:
                self.rows.pop(name, None)
            client.close()
            self.changed.set()

    def wait_all(self) -> None:
        for thread in self._threads:
            thread.join()

    @property
    def alive(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)


def stats(session: Session, args: Args) -> int:
    names, form = list(args.words), args.text("format") or str(session.config().get("statsFormat") or "")
    if not names:
        names = [container["Id"] for container in session.client.containers.list(all=args.on("all"))]
    stream = not args.on("no-stream")
    columns = _columns(not args.on("no-trunc"))
    readings = _Readings(session, names, stream=stream)
    if not stream:
        readings.wait_all()
        session.out(render([readings.rows[name] for name in names if name in readings.rows], columns, form))
    while stream and readings.alive:
        readings.changed.wait(_READING_S)
        readings.changed.clear()
        rows = [readings.rows[name] for name in names if name in readings.rows]
        session.out((_CLEAR if form != "json" else "") + render(rows, columns, form))
        session.flush()
    for error in readings.errors:
        session.warn(str(error))
    return 1 if readings.errors else 0
