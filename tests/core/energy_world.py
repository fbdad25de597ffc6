"""A charger whose true energy is known, with habits and bad luck of real ones, and what must come of it.

The rules below are not the odometer's: the world knows which register belongs to which session and what was
delivered when, so it can say to the watt-hour what can be known. Every choice comes from the seed.
"""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

from tests.core.story import NOON, V16, V201, Story, event, online, start, stop, time_at

CAR_W = 22_000
UNSAVED_WH = CAR_W * 60 // 3600 + 2  # written once a minute


class Said:
    """One message on its way. `wh` None: it says something wrong."""

    def __init__(
        self, action: str, payload: dict[str, Any], session: int, wh: int | None, true_wh: float
    ) -> None:
        self.action, self.payload = action, payload
        self.session, self.wh, self.true_wh = session, wh, true_wh
        self.id = ""


class Ledger:
    """What can be known of the charger's energy from what was delivered, in the order of delivery."""

    def __init__(self, *, resets: bool) -> None:
        self.resets = resets
        self.highest: dict[int, int] = {}  # by session: the register told last, in time
        self.first: tuple[int, int] | None = None
        self.newest = -1
        self.begun: set[int] = set()  # sessions whose own first register was told

    def delivered(self, said: Said, *, begins: bool) -> None:
        if said.wh is None or said.session < self.newest:
            return  # of a session before: too late where registers begin anew, known anyhow where they do not
        self.newest = said.session
        if begins:
            self.begun.add(said.session)
        if self.first is None:
            self.first = said.session, said.wh
        self.highest[said.session] = max(said.wh, self.highest.get(said.session, 0))

    def known_wh(self) -> int:
        if self.first is None:
            return 0
        if not self.resets:
            return max(self.highest.values()) - self.first[1]
        return sum(self.highest.values()) - self.first[1]

    def ambiguous_wh(self) -> int:
        """A register that began anew unseen and stands above the old one again looks like the old one."""
        sessions = sorted(self.highest)
        return (
            sum(self.highest[a] for a, b in pairwise(sessions) if b not in self.begun) if self.resets else 0
        )


