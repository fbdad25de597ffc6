"""Firmware rollouts: stories, and a seeded site with a judge of its own into which faults are planted."""

from __future__ import annotations

from datetime import timedelta, timezone
from zoneinfo import ZoneInfo

import msgspec
import pytest
from msgspec.structs import replace

from edgegw.core import rollout as rules
from edgegw.core import rollout_links as links
from edgegw.core import rollout_member
from edgegw.core.effects import Noticed
from edgegw.core.events import Instant
from edgegw.core.files import FirmwareNews
from edgegw.core.records import SaveDocument
from edgegw.core.rollout_member import REBOOT_WITHIN_S, SETTLE_S
from edgegw.core.rollout_state import (
    ChargerFacts,
    MakeLink,
    Member,
    Rollout,
    SendUpdate,
    Stage,
    fits,
    in_window,
    is_window,
    listed,
)
from tests.core.rollout_world import MIDNIGHT, NEW, Broken, World

NOON = MIDNIGHT + 12 * 3600.0
START = 10_000.0  # of the monotonic clock
HERE = ChargerFacts(connected=True, connected_mono=START - 9000, vendor="Acme", model="Wall", firmware="1.0")
GONE = replace(HERE, connected=False)


class Site:
    """Told what the chargers do; keeps what the rollout orders."""

    def __init__(self, *identities: str, **options: object) -> None:
        self.facts = dict.fromkeys(identities, HERE)
        self.wall, self.mono = NOON, START
        self.trusted = True
        self.sent: list[SendUpdate] = []
        self.notices: list[Noticed] = []
        self.no_link_for: dict[str, str] = {}
        draft = Rollout(id="7", sha256="ab" * 32, name="fw.bin", **{"version": "2.0", **options})  # type: ignore[arg-type]
        self.rollout = rules.begin(draft, self.facts)
        self.elsewhere = 0
        self.step()

    @property
    def now(self) -> Instant:
        return Instant(self.mono, self.wall, self.trusted)

    def _take(self, outcome: rules.Outcome) -> None:
        before = self.rollout
        self.rollout, effects = outcome
        lasting = replace(self.rollout, linking=frozenset())
        if lasting != replace(before, linking=frozenset()):
            assert isinstance(effects[0], SaveDocument)
            assert msgspec.json.decode(effects[0].value or b"", type=Rollout) == lasting
        self.sent += [effect for effect in effects if isinstance(effect, SendUpdate)]
        self.notices += [effect for effect in effects if isinstance(effect, Noticed)]
        for effect in effects:
            if isinstance(effect, MakeLink):
                self._link(effect)

    def _link(self, order: MakeLink) -> None:
        why = self.no_link_for.get(order.charger)
        if why:
            self._take(links.no_link_for(self.rollout, order, why, self.now))
        else:
            facts = self.facts[order.charger]
            self._take(links.linked(self.rollout, order, "http://box/fw", facts, self.now))

    def step(self, passes_s: float = 0.0) -> None:
        self.wall += passes_s
        self.mono += passes_s
        self._take(rules.step(self.rollout, self.facts, self.now, taken_elsewhere=self.elsewhere))

    def says(self, identity: str, *statuses: str, why: str = "", ended: bool = False) -> None:
        for status in statuses:
            order = self.rollout.chargers[identity].order
            news = FirmwareNews(order=order, status=status, why=why, ended=ended)
            self._take(rules.heard(self.rollout, identity, news, self.now))
            self.step()

    def reboots(self, identity: str, firmware: str = "2.0", away_s: float = 60.0) -> None:
        self.facts[identity] = replace(self.facts[identity], connected=False)
        self.step(away_s)
        self.facts[identity] = replace(HERE, connected_mono=self.mono, firmware=firmware)
        self.step()

    def restarts(self, away_s: float = 0.0) -> None:
        """The box; every connection is a new one then."""
        self.wall += away_s
        self.mono = 50.0
        self.rollout = rules.recovered(rules.saved(self.rollout).value or b"", self.now)
        self.facts = {i: replace(f, connected_mono=self.mono) for i, f in self.facts.items()}
        self.step()

    def stages(self) -> list[str]:
        return [member.stage.value for member in self.rollout.chargers.values()]

    def orders(self) -> list[str]:
        return [send.link.charger for send in self.sent]


