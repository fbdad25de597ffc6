"""Rollouts as they run: what is on disk before an update goes out, what happens between order and link."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from edgegw.core import rollout as rules
from edgegw.core.records import Document, SaveDocument, StoreOp
from edgegw.core.rollout_state import Member, Rollout, Stage
from edgegw.errors import StoreFault, StoreFull
from edgegw.runtime import rollouts as module
from edgegw.runtime.rollouts import ENDED_KEPT_MAX, OPEN_MAX, NotForThisCharger, Rollouts
from tests.control.file_house import FilesHouse
from tests.control.house import Wire
from tests.links.house import eventually

DEADLINE_S = 30.0
DRAFT = Rollout(id="", sha256="ab" * 32, name="fw.bin", vendor="Acme", model="*", version="2.0")

Done = Callable[[BaseException | None], None]


@pytest.fixture
async def house(tmp_path) -> AsyncIterator[FilesHouse]:
    house = FilesHouse(tmp_path)
    await house.start()
    yield house
    await house.stop()


class Links:
    """Makes a link when the test lets it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.none_for = ""
        self.go = asyncio.Event()

    def signed(self, sha256: str) -> tuple[str, str]:
        return "", ""

    async def link(self, identity: str, sha256: str, order: str) -> str:
        self.asked.append(order)
        await asyncio.wait_for(self.go.wait(), DEADLINE_S)
        if identity == self.none_for:
            raise NotForThisCharger("it knows none of http, https")
        return "http://192.0.2.1/fw/token/fw.bin"


class Desk:
    """A store that answers when the test lets it."""

    def __init__(self) -> None:
        self.waiting: list[tuple[list[StoreOp], Done]] = []

    def commit(self, ops: list[StoreOp], done: Done) -> None:
        self.waiting.append((ops, done))

    def answers(self, error: BaseException | None = None) -> None:
        waiting, self.waiting = self.waiting, []
        for _, done in waiting:
            done(error)


async def running(house: FilesHouse, links: Links, desk: Desk) -> Rollouts:
    """Beside the house's own, so that the test decides when it steps."""
    rollouts = Rollouts(house.gateway.sessions, links, desk.commit, house.gateway.note)
    house.gateway.file_listeners.append(rollouts.on_news)
    return rollouts


async def says_nothing_before(charger: Wire) -> None:
    charger.calls("Heartbeat", {})
    assert (await charger.hears())[0] == 3  # and no UpdateFirmware before it


async def is_sent(rollouts: Rollouts, identity: str = "CP-1") -> None:
    """Written down, or about to be."""
    await eventually(lambda: rollouts.known["1"].chargers[identity].stage is Stage.SENT)


async def test_nothing_goes_out_before_there_is_a_link_and_it_is_on_disk(house: FilesHouse):
    charger = await house.idles("CP-1")
    links, desk = Links(), Desk()
    rollouts = await running(house, links, desk)
    begun = rollouts.begin(DRAFT)
    assert begun.chargers["CP-1"] == Member()
    desk.answers()
    await eventually(lambda: links.asked == ["rollout-1-0"])
    assert (rollouts.known["1"].chargers["CP-1"], desk.waiting) == (Member(), [])
    links.go.set()
    await is_sent(rollouts)
    house.cloud.goes_down()  # the box answers itself
    await says_nothing_before(charger)
    desk.answers()
    await house.gets_update(charger)
    await rollouts.stop()


async def test_an_order_is_on_the_disk_when_the_store_says_so_and_can_be_given_again(house: FilesHouse):
    await house.idles("CP-1")
    links, desk = Links(), Desk()
    rollouts = await running(house, links, desk)
    rollouts.begin(DRAFT)
    waits = asyncio.ensure_future(rollouts.on_disk())
    await asyncio.sleep(0)
    assert not waits.done()
    desk.answers()
    await waits
    rollouts.pause("1")
    desk.answers(StoreFull("nothing was written: database or disk is full"))
    with pytest.raises(StoreFault, match="disk is full"):
        await rollouts.on_disk()
    rollouts.pause("1")  # it is paused already, and the store does not have it
    desk.answers()
    await rollouts.on_disk()
    await rollouts.stop()


async def test_a_charger_without_a_link_is_skipped_and_the_next_one_gets_its_place(house: FilesHouse):
    first, second = await house.idles("CP-1"), await house.idles("CP-2")
    links, desk = Links(), Desk()
    links.none_for = "CP-1"
    links.go.set()
    rollouts = await running(house, links, desk)
    rollouts.begin(DRAFT)
    await is_sent(rollouts, "CP-2")
    skipped = rollouts.known["1"].chargers["CP-1"]
    assert skipped == Member(stage=Stage.SKIPPED, why="it knows none of http, https")
    assert (rollouts.known["1"].failures, rollouts.known["1"].paused) == (0, False)
    desk.answers()
    await house.gets_update(second)
    assert first.open
    await rollouts.stop()