class World:
    def __init__(self, seed: int, *, looks_every: int = 1) -> None:
        """`looks_every`: who counts after every message lets nothing be put off."""
        self.looks_every = looks_every
        self.judged = 0
        self.rng = rng = random.Random(seed)
        self.version = rng.choice((V16, V201))
        self.told: Story = online(self.version)
        self.told.cloud.is_polite = True
        self.resets = rng.random() < 0.5
        self.shape = rng.choice(("Wh", "kWh", "phases"))
        self.loses, self.repeats, self.delays, self.lies = (rng.choice((0.0, 0.15)) for _ in range(4))
        self.restarts = rng.choice((0.0, 0.05))
        self.says_begin = self.version is V16 or rng.random() < 0.7
        self.true_wh = 0.0
        self.register_wh = 0.0 if self.resets else rng.choice((0.0, 3000.0, 5e6, 2.0**32 - 9000))
        self.rolled_wh = 0  # what the register is short of since it rolled over
        self.first_true_wh: float | None = None
        self.ledger = Ledger(resets=self.resets)
        self.lost_unsaved = 0
        self.session = -1
        self.seq = 0
        self.numbers = 0
        self.held: list[tuple[int, Said]] = []  # (to be delivered after so many more, message)
        self.shown = 0
        self.since_lie = 0
        self.transaction: Any = ""

    # --- the charger --------------------------------------------------------------------------------

    def run(self) -> None:
        for _ in range(self.rng.randint(3, 8)):
            self.charge()
            self.pause(self.rng.choice((30, 600, 7200, 200_000)))
        for _, said in self.held:
            if said.action != "StartTransaction":
                self.deliver(said)
        self.held = []
        self.loses = self.repeats = self.delays = self.lies = self.restarts = 0.0
        for _ in range(2):
            self.charge()  # what was in doubt is settled by them
        self.judge_end()

    def pause(self, seconds: float) -> None:
        self.told.after(seconds)

    def draws(self, seconds: float) -> None:
        self.pause(seconds)
        wh = self.rng.choice((0, 0.3, 1.0)) * CAR_W * seconds / 3600
        self.true_wh += wh
        self.register_wh += wh
        if self.register_wh >= 2**32:
            self.register_wh -= 2**32
            self.rolled_wh += 2**32

    def charge(self) -> None:
        self.session += 1
        if self.resets:
            self.register_wh = 0.0
        self.say("begin")
        for _ in range(self.rng.randint(1, 12)):
            self.draws(self.rng.choice((15, 60, 300, 900)))
            self.say("sample")
            if self.rng.random() < self.restarts:
                self.gateway_restarts()
        self.draws(30)
        self.say("end")

    def say(self, kind: str) -> None:
        self.numbers += 1
        self.since_lie += 1
        lies = kind == "sample" and self.since_lie > 3 and self.rng.random() < self.lies and self.ledger.first
        wh = round(self.register_wh)
        payload = self._payload(kind, self._lie() if lies else wh)
        action = self._action(kind)
        said = Said(action, payload, self.session, None if lies else wh + self.rolled_wh, self.true_wh)
        said.id = f"m-{self.numbers}"
        if kind == "begin" and not self.says_begin:
            said.wh = None
        if lies:
            self.since_lie = 0
        self._send(said, kind)

    def _lie(self) -> object:
        return self.rng.choice(("NaN", -5, 0, round(self.register_wh) + 30_000_000, "", 2**70))

    def _action(self, kind: str) -> str:
        if self.version is not V16:
            return "TransactionEvent"
        return {"begin": "StartTransaction", "sample": "MeterValues", "end": "StopTransaction"}[kind]

    def _payload(self, kind: str, wh: Any) -> dict[str, Any]:
        now = self.told.wall - NOON
        values = [{"timestamp": time_at(now), "sampledValue": self._samples(wh)}]
        if self.version is not V16:
            name = {"begin": "Started", "sample": "Updated", "end": "Ended"}[kind]
            self.seq = 0 if kind == "begin" else self.seq + 1
            more: dict[str, Any] = {"evse": {"id": 1, "connectorId": 1}} if kind == "begin" else {}
            if kind != "begin" or self.says_begin:
                more["meterValue"] = values
            if self.rng.random() < 0.5 or self.loses or self.delays:
                more["evse"] = {"id": 1}
            return {**event(name, f"tx-{self.session}", self.seq, **more), "timestamp": time_at(now)}
        if kind == "begin":
            return start(wh=wh, at=now)
        if kind == "sample":
            return {"connectorId": 1, "transactionId": self.transaction, "meterValue": values}
        return stop(self.transaction, wh=wh, at=now, transactionData=values)

    def _samples(self, wh: Any) -> list[dict[str, Any]]:
        other = {"value": "16", "measurand": "Current.Import", "unit": "A"}
        if not isinstance(wh, int) or not 0 <= wh < 2**40:
            return [other, {"value": str(wh)}]
        if self.shape == "kWh":
            return [other, {"value": f"{wh / 1000:.3f}", "unit": "kWh"}]
        if self.shape == "phases":
            parts = (wh // 3, wh // 3, wh - 2 * (wh // 3))
            return [{"value": str(p), "phase": f"L{n}"} for n, p in enumerate(parts, 1)] + [other]
        return [other, {"value": str(wh)}]

    # --- the way --------------------------------------------------------------------------------------

    def _send(self, said: Said, kind: str) -> None:
        must = said.action == "StartTransaction"  # it is repeated until it is answered
        if not must and self.rng.random() < self.loses:
            return
        if not must and self.rng.random() < self.delays:
            self.held.append((self.rng.randint(1, 6), said))
            return
        self.deliver(said, begins=kind == "begin")
        if self.rng.random() < self.repeats:
            self.deliver(said)
        if self.rng.random() < self.repeats:
            said.id = f"again-{said.id}"
            self.held.append((self.rng.randint(0, 9), said))
        self._deliver_late()

    def _deliver_late(self) -> None:
        due = [said for left, said in self.held if left <= 0]
        self.held = [(left - 1, said) for left, said in self.held if left > 0]
        for said in due:
            if said.action != "StartTransaction":  # that one is repeated at once, not later
                self.deliver(said)

    def deliver(self, said: Said, *, begins: bool = False) -> None:
        if said.wh is not None and self.first_true_wh is None:
            self.first_true_wh = said.true_wh
        self.ledger.delivered(said, begins=begins)
        self.told.charger.sends(said.action, said.payload, id=said.id)
        if said.action == "StartTransaction" and not said.id.startswith("again"):
            self.transaction = self.told.charger.frames[-1][2]["transactionId"]
        self.judge()

    def gateway_restarts(self) -> None:
        self.lost_unsaved += UNSAVED_WH
        self.told.restart()
        self.judge()
        self.told.cloud.comes_back()
        self.told.charger.connects()

    # --- the judges -------------------------------------------------------------------------------------

    def judge(self) -> None:
        book = self.told.core.state.energy
        shown = book.total_wh(1)
        assert shown >= self.shown, f"it fell from {self.shown} to {shown}"
        self.shown = shown
        self.judged += 1
        if self.judged % self.looks_every:
            return
        flowed = self.true_wh - (self.first_true_wh or 0.0)
        rounding = self.session + 2
        assert self.counted() <= flowed + rounding, f"{self.counted()} Wh of {flowed:.1f} that flowed"

    def counted(self) -> int:
        line = self.told.core.state.energy._lines.get(1)
        return line.meter.total_wh if line is not None else 0

    def judge_end(self) -> None:
        known = self.ledger.known_wh()
        doubt = self.ledger.ambiguous_wh() + (self.lost_unsaved if self.resets else 0)
        rounding = self.session + 2  # more than that is never counted: `judge`
        assert self.counted() >= known - doubt - rounding, f"{self.counted()} of {known} Wh that were told"


def broken_seeds(seeds: range, *, looks_every: int = 1) -> list[int]:
    """Those whose world found something wrong."""
    broken = []
    for seed in seeds:
        try:
            World(seed, looks_every=looks_every).run()
        except AssertionError:
            broken.append(seed)
    return broken