# --- the usual way ----------------------------------------------------------------------------------


def test_one_after_the_other_and_then_it_is_over():
    site = Site("CP-1", "CP-2")
    assert site.orders() == ["CP-1"]
    site.says("CP-1", "Sent", "Downloading", "Downloaded", "Installing", "Installed")
    assert site.orders() == ["CP-1"]  # said, not seen
    site.reboots("CP-1")
    assert site.orders() == ["CP-1", "CP-2"]
    site.says("CP-2", "Sent", "Installing")
    site.reboots("CP-2")  # before it says Installed
    assert site.stages() == ["installed", "installed"]
    assert site.rollout.settled
    assert [n.kind for n in site.notices] == ["rollout_over"]
    assert site.rollout.why == "2 installed"


def test_every_stage_is_shown():
    site = Site("CP-1")
    for status, stage in (
        ("Sent", "sent"), ("DownloadScheduled", "downloading"), ("Downloading", "downloading"),
        ("Downloaded", "downloaded"), ("SignatureVerified", "downloaded"), ("InstallRebooting", "installing"),
        ("Installed", "installed"),
    ):  # fmt: skip
        site.says("CP-1", status)
        assert site.stages() == [stage]


def test_as_many_at_once_as_allowed_and_others_count_too():
    assert Site("CP-1", "CP-2", "CP-3", at_once=2).orders() == ["CP-1", "CP-2"]
    site = Site("CP-1", "CP-2", at_once=2, paused=True)
    site.elsewhere = 1
    site._take(rules.resume(site.rollout))
    site.step()
    assert site.orders() == ["CP-1"]


def test_whoever_runs_it_already_is_skipped():
    site = Site("CP-1", "CP-2", paused=True)
    site.facts["CP-1"] = replace(HERE, firmware=" 2.0 ")
    site.facts["CP-2"] = replace(HERE, model="Column")
    site.rollout = replace(site.rollout, paused=False, model="wall*")
    site.step()
    assert site.sent == []
    assert [m.why for m in site.rollout.chargers.values()] == ["runs  2.0  already", "is Acme Column"]
    assert site.rollout.ended


# --- who waits, and why -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (GONE, "not connected"),
        (replace(HERE, busy="connector 1 is Charging"), "connector 1 is Charging"),
        (replace(HERE, accepted=False), "its cloud has not accepted it yet"),
        (replace(HERE, update="cloud-1"), "another update is under way"),
        (ChargerFacts(connected=True), "has not said which make it is"),
    ],
)
def test_whoever_is_not_free_waits(facts: ChargerFacts, words: str):
    site = Site("CP-1", vendor="Acme", paused=True)
    site.facts["CP-1"] = facts
    site._take(rules.resume(site.rollout))
    site.step()
    assert site.sent == []
    assert rules.holds(site.rollout, facts, site.now, None) == words
    site.facts["CP-1"] = HERE
    site.step(3600)
    assert site.orders() == ["CP-1"]


def test_at_any_time_takes_the_busy_too():
    site = Site("CP-1", only_idle=False, paused=True)
    site.facts["CP-1"] = replace(HERE, busy="a transaction is running")
    site._take(rules.resume(site.rollout))
    site.step()
    assert site.orders() == ["CP-1"]


def test_a_window_waits_for_its_hour_and_for_a_clock_that_is_right():
    site = Site("CP-1", window="22:00-05:00")
    assert site.sent == []
    site.trusted = False
    site.step(11 * 3600)
    assert site.sent == []
    assert rules.holds(site.rollout, HERE, site.now, None) == "the clock of the box is not set"
    site.trusted = True
    site.step()
    assert site.orders() == ["CP-1"]


