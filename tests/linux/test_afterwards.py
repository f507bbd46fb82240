from __future__ import annotations

import threading
import time

from naru.linux.afterwards import Afterwards


def test_all_that_came_together_is_done_at_once_a_little_later() -> None:
    done: list[int] = []
    finished = threading.Event()

    def work(item: int) -> None:
        done.append(item)
        if item == 2:
            finished.set()

    began = time.monotonic()
    later = Afterwards("test", work, 0.05)
    for item in range(3):
        later.add(item)
    assert finished.wait(10) and done == [0, 1, 2]
    assert time.monotonic() - began >= 0.05
    later.close()


def test_the_end_waits_for_nothing_but_the_work() -> None:
    done: list[int] = []
    later = Afterwards("test", done.append, 3600)
    later.add(1)
    later.add(2)
    later.close()
    assert done == [1, 2]
