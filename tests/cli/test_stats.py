from __future__ import annotations

from collections.abc import Callable
from typing import Any

from played import Played, json_answer

from naru.cli.stats import cpu_percent, memory_used, row
from naru.client.jsontext import encode

READING: dict[str, Any] = {
    "id": "0123456789abcdef", "name": "/web",
    "cpu_stats": {"cpu_usage": {"total_usage": 300}, "system_cpu_usage": 2000, "online_cpus": 2},
    "precpu_stats": {"cpu_usage": {"total_usage": 100}, "system_cpu_usage": 1000},
    "memory_stats": {"usage": 3 << 20, "limit": 1 << 30, "stats": {"inactive_file": 1 << 20}},
    "networks": {"eth0": {"rx_bytes": 1000, "tx_bytes": 1}, "eth1": {"rx_bytes": 100, "tx_bytes": 0}},
    "blkio_stats": {"io_service_bytes_recursive": [{"op": "Read", "value": 5}, {"op": "write", "value": 6}]},
    "pids_stats": {"current": 4},
}  # fmt: skip


def test_row() -> None:
    assert row("web", READING) == {
        "Container": "web", "ID": "0123456789abcdef", "Name": "web", "CPUPerc": "40.00%", "MemUsage": "2MiB / 1GiB",
        "MemPerc": "0.20%", "NetIO": "1.1kB / 1B", "BlockIO": "5B / 6B", "PIDs": "4",
    }  # fmt: skip


def test_edges() -> None:
    assert cpu_percent({}, {}) == 0.0
    assert cpu_percent(READING["precpu_stats"], READING["cpu_stats"]) == 0.0
    assert memory_used({"usage": 5, "stats": {"inactive_file": 9}}) == 5
    assert row("x", {"name": "/gone"})["PIDs"] == "0"


def test_one_reading(naru: Callable[..., Any], daemon: Callable[..., Played]) -> None:
    server = daemon(
        [json_answer(encode(READING))], [json_answer('{"message":"No such container: y"}', "404 Not Found")]
    )
    ended = naru("stats", "--no-stream", "--format", "{{.Name}} {{.CPUPerc}}", "web", host=server.host)
    assert (ended.code, ended.out) == (0, "web 40.00%\n")
    assert server.lines == ["GET /v1.51/containers/web/stats?stream=0"]
