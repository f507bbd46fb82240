"""The text that Prometheus reads."""

from __future__ import annotations

import os
import time

from naru.daemon.observation import process
from naru.wire.exposition import Histogram, Sample, text

DURATIONS = """\
# HELP x_seconds How long
# TYPE x_seconds histogram
x_seconds_bucket{action="go",le="0.005"} 1
x_seconds_bucket{action="go",le="0.01"} 1
x_seconds_bucket{action="go",le="0.025"} 1
x_seconds_bucket{action="go",le="0.05"} 1
x_seconds_bucket{action="go",le="0.1"} 1
x_seconds_bucket{action="go",le="0.25"} 1
x_seconds_bucket{action="go",le="0.5"} 2
x_seconds_bucket{action="go",le="1"} 2
x_seconds_bucket{action="go",le="2.5"} 2
x_seconds_bucket{action="go",le="5"} 2
x_seconds_bucket{action="go",le="10"} 2
x_seconds_bucket{action="go",le="+Inf"} 3
x_seconds_sum{action="go"} 100.505
x_seconds_count{action="go"} 3
"""


def test_a_histogram_counts_upwards_and_a_bound_belongs_below() -> None:
    made = Histogram("x_seconds", "How long", "action", ("go",))
    for seconds in (0.005, 0.5, 100):
        made.note("go", seconds)
    assert text([made]) == DURATIONS


def test_samples_are_in_order_and_labels_escaped() -> None:
    odd = Sample("b", "Odd", "gauge", [({"os": 'a"b\\c\nd'}, 1)])
    assert text([odd, Sample.of("a_total", "Events", "counter", 2)]) == (
        "# HELP a_total Events\n# TYPE a_total counter\na_total 2\n"
        '# HELP b Odd\n# TYPE b gauge\nb{os="a\\"b\\\\c\\nd"} 1\n'
    )


def test_the_process_family() -> None:
    found = {each.name: each.values[0][1] for each in process()}
    assert 0 < found["process_open_fds"] < found["process_max_fds"] and found["process_resident_memory_bytes"] > 1 << 20
    assert found["process_resident_memory_bytes"] < found["process_virtual_memory_bytes"]
    assert abs(found["process_cpu_seconds_total"] - sum(os.times()[:2])) < 1
    assert found["process_start_time_seconds"] < time.time()