def test_windows_run_on_the_clock_of_the_site():
    berlin = ZoneInfo("Europe/Berlin")
    assert in_window("22:00-05:00", berlin, MIDNIGHT + 20 * 3600)  # 22:00 in September
    assert not in_window("22:00-05:00", berlin, MIDNIGHT + 20 * 3600 - 1)
    assert not in_window("22:00-05:00", berlin, MIDNIGHT + 3 * 3600)
    assert in_window("01:30-02:00", timezone(timedelta(hours=-3)), MIDNIGHT + 4.6 * 3600)
    good = ("", "22:00-05:00", "00:00-23:59")
    bad = ("22:00", "22:00-22:00", "24:00-01:00", "2:00-5:00", "22:00-05:60", "22:00 - 05:00", "x")
    assert [is_window(text) for text in (*good, *bad)] == [True] * len(good) + [False] * len(bad)


# --- failures -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "ended", "stage"),
    [
        ("InstallationFailed", False, "failed"),
        ("InvalidSignature", False, "failed"),
        ("DownloadFailed", True, "failed"),
        ("DownloadFailed", False, "sent"),  # it may try again by itself
        ("Refused", True, "failed"),
        ("Idle", False, "sent"),
        ("Replaced", True, "skipped"),
    ],
)
def test_what_ends_it(status: str, ended: bool, stage: str):
    site = Site("CP-1", "CP-2")
    site.says("CP-1", "Sent")
    site.says("CP-1", status, ended=ended)
    assert site.stages()[0] == stage
    assert site.orders() == ["CP-1"]


def test_the_first_failure_stops_it_until_a_person_lets_it_go_on():
    site = Site("CP-1", "CP-2", "CP-3")
    site.says("CP-1", "Sent")
    site.says("CP-1", "InstallationFailed", why="flash is worn", ended=True)
    assert site.rollout.chargers["CP-1"].why == "InstallationFailed: flash is worn"
    assert (site.rollout.paused, site.rollout.why) == (True, "1 failed: CP-1")
    site.step(86_400)
    assert site.orders() == ["CP-1"]
    site._take(rules.resume(site.rollout))
    site.step()
    assert site.orders() == ["CP-1", "CP-2"]
    site.says("CP-2", "Refused", ended=True)
    assert site.rollout.paused
    assert [n.kind for n in site.notices] == ["rollout_stopped", "rollout_stopped"]


def test_two_failures_when_two_are_allowed():
    site = Site("CP-1", "CP-2", "CP-3", failures_max=2)
    site.says("CP-1", "Refused", ended=True)
    assert site.orders() == ["CP-1"]  # it may still fall over
    site.step(SETTLE_S)
    assert site.orders() == ["CP-1", "CP-2"]
    site.says("CP-2", "Refused", ended=True)
    site.step(SETTLE_S)
    assert site.rollout.why == "2 failed: CP-1, CP-2"


def test_one_that_says_nothing_for_two_hours_has_failed_and_is_down_until_it_is_back():
    site = Site("CP-1", "CP-2", failures_max=5)
    site.says("CP-1", "Sent", "Installing")
    site.facts["CP-1"] = GONE
    site.step(7199)
    assert site.stages()[0] == "installing"
    site.step(1)
    assert site.rollout.chargers["CP-1"].why == "said nothing for 2 h since it was installing"
    site.step(86_400)
    assert site.orders() == ["CP-1"]
    site.reboots("CP-1", firmware="1.0")
    site.step(SETTLE_S)
    assert site.orders() == ["CP-1", "CP-2"]
    assert site.stages() == ["failed", "sent"]


def test_a_silent_one_that_never_left_is_down_too_and_a_late_word_is_believed():
    site = Site("CP-1", "CP-2", failures_max=5)
    site.says("CP-1", "Sent")
    site.step(7200)
    site.step(7200)
    assert (site.stages(), site.rollout.down) == (["failed", "waiting"], 1)
    site.says("CP-1", "Installing", "Installed")
    site.reboots("CP-1")
    assert site.stages() == ["installed", "sent"]


