"""The steps until a car charges: the charger is let in, wired, under control, and somebody plugs in."""

from __future__ import annotations

from edgegw.commissioning.rotation import phases_of
from edgegw.commissioning.settling import Settling
from edgegw.commissioning.stage import Stage, amps, highest, outcome
from edgegw.commissioning.words import (
    YES_NO,
    Accept,
    Choice,
    CircuitFacts,
    Observation,
    Order,
    Question,
    Wire,
    Wired,
)

CHARGES_A = 5.0


class Accepting(Stage):
    key = "accept"

    def look(self, seen: Observation, now: float) -> list[Order]:
        told = outcome(seen, Accept)
        if told is not None and not told.ok:
            return self.end("failed", told.text)
        if seen.connected or (seen.known and not seen.stranger):
            return self.end("passed", "it was accepted here" if told else "it is let in")
        if seen.stranger:
            return self._asked(seen)
        self.saying = (
            f"waiting for {self.plan.charger} to knock: set its server address to this box and its identity "
            f"to {self.plan.charger}"
        )
        if self.waited(now) > self.plan.knock_s:
            text = (
                "it never knocked: check its network, the server address and the identity in it; failed "
                "attempts are listed among the handshake failures"
            )
            return self.end("failed", text)
        return []

    def _asked(self, seen: Observation) -> list[Order]:
        self.value("knocks from", seen.stranger)
        self.saying = "it knocks and is not known here"
        text = f"{self.plan.charger} knocks from {seen.stranger}. Is it the charger you stand at? Let it in?"
        answer = self.ask(Question(text, YES_NO))
        if answer == "no":
            return self.end("failed", "it was not let in")
        return [Accept()] if answer == "yes" else []


class Wiring(Stage):
    key = "wire"
    needs = ("accept",)

    def __init__(self, *given: object) -> None:
        super().__init__(*given)  # type: ignore[arg-type]
        self._circuit = self.plan.circuit
        self._asked = False

    def look(self, seen: Observation, now: float) -> list[Order]:
        told = outcome(seen, Wire)
        if told is not None and not told.ok:
            return self.end("failed", told.text)
        wired = seen.wired
        if wired is not None and wired.trouble:
            return self.end("failed", f"it is wired and not in force: {wired.trouble}")
        if wired is not None and wired.by_site_file:
            return self._is_the_site_files(wired, seen)
        if wired is not None and self._is_as_planned(wired):
            self.notes.phases_before = wired.phases
            self._show(wired, seen)
            return self.end("passed", "it is wired here" if self._asked else "it was wired here before")
        if self._asked:
            return []
        return self._wire(wired, seen, now)

    def _wire(self, wired: Wired | None, seen: Observation, now: float) -> list[Order]:
        circuit = self._circuit or self._chosen(seen.circuits)
        if not circuit:
            return (
                []
                if seen.circuits
                else self.end("failed", "the site file has no [[circuit]]: name the fuse there")
            )
        if not seen.connected and not self._is_to_be_wired_away(circuit, wired, now):
            return []
        plan, was = self.plan, wired
        low = plan.min_a if plan.min_a is not None else (was.min_a if was else 6.0)
        high = plan.max_a if plan.max_a is not None else (was.max_a if was else 32.0)
        safe = plan.safe_a if plan.safe_a is not None else (was.safe_a if was else 6.0)
        phases = plan.phases or (was.phases if was else "L1 L2 L3")
        self._asked, self._circuit = True, circuit
        self.saying = f"wiring it to {circuit} on {phases}"
        return [Wire(circuit, phases, low, high, safe)]

    def _is_to_be_wired_away(self, circuit: str, was: Wired | None, now: float) -> bool:
        """What was never under control counts with its maximum: others may be paused for who is not there.

        It has a moment to come by itself; then a person must want it.
        """
        if self.waited(now) < self.plan.come_s:
            self.saying = "waiting for it to connect, before amps are kept for it"
            return False
        high = self.plan.max_a if self.plan.max_a is not None else (was.max_a if was else 32.0)
        text = (
            f"{self.plan.charger} is not connected. Once it is wired, {high:g} A per phase of {circuit} are"
            " kept for it until it has connected and took a limit; cars that charge now may be paused for"
            " that. Wire it all the same?"
        )
        answer = self.ask(Question(text, YES_NO))
        if answer == "no":
            self.end("failed", "it was not wired: it is not connected; run this again when it is")
        return answer == "yes"

    def _chosen(self, circuits: tuple[CircuitFacts, ...]) -> str:
        if len(circuits) == 1:
            return circuits[0].name
        if not circuits:
            return ""
        self.saying = "which fuse does it hang on?"
        choices = tuple(Choice(one.name, f"{one.name} ({one.fuse_a:g} A fuse)") for one in circuits[:20])
        return self.ask(Question("Which circuit does this connector hang on?", choices))

    def _is_as_planned(self, wired: Wired) -> bool:
        plan = self.plan
        asked = (
            (self._circuit or plan.circuit, wired.circuit),
            (" ".join(plan.phases.replace(",", " ").split()), wired.phases),
            (plan.min_a, wired.min_a),
            (plan.max_a, wired.max_a),
            (plan.safe_a, wired.safe_a),
        )
        return all(wanted in ("", None) or wanted == has for wanted, has in asked)

    def _is_the_site_files(self, wired: Wired, seen: Observation) -> list[Order]:
        self.notes.phases_before = wired.phases
        self._show(wired, seen)
        if self._is_as_planned(wired):
            return self.end("passed", "the site file wires it")
        return self.end("remark", "the site file wires it, and otherwise than asked: the site file holds")

    def _show(self, wired: Wired, seen: Observation) -> None:
        self.value("circuit", wired.circuit)
        fuse = next((one for one in seen.circuits if one.name == wired.circuit), None)
        if fuse is not None:
            self.value("fuse", f"{fuse.fuse_a:g} A")
            self.value("meter", fuse.meter or "none")
        self.value("phases", wired.phases)
        self.value("min, max, safe", f"{wired.min_a:g}, {wired.max_a:g}, {wired.safe_a:g} A")


