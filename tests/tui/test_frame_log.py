"""The window on the recorder: in order, each once, no silent hole, bounded."""

from __future__ import annotations

import random

import pytest

from edgegw.control.frame_models import FrameList
from edgegw.tui.frame_log import FrameLog
from tests.tui.made_up_charger import frame


def page(*numbers: int, before: int | None = None) -> FrameList:
    return FrameList(frames=tuple(frame(n) for n in numbers), next_before=before)


def held(log: FrameLog) -> list[int]:
    return [one.n for one in log.frames]


def test_what_comes_twice_is_held_once_and_in_order():
    log = FrameLog()
    log.add([frame(5), frame(6)])
    log.join(page(3, 4, 5, 6))
    log.add([frame(8), frame(7), frame(6)])
    assert held(log) == [3, 4, 5, 6, 7, 8]


def test_the_oldest_go_when_it_is_full():
    log = FrameLog(4)
    for n in range(10):
        log.add([frame(n)])
    assert held(log) == [6, 7, 8, 9]
    assert log.has_older


def test_a_hole_that_the_page_cannot_close_takes_what_is_before_it():
    log = FrameLog()
    log.add([frame(1), frame(2)])
    log.stream_began()
    log.add([frame(50)])
    log.join(page(48, 49, 50, before=48))
    assert held(log) == [48, 49, 50]
    assert log.has_older


@pytest.mark.parametrize("given", [page(2, 3, before=2), page(5, 6), page()])
def test_what_the_page_joins_stays(given: FrameList):
    log = FrameLog()
    log.add([frame(1), frame(2)])
    log.stream_began()
    log.join(given)
    assert held(log)[:2] == [1, 2]


def test_only_the_first_page_after_a_break_may_find_a_hole():
    log = FrameLog()
    log.add([frame(1)])
    log.stream_began()
    log.stream_began()  # a second attempt
    log.join(page(1, 2, before=1))
    log.join(page(9, before=9))
    assert held(log) == [1, 2, 9]


def test_who_pages_back_keeps_old_ones_and_counts_new_ones():
    log = FrameLog(4)
    log.join(page(10, 11, 12, before=10))
    log.prepend(page(7, 8, 9, before=7))
    assert held(log) == [7, 8, 9, 10]
    assert (log.newer, log.is_at_end, log.oldest) == (2, False, 7)
    log.add([frame(13), frame(14)])
    log.join(page(13, 14, before=13))
    assert (held(log), log.newer) == ([7, 8, 9, 10], 4)
    log.restart()
    log.join(page(13, 14, before=13))
    assert (held(log), log.is_at_end, log.has_older) == ([13, 14], True, True)


def test_what_somebody_reads_does_not_go_to_make_room():
    log = FrameLog(4)
    log.add([frame(n) for n in range(3)])
    log.add([frame(3), frame(4)], stay=True)
    assert (held(log), log.newer) == ([0, 1, 2, 3], 1)
    log.add([frame(5)])
    assert (held(log), log.newer) == ([0, 1, 2, 3], 2)


def test_a_page_of_the_end_says_that_there_is_nothing_older():
    log = FrameLog()
    log.join(page(5, 6, before=5))
    log.join(page(6, 7, before=6))
    assert log.has_older
    log.prepend(page(3, 4))
    assert not log.has_older
    log.join(page(6, 7, before=6))
    assert not log.has_older


@pytest.mark.parametrize("seed", range(30))
def test_whatever_comes_it_is_a_piece_of_what_was_recorded(seed: int):
    """Stream, breaks, pages in any order: what is held has no hole and is never more than may be."""
    dice = random.Random(seed)
    recorded = 0
    log = FrameLog(20)
    streams, missed = True, False
    for _ in range(200):
        step = dice.choice(("come", "come", "come", "break", "page", "older", "end"))
        if step == "come":
            first, recorded = recorded + 1, recorded + dice.randint(1, 6)
            if streams:
                log.add([frame(n) for n in range(first, recorded + 1)])
            else:
                missed = True
        elif step == "break" and streams:
            streams = False
        elif step in ("break", "page"):
            if not streams:
                log.stream_began()
            streams, missed = True, False
            log.join(newest(recorded, dice.randint(1, 8)))
        elif step == "older" and log.has_older and log.oldest is not None:
            log.prepend(newest(log.oldest - 1, dice.randint(1, 8)))
        elif step == "end" and not log.is_at_end and not missed:
            log.restart()
            log.join(newest(recorded, 5))
        numbers = held(log)
        assert len(numbers) <= 20
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True
        if streams and log.is_at_end and numbers:
            assert numbers[-1] == recorded


def newest(last: int, count: int) -> FrameList:
    first = max(1, last - count + 1)
    return page(*range(first, last + 1), before=first if first > 1 else None)