def test_one_that_never_comes_back_is_written_off_by_stopping_twice():
    site = Site("CP-1", "CP-2")
    site.says("CP-1", "Sent", "Installing")
    site.facts["CP-1"] = GONE
    site.step(7200)
    site._take(rules.stop(site.rollout, site.now))
    assert (site.stages(), site.rollout.down) == (["failed", "skipped"], 1)
    assert not site.rollout.settled
    site._take(rules.stop(site.rollout, site.now))
    assert site.rollout.settled


# --- back, or not yet -----------------------------------------------------------------------------------


def test_installed_without_a_reboot_is_believed_after_a_while():
    site = Site("CP-1", "CP-2")
    site.says("CP-1", "Sent", "Installed")
    site.step(REBOOT_WITHIN_S - 1)
    assert site.orders() == ["CP-1"]
    site.step(1)
    assert site.orders() == ["CP-1", "CP-2"]


def test_one_that_comes_back_with_another_version_has_failed():
    site = Site("CP-1", "CP-2", failures_max=3)
    site.says("CP-1", "Sent", "Installing", "Installed")
    site.reboots("CP-1", firmware="1.9")
    assert site.stages()[0] == "installed"
    site.step(SETTLE_S)
    assert site.rollout.chargers["CP-1"].why == "runs 1.9 after the update, not 2.0"
    site.step()
    assert site.orders() == ["CP-1", "CP-2"]


def test_one_that_said_installed_and_stays_away_has_failed():
    site = Site("CP-1", "CP-2")
    site.says("CP-1", "Sent", "Installing", "Installed")
    site.facts["CP-1"] = GONE
    site.step(7200)
    assert site.rollout.chargers["CP-1"].why == 'said "Installed" and did not come back'
    assert site.rollout.down == 1


def test_without_a_version_connected_again_is_enough():
    site = Site("CP-1", "CP-2", version="")
    site.says("CP-1", "Sent", "Installing", "Installed")
    site.reboots("CP-1", firmware="whatever")
    site.step(SETTLE_S)
    assert site.orders() == ["CP-1", "CP-2"]


# --- clocks -----------------------------------------------------------------------------------------------


def set_to(site: Site, wall: float) -> None:
    """As NTP does."""
    site.wall, site.trusted = wall, True
    site.step()


@pytest.mark.parametrize("wall", [NOON, NOON + 20 * 365 * 86_400, NOON - 86_400])
def test_a_clock_that_is_set_ends_no_wait_and_begins_none_anew(wall: float):
    site = Site("CP-1", "CP-2", paused=True)
    site.trusted, site.wall = wall != NOON, 1000.0 if wall == NOON else NOON
    site._take(rules.resume(site.rollout))
    site.step()
    site.says("CP-1", "Sent", "Installing", "Installed")
    site.step(REBOOT_WITHIN_S - 2)
    set_to(site, wall)
    assert (site.orders(), site.rollout.down) == (["CP-1"], 1)
    site.step(2)
    assert site.orders() == ["CP-1", "CP-2"]
    site.step(7199)
    set_to(site, wall)
    assert site.stages() == ["installed", "sent"]
    site.step(1)
    assert site.stages() == ["installed", "failed"]


def test_hours_pass_also_while_the_clock_is_not_set():
    site = Site("CP-1", paused=True)
    site.trusted, site.wall = False, 1000.0
    site._take(rules.resume(site.rollout))
    site.step()
    site.says("CP-1", "Sent")
    site.step(7199)
    assert site.stages() == ["sent"]
    site.step(1)
    assert site.stages() == ["failed"]