class Connecting(Stage):
    key = "connect"
    needs = ("accept", "wire")

    def look(self, seen: Observation, now: float) -> list[Order]:
        if seen.connected and seen.registered and seen.control == "steered":
            self._show(seen)
            return self.end("passed", "it booted, was accepted and took its standing limit")
        if seen.control == "refuses":
            self._show(seen)
            return self.end("failed", f"it cannot be steered: {seen.fault}")
        if not seen.connected:
            self.saying = "waiting for it to connect"
        elif not seen.registered:
            self.saying = "connected; waiting until its BootNotification is accepted"
        else:
            self.saying = "connected; it is being brought under control"
        if self.waited(now) > self.plan.control_s:
            return self.end("failed", self._why(seen))
        return []

    def _why(self, seen: Observation) -> str:
        if not seen.connected:
            return "it did not connect: check its address and password; see the handshake failures"
        if not seen.registered:
            return "its BootNotification was not accepted: ask the operator whether the cloud knows it"
        return seen.fault or "it took no limit: is Smart Charging switched on in it?"

    def _show(self, seen: Observation) -> None:
        self.value("charger", seen.what or "-")
        self.value("serial", seen.serial or "-")
        self.value("firmware", seen.firmware or "-")
        self.value("speaks", seen.version or "-")


class Charging(Stage):
    key = "charge"
    needs = ("connect",)

    def __init__(self, *given: object) -> None:
        super().__init__(*given)  # type: ignore[arg-type]
        self._settling: Settling | None = None

    def look(self, seen: Observation, now: float) -> list[Order]:
        drawn = highest(seen.drawn_a) or 0.0
        if not seen.transaction or drawn < CHARGES_A:
            self._settling = None
            self.saying = self._wish(seen, drawn)
            return self._too_long(seen, drawn) if self.waited(now) > self.plan.car_s else []
        settling = self._settling = self._settling or Settling(self.plan, now)
        settling.look(seen, now)
        self.saying = f"the car draws {amps(seen.drawn_a)}; waiting until it draws no more than before"
        if not settling.is_over(now):
            return []
        if not settling.is_settled(now):
            self.value("still rising", f"after {settling.waited(now):.0f} s")
        self.value("draws", amps(seen.drawn_a))
        self.value("may draw", f"{seen.limit_a or 0.0:g} A")
        used = sum((one or 0.0) > 1.5 for one in seen.drawn_a or ())
        terminals = len(phases_of(seen.wired.phases)) if seen.wired else 0
        return self.end("passed", f"a car charges on {used} of {terminals} phases")

    def _wish(self, seen: Observation, drawn: float) -> str:
        if not seen.transaction:
            said = seen.status or "nothing"
            return f"please plug in a car (or a test load) and start charging; the connector says {said}"
        if seen.drawn_a is None:
            return "charging; waiting for its first MeterValues"
        return f"a car is there and draws {drawn:.1f} A, less than {CHARGES_A:g} A; {seen.why}"

    def _too_long(self, seen: Observation, drawn: float) -> list[Order]:
        if not seen.transaction:
            return self.end("failed", "no car charged in time; run it again with a car, or skip this step")
        if seen.drawn_a is None:
            return self.end(
                "failed",
                "it sends no currents: set MeterValuesSampledData to Current.Import and "
                "MeterValueSampleInterval to 30 s or less",
            )
        return self.end("failed", f"the car drew {drawn:.1f} A only: use a car that is not full")