async def test_what_could_not_be_kept_is_not_sent_and_counts_as_down_until_it_is(house: FilesHouse):
    charger = await house.idles("CP-1")
    links, desk = Links(), Desk()
    links.go.set()
    rollouts = await running(house, links, desk)
    rollouts.begin(DRAFT)
    await is_sent(rollouts)
    desk.answers(StoreFull("no space left"))
    member = rollouts.known["1"].chargers["CP-1"]
    assert (member.down, member.unsure) == (True, True)
    rollouts.step()
    await eventually(lambda: not rollouts.known["1"].chargers["CP-1"].unsure)
    desk.answers()
    await house.gets_update(charger)
    assert rollouts.known["1"].count(Stage.SENT) == 1
    await rollouts.stop()


async def test_a_charger_that_becomes_busy_while_its_link_is_made_is_left_alone(house: FilesHouse):
    charger = await house.idles("CP-1")
    links, desk = Links(), Desk()
    rollouts = await running(house, links, desk)
    rollouts.begin(DRAFT)
    desk.answers()
    await eventually(lambda: bool(links.asked))
    house.cloud.goes_down()
    await house.starts(charger)
    links.go.set()
    await eventually(lambda: not rollouts.known["1"].linking)
    assert rollouts.known["1"].chargers["CP-1"] == Member()
    assert rollouts.holds(rollouts.known["1"], "CP-1") == "a transaction is running"
    await says_nothing_before(charger)
    await rollouts.stop()


async def test_a_charger_that_becomes_busy_while_it_is_written_down_is_left_alone(house: FilesHouse):
    charger = await house.idles("CP-1")
    links, desk = Links(), Desk()
    links.go.set()
    rollouts = await running(house, links, desk)
    rollouts.begin(DRAFT)
    await is_sent(rollouts)
    house.cloud.goes_down()
    await house.starts(charger)
    desk.answers()
    await eventually(lambda: rollouts.known["1"].chargers["CP-1"] == Member())
    assert rollouts.known["1"].down == 0
    await says_nothing_before(charger)
    await rollouts.stop()


async def test_a_rollout_that_is_paused_while_a_link_is_made_sends_nothing(house: FilesHouse):
    await house.idles("CP-1")
    links, desk = Links(), Desk()
    rollouts = await running(house, links, desk)
    rollouts.begin(DRAFT)
    desk.answers()
    await eventually(lambda: bool(links.asked))
    rollouts.pause("1")
    links.go.set()
    await eventually(lambda: not rollouts.known["1"].linking)
    assert rollouts.known["1"].count(Stage.WAITING) == 1
    await rollouts.stop()


async def test_a_bug_in_one_rollout_stops_no_other(house: FilesHouse, monkeypatch, caplog):
    await house.idles("CP-1")
    await house.idles("CP-2")
    links, desk = Links(), Desk()
    rollouts = await running(house, links, desk)
    rollouts.begin(DRAFT, ("CP-1",))
    honest = rules.step

    def step(rollout: Rollout, *about, **more):  # type: ignore[no-untyped-def]
        if rollout.id == "1":
            raise RuntimeError("a bug")
        return honest(rollout, *about, **more)

    monkeypatch.setattr(module.rules, "step", step)
    rollouts.begin(rules.replace(DRAFT, at_once=2), ("CP-2",))
    assert rollouts.failures == 1
    assert "bug in rollout 1" in caplog.text
    assert rollouts.known["2"].linking == {"CP-2"}
    await rollouts.stop()


async def test_two_rollouts_share_what_may_be_down(house: FilesHouse):
    await house.idles("CP-1")
    await house.idles("CP-2")
    rollouts = await running(house, Links(), Desk())
    rollouts.begin(DRAFT, ("CP-1",))
    second = rollouts.begin(DRAFT, ("CP-2",))
    assert (second.id, second.linking) == ("2", frozenset())
    await rollouts.stop()


async def test_old_rollouts_are_forgotten_and_not_too_many_run(house: FilesHouse):
    await house.boots("CP-1")
    desk = Desk()
    rollouts = await running(house, Links(), desk)
    for _ in range(ENDED_KEPT_MAX + 3):
        rollouts.begin(DRAFT)
        rollouts.end(max(rollouts.known, key=int))
    assert list(rollouts.known) == [str(n) for n in range(4, ENDED_KEPT_MAX + 4)]
    ops = [op for ops, _ in desk.waiting for op in ops]
    assert [op.key for op in ops if isinstance(op, SaveDocument) and op.value is None] == ["1", "2", "3"]
    for _ in range(OPEN_MAX):
        rollouts.begin(DRAFT)
    with pytest.raises(ValueError, match="under way already"):
        rollouts.begin(DRAFT)
    await rollouts.stop()


async def test_what_is_recovered_is_only_its_own_and_in_order(house: FilesHouse):
    rollouts = await running(house, Links(), Desk())
    kept = [rules.saved(rules.replace(DRAFT, id=number)) for number in ("10", "9")]
    documents = [Document(doc.kind, "", doc.key, doc.value or b"") for doc in kept]
    rollouts.recover([*documents, Document("limits", "", "", b"[]")])
    assert list(rollouts.known) == ["9", "10"]
    await rollouts.stop()