def test_one_that_failed_silently_is_back_whatever_the_clock_said_meanwhile():
    site = Site("CP-1", "CP-2", failures_max=5)
    site.wall += 14 * 365 * 86_400
    site.says("CP-1", "Sent")
    site.facts["CP-1"] = GONE
    site.step(7200)
    set_to(site, NOON)
    site.reboots("CP-1", firmware="1.0")
    site.step(SETTLE_S)
    assert (site.stages(), site.rollout.down) == (["failed", "sent"], 1)


def test_over_a_restart_silence_counts_on_when_the_clock_was_right_both_times():
    site = Site("CP-1")
    site.says("CP-1", "Sent")
    site.step(3000)
    site.restarts(away_s=3000)
    assert site.stages() == ["sent"]
    site.step(1199)
    assert site.stages() == ["sent"]
    site.step(1)
    assert site.stages() == ["failed"]


@pytest.mark.parametrize(
    ("before", "wall"),
    [(False, NOON + 3 * 3600), (True, NOON - 3600), (True, 0.0)],
    ids=["was not set", "set back", "is not set"],
)
def test_over_a_restart_with_a_clock_that_is_not_right_the_wait_begins_anew(before: bool, wall: float):
    site = Site("CP-1")
    site.trusted = before
    site.says("CP-1", "Sent")
    site.step(7000)
    site.wall, site.trusted = wall, wall != 0.0
    site.restarts()
    set_to(site, NOON + 4 * 3600)
    site.step(7199)
    assert site.stages() == ["sent"]
    site.step(1)
    assert site.stages() == ["failed"]


# --- people, restarts, links ------------------------------------------------------------------------------


def test_pause_lets_those_finish_that_have_it():
    site = Site("CP-1", "CP-2")
    site._take(rules.pause(site.rollout))
    site.says("CP-1", "Sent", "Installing", "Installed")
    site.reboots("CP-1")
    assert (site.orders(), site.stages()) == (["CP-1"], ["installed", "waiting"])
    site._take(rules.resume(site.rollout))
    site.step()
    assert site.orders() == ["CP-1", "CP-2"]


def test_stop_is_for_good_and_what_runs_is_still_followed():
    site = Site("CP-1", "CP-2")
    site._take(rules.stop(site.rollout, site.now))
    assert (site.stages(), site.rollout.ended) == (["sent", "skipped"], True)
    assert rules.resume(site.rollout) == (site.rollout, [])
    assert rules.pause(site.rollout) == (site.rollout, [])
    site.says("CP-1", "Sent", "Installing", "Installed")
    site.reboots("CP-1")
    assert site.stages() == ["installed", "skipped"]
    assert site.rollout.settled


def test_after_a_restart_an_order_nobody_heard_of_is_sent_once_more():
    site = Site("CP-1", "CP-2")
    site.restarts()
    assert [(s.link.charger, s.link.order, s.link.again) for s in site.sent] == [
        ("CP-1", "rollout-7-0", False),
        ("CP-1", "rollout-7-0", True),
    ]
    site.step(10)
    assert len(site.sent) == 2
    site.says("CP-1", "Sent")
    site.restarts()
    assert len(site.sent) == 2
    assert site.rollout.down == 1


def test_after_a_restart_a_charger_that_is_busy_or_has_the_order_is_left_alone_and_counts_as_down():
    site = Site("CP-1", "CP-2")
    site.facts["CP-1"] = replace(HERE, busy="a transaction is running")
    site.restarts()
    assert (site.orders(), site.rollout.down) == (["CP-1"], 1)
    site.facts["CP-1"] = replace(HERE, update="rollout-7-0")
    site.step()
    assert site.rollout.chargers["CP-1"].acknowledged
    site.facts["CP-1"] = HERE
    site.step()
    assert site.orders() == ["CP-1"]


def test_an_order_that_was_not_sent_waits_again():
    site = Site("CP-1", "CP-2")
    site._take(links.withdrawn(site.rollout, site.sent[0].link))
    assert site.rollout.chargers["CP-1"] == Member()
    site.step()
    site.restarts()
    again = site.sent[-1].link
    assert again.again
    site.rollout = links.withdrawn(site.rollout, again)[0]
    assert site.rollout.chargers["CP-1"].unsure  # it may have been sent the first time
    assert site.rollout.down == 1
    site.says("CP-1", "Sent")
    assert links.withdrawn(site.rollout, again) == (site.rollout, [])


