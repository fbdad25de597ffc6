"""The last step: nobody renews the limit of the connector, and it must fall to its safe one by itself.

Without risk for a fuse: only less is drawn, and the gateway counts with what was granted until it has ended.
"""

from __future__ import annotations

from edgegw.commissioning.stage import Stage, amps, highest, outcome
from edgegw.commissioning.words import EndFall, LetFall, Observation, Order, Restore


class FallingBack(Stage):
    key = "fallback"
    needs = ("charge",)

    def __init__(self, *given: object) -> None:
        super().__init__(*given)  # type: ignore[arg-type]
        self._state = "restoring"
        self._due_s = 0.0
        self._had_a = 0.0

    def look(self, seen: Observation, now: float) -> list[Order]:
        told = outcome(seen, LetFall)
        if told is not None and not told.ok:
            return self.end("remark", f"not tested: {told.text}", untested=True)
        if not seen.transaction or not seen.connected:
            return self.end("remark", "not tested: the car stopped charging", untested=True)
        safe = seen.wired.safe_a if seen.wired is not None else 6.0
        if self._state == "restoring":
            return self._begin(seen, now, safe)
        if self._state == "asked":
            if told is None:
                return []
            self._due_s = seen.expires_in_s or 0.0
            self._had_a = seen.accepted_a or 0.0
            self._state = "falling"
            self.restart_clock(now)
        return self._fall(seen, now, safe)

    def _begin(self, seen: Observation, now: float, safe: float) -> list[Order]:
        """There must be something to fall from."""
        drawn = highest(seen.drawn_a) or 0.0
        if drawn > safe + 2.0 and (seen.accepted_a or 0.0) > safe + 2.0:
            self._state, self.notes.falling = "asked", True
            self.saying = "its limit is not renewed any more"
            return [LetFall()]
        self.saying = f"waiting until it draws more than its safe {safe:g} A"
        if self.waited(now) > self.plan.follow_up_s:
            text = f"not tested: it draws {drawn:.1f} A, not more than its safe {safe:g} A"
            return self.end("remark", text, untested=True)
        if self.notes.limited:
            self.notes.limited = False
            return [Restore()]
        return []

    def _fall(self, seen: Observation, now: float, safe: float) -> list[Order]:
        waited = self.waited(now)
        left = max(0.0, self._due_s - waited)
        self.saying = (
            f"its limit of {self._had_a:g} A ends by itself in {left:.0f} s; "
            f"then it must draw {safe:g} A at most"
        )
        drawn = highest(seen.drawn_a)
        fresh = seen.drawn_age_s is None or seen.drawn_age_s < waited
        if fresh and drawn is not None and drawn <= safe + max(1.0, 0.15 * safe):
            self.value("fell from", f"{self._had_a:g} A")
            self.value("to", amps(seen.drawn_a))
            self.value("after", f"{waited:.0f} s")
            self.notes.falling = False
            self.end("passed", f"without renewal it fell to its safe limit of {safe:g} A by itself")
            return [EndFall()]
        if waited > min(self.plan.fall_s, self._due_s + 150.0):
            self.notes.falling = False
            self.end(
                "failed",
                f"its limit was not renewed and it still draws {drawn or 0.0:.1f} A: limits do not end in "
                "this charger; a dead gateway would leave it as it is. Update its firmware",
            )
            return [EndFall()]
        return []
