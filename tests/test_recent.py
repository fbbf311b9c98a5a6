"""What many ask for at the same moment is worked out once."""
from __future__ import annotations

import threading
import time

from lab.ui.recent import Recent


def test_it_is_made_anew_when_it_is_old_of_another_kind_or_not_enough() -> None:
    now, made = [0.0], []
    recent: Recent[list[int]] = Recent(1.0, lambda: now[0])

    def make() -> list[int]:
        made.append(now[0])
        return made[:]

    assert recent.get("a", make) == recent.get("a", make) == [0.0]
    now[0] = 0.9
    assert len(recent.get("a", make)) == 1 and len(recent.get("a", make, lambda value: len(value) > 1)) == 2
    assert len(recent.get("b", make)) == 3
    now[0] = 2.0
    assert len(recent.get("b", make)) == 4


def test_one_thread_makes_it_for_all() -> None:
    recent, made = Recent[int](10.0), []

    def make() -> int:
        time.sleep(0.05)
        made.append(1)
        return len(made)

    threads = [threading.Thread(target=recent.get, args=("a", make)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]