def test_a_file_that_cannot_be_served_stops_it_and_is_no_failure():
    site = Site("CP-1", "CP-2", paused=True)
    site._take(rules.resume(site.rollout))
    site.rollout, (order,) = rules.step(site.rollout, site.facts, site.now)
    assert isinstance(order, MakeLink)
    site._take(links.cannot_be_served(site.rollout, order, "the file was tampered with"))
    assert (site.rollout.paused, site.rollout.why) == (True, "the file was tampered with")
    assert (site.stages(), site.rollout.failures) == (["waiting", "waiting"], 0)
    assert [n.kind for n in site.notices] == ["rollout_stopped"]


def test_a_charger_for_which_there_is_no_link_is_skipped_and_is_no_failure():
    site = Site("CP-1", "CP-2", paused=True)
    site.no_link_for["CP-1"] = "it knows none of http, https"
    site._take(rules.resume(site.rollout))
    site.step()
    assert site.rollout.chargers["CP-1"] == Member(stage=Stage.SKIPPED, why="it knows none of http, https")
    assert (site.rollout.paused, site.rollout.failures) == (False, 0)
    site.step()
    assert site.orders() == ["CP-2"]
    site.says("CP-2", "Sent", "Installing")
    site.reboots("CP-2")
    assert site.rollout.why == "1 installed, 1 skipped"


def test_one_that_may_have_been_told_is_down_although_there_is_no_link_any_more():
    site = Site("CP-1", "CP-2")
    site.no_link_for["CP-1"] = "it knows none of http, https"
    site.restarts()
    assert (site.stages(), site.rollout.down) == (["skipped", "waiting"], 1)
    site.step(SETTLE_S)
    assert site.orders() == ["CP-1", "CP-2"]


def test_while_its_link_is_made_a_charger_takes_a_place_and_is_not_down():
    site = Site("CP-1", "CP-2", paused=True)
    site._take(rules.resume(site.rollout))
    linking, (order,) = rules.step(site.rollout, site.facts, site.now)
    assert isinstance(order, MakeLink)  # and nothing to keep
    assert (order.charger, linking.down, linking.places_taken) == ("CP-1", 0, 1)
    assert rules.step(linking, site.facts, site.now) == (linking, [])
    assert rules.recovered(rules.saved(linking).value or b"", site.now) == site.rollout
    ended, _ = rules.stop(linking, site.now)
    assert not ended.settled
    busy = replace(HERE, busy="a transaction is running")
    for rollout, facts in ((ended, HERE), (linking, busy), (rules.pause(linking)[0], HERE)):
        after, effects = links.linked(rollout, order, "http://box/fw", facts, site.now)
        assert (after, effects) == (replace(rollout, linking=frozenset()), [])
    assert links.no_link_for(ended, order, "none", site.now)[0].chargers == ended.chargers


def test_news_of_other_orders_is_nothing():
    site = Site("CP-1", "CP-2")
    for identity, order in (("CP-1", "cloud-5"), ("CP-2", "rollout-7-0"), ("CP-2", ""), ("CP-9", "x")):
        news = FirmwareNews(order=order, status="Installed")
        assert rules.heard(site.rollout, identity, news, site.now) == (site.rollout, [])


def test_small_words():
    assert listed(["c", "b", "a", "d", "e"]) == "a, b, c and 2 more"
    assert fits(Rollout(id="1", sha256="", name="", vendor="ac*"), HERE)
    assert not fits(Rollout(id="1", sha256="", name="", vendor="Beta"), HERE)


# --- the seeded site ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(40))
def test_no_promise_is_broken_whatever_the_chargers_and_the_box_do(seed: int):
    World(seed).run(hours=10)


