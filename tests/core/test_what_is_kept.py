"""What a charger leaves behind in memory and on disk: a site runs for years, so all of it has an end.

Rules of this file:
- Objects are counted, never bytes (`tests.kept`): whatever can be reached from the charger and its site,
  after so many finished transactions and after many more.
- Before the first count everything that has a limit is full.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from edgegw.core.authorization import CACHE_ENTRIES_MAX, TokenPolicy
from edgegw.core.records import SaveDocument
from edgegw.core.transactions import ENDED_MAX, PAIRS_KEPT_S, PAIRS_MAX
from tests.core.story import V16, V21, V201, Story, away, event, meter, online, start, stop, story
from tests.kept import grown, reached

TAGS = 40
COUNTED = 100  # transactions
FILLS = ENDED_MAX + 20  # until all but the cache of tags is full


def kept_by(told: Story) -> Counter[str]:
    return reached(told.core, told.site, besides=(Story,))


def polite_but_away() -> Story:
    """A cloud that is away at every start and has everything by the next: each needs a pair of ids."""
    told = away()
    told.cloud.is_polite = True
    return told


def without_cloud(version: Any = V16) -> Story:
    told = story(version, standalone=True, tokens=TokenPolicy(accept_unknown=True))
    told.charger.connects()
    return told


def with_its_cloud(version: Any = V16) -> Story:
    told = online(version)
    told.cloud.is_polite = True
    return told


def charges(told: Story, number: int) -> None:
    """One transaction from start to stop. Every time and message id is another."""
    told.after(90.0)
    tag, wh = f"TAG-{number % TAGS}", number * 1000
    if told.version is not V16:
        told.charger.sends("TransactionEvent", event("Started", f"tx-{number}", 0, token=tag))
        told.charger.sends("TransactionEvent", event("Ended", f"tx-{number}", 1))
    else:
        answer = told.charger.asks("StartTransaction", start(1, tag, wh=wh, at=number))
        told.charger.sends("MeterValues", meter(answer["transactionId"], wh=wh + 500))
        told.charger.sends("StopTransaction", stop(answer["transactionId"], wh=wh + 900, at=number + 60))
    told.forget()
    told.store.rows.clear()  # what is on disk has its retention; here it only costs time


def charges_while_the_cloud_is_away(told: Story, number: int) -> None:
    answer = told.charger.asks("StartTransaction", start(1, f"TAG-{number % TAGS}", at=number))
    told.charger.sends("StopTransaction", stop(answer["transactionId"], at=number + 60))
    told.cloud.comes_back()
    told.after(90.0)
    assert not told.stored
    told.cloud.goes_away()
    told.forget()
    told.store.rows.clear()


@pytest.mark.parametrize(
    ("begin", "charge"),
    [
        pytest.param(without_cloud, charges, id="1.6-no-cloud"),
        pytest.param(lambda: without_cloud(V201), charges, id="2.0.1-no-cloud"),
        pytest.param(with_its_cloud, charges, id="1.6"),
        pytest.param(lambda: with_its_cloud(V21), charges, id="2.1"),
        pytest.param(polite_but_away, charges_while_the_cloud_is_away, id="1.6-cloud-comes-and-goes"),
    ],
)
def test_a_finished_transaction_leaves_nothing_in_memory(
    begin: Callable[[], Story], charge: Callable[[Story, int], None]
):
    told = begin()
    for number in range(FILLS):
        charge(told, number)
    before, documents = kept_by(told), len(told.store.documents)
    for number in range(FILLS, FILLS + COUNTED):
        charge(told, number)
    assert grown(before, kept_by(told), COUNTED / 4) == {}
    assert len(told.store.documents) <= documents


def test_of_cards_that_come_once_the_newest_are_kept():
    told = with_its_cloud()
    for number in range(CACHE_ENTRIES_MAX + COUNTED):
        told.charger.sends("Authorize", {"idTag": f"GUEST-{number}"})
    before, documents = kept_by(told), len(told.store.documents)
    for number in range(COUNTED):
        told.charger.sends("Authorize", {"idTag": f"LATE-GUEST-{number}"})
    assert grown(before, kept_by(told), COUNTED / 4) == {}
    assert len(told.store.documents) <= documents


# --- pairs of transaction ids ---------------------------------------------------------------------


def pairs(told: Story) -> list[str]:
    """On disk."""
    return [key for _, kind, key in told.store.documents if kind == "transaction_id"]


def stores(told: Story, count: int) -> list[int]:
    """So many transactions while the cloud is away: their local ids."""
    locals_ = []
    for number in range(count):
        answer = told.charger.asks("StartTransaction", start(1, wh=number, at=number * 100.0))
        told.charger.sends("StopTransaction", stop(answer["transactionId"], at=number * 100.0 + 60))
        locals_.append(answer["transactionId"])
        told.charger.take()
    return locals_


@pytest.mark.parametrize("restarts", [False, True])
def test_all_of_a_long_outage_goes_up_with_the_cloud_s_ids_and_only_the_newest_are_kept(restarts: bool):
    told = away()
    locals_ = stores(told, PAIRS_MAX + 40)
    if restarts:
        told.restart()
        told.charger.connects()
        told.forget()
    assert len(pairs(told)) == len(locals_)
    told.cloud.is_polite = True
    told.cloud.comes_back()
    told.after(60.0)
    assert not told.stored
    stops = [frame[3]["transactionId"] for frame in told.cloud.frames if frame[2] == "StopTransaction"]
    assert stops == list(range(101, 101 + len(locals_)))
    assert sorted(map(int, pairs(told))) == locals_[-PAIRS_MAX:]


def test_a_running_transaction_keeps_its_pair_however_many_follow():
    told = away()
    first = told.charger.asks("StartTransaction", start(2, wh=7))["transactionId"]
    told.cloud.is_polite = True
    for number in range(PAIRS_MAX + 5):
        charges_while_the_cloud_is_away(told, number)
    told.cloud.comes_back()
    told.charger.sends("StopTransaction", stop(first))
    assert told.cloud.last[2:] == ["StopTransaction", {**stop(first), "transactionId": 101}]


def test_a_parked_message_that_is_sent_again_still_finds_the_cloud_s_id():
    told = away(message_attempts=1)
    (first,) = stores(told, 1)
    told.cloud.comes_back()
    told.cloud.answers({"transactionId": 4711, "idTagInfo": {"status": "Accepted"}})
    told.cloud.refuses()  # its Stop
    told.cloud.goes_away()
    told.cloud.is_polite = True
    for number in range(PAIRS_MAX + 5):
        told.store.rows = {seq: row for seq, row in told.store.rows.items() if row.state == "parked"}
        parked = dict(told.store.rows)
        charges_while_the_cloud_is_away(told, number)
        told.store.rows.update(parked)
    told.cloud.comes_back()
    told.forget()
    assert told.parked_rows_are_sent_again() == 1
    assert told.cloud.last[2:] == ["StopTransaction", {**stop(first), "transactionId": 4711}]


def test_a_parked_message_finds_it_also_when_the_clock_was_put_years_forward():
    told = away(message_attempts=1)
    (first,) = stores(told, 1)
    told.cloud.comes_back()
    told.cloud.answers({"transactionId": 4711, "idTagInfo": {"status": "Accepted"}})
    told.cloud.refuses()  # its Stop
    told.charger.leaves()
    told.wall += 2 * PAIRS_KEPT_S
    told.charger.connects()
    told.cloud.comes_back()
    told.forget()
    assert told.parked_rows_are_sent_again() == 1
    assert told.cloud.last[2:] == ["StopTransaction", {**stop(first), "transactionId": 4711}]


def test_of_two_starts_in_the_same_words_the_running_one_is_still_known_when_the_old_is_forgotten():
    """A charger without a clock says the same for its next transaction."""
    told = without_cloud()
    old = told.charger.asks("StartTransaction", start())["transactionId"]
    told.charger.sends("StopTransaction", stop(old))
    told.after(PAIRS_KEPT_S - 10.0)
    running = told.charger.asks("StartTransaction", start())["transactionId"]
    told.after(20.0)
    told.charger.leaves()
    told.forget()
    told.charger.connects()
    assert SaveDocument(kind="transaction_id", charger="CP-1", key=str(old), value=None) in told.effects
    assert told.charger.asks("StartTransaction", start(), id="again")["transactionId"] == running


def test_a_stop_of_an_id_with_thousands_of_digits_is_only_a_stop():
    told = without_cloud()
    assert told.charger.asks("StopTransaction", stop("7" * 5000)) == {}
