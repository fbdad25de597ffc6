"""What one connector may draw from now on, step by step, and what holds it there. Pure.

Rules of this file: what the site gives holds until the charger's limit ends by itself (the box renews it
before, with what is right then); the cloud's profiles hold by their schedules; the lower of both
counts.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgegw.balance import composite
from edgegw.balance.model import INFINITE
from edgegw.control import detail_models as models
from edgegw.core import cloud_cap
from edgegw.core.events import Instant
from edgegw.core.power import ConnectorPower, Control
from edgegw.core.state import ChargerState

STEPS_MAX = 200
STEP_MIN_S = 0.1


def profile_view(state: ChargerState | None, connector: int, span_s: int, now: Instant) -> models.ProfileView:
    steps = tuple(_joined(_steps(state, connector, span_s, now)))
    return models.ProfileView(connector=connector, span_s=span_s, steps=steps)


def _steps(
    state: ChargerState | None, connector: int, span_s: int, now: Instant
) -> Iterator[models.ProfileStep]:
    c = state.power.connectors.get(connector) if state is not None else None
    if state is None or c is None:
        told = "the box does not balance it: it follows its own settings and what its cloud sends it"
        yield models.ProfileStep(from_s=0.0, limit_a=None, binds=told)
        return
    at_s = 0.0
    for _ in range(STEPS_MAX):
        later = Instant(now.mono + at_s, now.wall + at_s, now.trusted)
        limit_a, binds = _limit(state, c, later)
        yield models.ProfileStep(from_s=round(at_s, 1), limit_a=round(limit_a, 1), binds=binds)
        at_s = max(at_s + STEP_MIN_S, _next_change_s(state, c, later, now))
        if at_s >= span_s:
            return


def _limit(state: ChargerState, c: ConnectorPower, at: Instant) -> tuple[float, str]:
    if unheld := _unheld(c, at):
        return c.wiring.max_a, unheld
    site_a, why = _site(c, at)
    cloud_a, cloud_why = cloud_cap.cap_for(state, c.wiring.connector, at)
    return (cloud_a, cloud_why) if cloud_a < site_a - 0.05 else (site_a, why)


def _unheld(c: ConnectorPower, at: Instant) -> str:
    """Why no limit holds it, so that it may draw its maximum; "" when one does."""
    if c.control in (Control.REFUSES, Control.DISOBEYS):
        return f"it cannot be steered and may draw its maximum: {c.fault or c.control.value}"
    if c.safe_accepted_a is not None:
        return ""
    if c.accepted_a is None:
        return "it has taken no limit yet and may draw its maximum"
    if at.mono >= c.expires_at:
        return "its limit ends by itself then and no other is below it, unless the box renews it"
    return ""


def _site(c: ConnectorPower, at: Instant) -> tuple[float, str]:
    if at.mono >= c.expires_at and c.safe_accepted_a is not None:
        safe_a = c.safe_accepted_a
        why = f"its limit ends by itself then and its safe {safe_a:g} A hold, unless the box renews it"
        return safe_a, why
    return min(c.granted_a, c.wiring.max_a), c.why or "what the site gives it"


def _next_change_s(state: ChargerState, c: ConnectorPower, at: Instant, now: Instant) -> float:
    """Seconds from `now`; infinity for never."""
    moments = [c.expires_at - now.mono] if at.mono < c.expires_at < INFINITE else []
    if state.power.book.profiles:
        moment = cloud_cap.moment(state, c.wiring.connector, at)
        moments.append(composite.limit_at(state.power.book, moment).until - cloud_cap.wall(state, now))
    return min(moments, default=INFINITE)


def _joined(steps: Iterator[models.ProfileStep]) -> Iterator[models.ProfileStep]:
    """Without those that say nothing new."""
    before: models.ProfileStep | None = None
    for step in steps:
        if before is None or (step.limit_a, step.binds) != (before.limit_a, before.binds):
            yield step
        before = step
