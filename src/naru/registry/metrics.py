"""What has been asked of the registry, and how quickly it was answered; its numbers for Prometheus. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from naru.registry.garbage import Backlog
from naru.wire.exposition import Histogram, Sample, text

_COUNTS = {
    "repositories": "Repositories that hold a manifest",
    "manifests": "Manifests, of all repositories",
    "tags": "Tags, of all repositories",
    "blobs": "Blobs, each counted once",
    "blob_bytes": "Size of all blobs, each counted once",
}


class Metrics:
    def __init__(self, endpoints: Iterable[str] = ()) -> None:
        self._answers: Counter[tuple[str, str, str]] = Counter()
        self._durations = Histogram("naru_registry_answer_seconds", "Time until an answer began", "endpoint", endpoints)

    def note(self, endpoint: str, method: str, status: int, seconds: float) -> None:
        self._answers[endpoint, method, str(status)] += 1
        self._durations.note(endpoint, seconds)

    def text(self, open_uploads: int, counts: Mapping[str, int], backlog: Backlog) -> str:
        answers = [
            ({"endpoint": endpoint, "method": method, "code": code}, count)
            for (endpoint, method, code), count in sorted(self._answers.items())
        ]
        families: list[Histogram | Sample] = [
            self._durations,
            Sample("naru_registry_requests_total", "Requests answered", "counter", answers),
            Sample.of("naru_registry_uploads", "Uploads that are open", "gauge", open_uploads),
        ]
        for name, help in _COUNTS.items():
            families.append(Sample.of(f"naru_registry_{name}", help, "gauge", counts[name]))
        families += [
            Sample.of(
                "naru_registry_reviews", "What is to be looked at by garbage collection", "gauge", backlog.reviews
            ),
            Sample.of("naru_registry_reviews_due", "Of those, what is due", "gauge", backlog.due),
            Sample.of("naru_registry_discarded", "Objects whose bytes are to be deleted", "gauge", backlog.discarded),
        ]
        return text(families)
