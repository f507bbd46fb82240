from __future__ import annotations

from naru.cli.usage import summary


def test_summary() -> None:
    usage = {
        "LayersSize": 1000,
        "Images": [
            {"Size": 500, "SharedSize": 100, "Containers": 1},
            {"Size": 600, "SharedSize": 100, "Containers": 0},
        ],
        "Containers": [{"SizeRw": 40, "State": "running"}, {"SizeRw": 60, "State": "exited"}, {"State": "created"}],
        "Volumes": [
            {"UsageData": {"Size": 7, "RefCount": 1}},
            {"UsageData": {"Size": 3, "RefCount": 0}},
            {"UsageData": None},
        ],
        "BuildCache": [{"Size": 10, "InUse": False, "Shared": False}, {"Size": 20, "InUse": True, "Shared": True}],
    }
    assert [tuple(row.values()) for row in summary(usage)] == [
        ("Images", "2", "1", "1kB", "600B (60%)"),
        ("Containers", "3", "1", "100B", "60B (60%)"),
        ("Local Volumes", "3", "1", "10B", "3B (30%)"),
        ("Build Cache", "2", "1", "10B", "10B"),
    ]
    assert [row["Size"] for row in summary({})] == ["0B"] * 4