@pytest.mark.parametrize("seed", range(10))
def test_a_healthy_site_gets_there(seed: int):
    rollout = World(seed, healthy=True).run(hours=60)
    assert rollout.ended, rollout
    stages = {identity: member.stage for identity, member in rollout.chargers.items()}
    assert stages.pop("CP-new") is stages.pop("CP-other") is Stage.SKIPPED
    assert set(stages.values()) == {Stage.INSTALLED}
    assert rollout.down == 0


def _one_more(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = rules._choose

    def choose(rollout, chargers, now, zone, elsewhere):  # type: ignore[no-untyped-def]
        return honest(rollout, chargers, now, zone, elsewhere - 1)

    monkeypatch.setattr(rules, "_choose", choose)


def _said_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A charger that said Installed is no longer down."""
    honest = rules.ended
    monkeypatch.setattr(
        rules, "ended", lambda m, stage, why, now: replace(honest(m, stage, why, now), down=False)
    )


def _given_up_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = rollout_member._given_up
    monkeypatch.setattr(
        rollout_member,
        "_given_up",
        lambda r, m, now: (
            replace(found, down=found.stage is not Stage.FAILED) if (found := honest(r, m, now)) else m
        ),
    )


def _forgets_who_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = rules.recovered

    def recovered(value: bytes, now: Instant) -> Rollout:
        rollout = honest(value, now)
        chargers = {i: Member() if m.unsure else m for i, m in rollout.chargers.items()}
        return replace(rollout, chargers=chargers)

    monkeypatch.setattr(rules, "recovered", recovered)


def _sends_first(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = rules.keep
    monkeypatch.setattr(rules, "keep", lambda before, after, effects: honest(before, after, effects)[::-1])


def _by_the_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    def steady_s(member: Member, facts: ChargerFacts, now: Instant) -> float:
        assert member.done is not None
        return now.wall - member.done.wall

    monkeypatch.setattr(rollout_member, "_steady_s", steady_s)


def _no_place_while_linking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rollout, "places_taken", property(lambda self: self.down))


def _ignores(**facts: object):  # type: ignore[no-untyped-def]
    """As if these were always so."""

    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        honest = rules.holds
        monkeypatch.setattr(rules, "holds", lambda r, f, now, zone: honest(r, replace(f, **facts), now, zone))

    return plant


def _any_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "in_window", lambda window, zone, wall: True)


def _other_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout_member, "fits", lambda rollout, facts: True)


def _new_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout_member, "runs", lambda version, facts: False)


def _failures_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rollout, "failures", property(lambda self: 0))


@pytest.mark.parametrize(
    ("plant", "words"),
    [
        (_one_more, "down, "),
        (_said_is_seen, "down, "),
        (_given_up_is_back, "down, "),
        (_forgets_who_is_down, "without a restart|down, "),
        (_sends_first, "without a restart|down, "),
        (_by_the_wall_clock, "down, "),
        (_no_place_while_linking, "down, "),
        (_any_hour, "outside the window"),
        (_ignores(busy=""), "a busy charger"),
        (_ignores(connected=True), "not for"),
        (_other_makes, "not for"),
        (_new_ones_too, "not for"),
        (_failures_do_not_count, "had failed"),
    ],
)
def test_planted_faults_are_found(monkeypatch: pytest.MonkeyPatch, plant, words: str):  # type: ignore[no-untyped-def]
    plant(monkeypatch)
    with pytest.raises(Broken, match=words):
        _many_nights()


def _many_nights() -> None:
    for seed in range(100, 160):
        World(seed).run(hours=10)


def test_the_seeds_are_worth_something():
    """Every kind of end comes about."""
    seen: set[Stage] = set()
    for seed in range(12):
        seen |= {member.stage for member in World(seed).run(hours=10).chargers.values()}
    assert {Stage.INSTALLED, Stage.FAILED, Stage.SKIPPED} <= seen
    assert World(0).rollout.version == NEW
