"""What comes of the link that a charger of a rollout needs: it is sent the update, it waits, or is skipped.

Making one takes a while, and so does writing down that the update is sent: after each the charger, and what
people want of the rollout, are looked at again.
"""

from __future__ import annotations

from datetime import tzinfo

from msgspec.structs import replace

from edgegw.core import rollout as rules
from edgegw.core.effects import Noticed
from edgegw.core.events import Instant
from edgegw.core.rollout import Outcome
from edgegw.core.rollout_member import ended
from edgegw.core.rollout_state import ChargerFacts, MakeLink, Member, Rollout, SendUpdate, Stage


def linked(
    rollout: Rollout, order: MakeLink, url: str, facts: ChargerFacts, now: Instant, zone: tzinfo | None = None
) -> Outcome:
    """Only from now on it is down. One that is not free any more goes back to where it was."""
    after = _made(rollout, order)
    member = _wants(after, order)
    if member is None or rules.holds(after, facts, now, zone):
        return after, []
    sent = replace(member, unsure=False) if order.again else _sent(member, order, facts, now)
    after = after.with_member(order.charger, sent)
    return after, rules.keep(rollout, after, [SendUpdate(link=order, url=url)])


def no_link_for(rollout: Rollout, order: MakeLink, why: str, now: Instant) -> Outcome:
    """None that this charger could use. It was told nothing, so nothing has failed."""
    after = _made(rollout, order)
    member = _wants(after, order)
    if member is None:
        return after, []
    if order.again:  # it may have been told before the box started anew
        skipped = ended(member, Stage.SKIPPED, why, now)
    else:
        skipped = replace(member, stage=Stage.SKIPPED, why=why)
    after = after.with_member(order.charger, skipped)
    return after, rules.keep(rollout, after, [])


def cannot_be_served(rollout: Rollout, order: MakeLink, why: str) -> Outcome:
    """The file itself cannot be handed out; that is no charger's fault."""
    after = _made(rollout, order)
    if after.ended or after.paused:
        return after, []
    after = replace(after, paused=True, why=why)
    text = f"rollout {rollout.id} of {rollout.name} has stopped: {why}"
    return after, rules.keep(rollout, after, [Noticed("rollout_stopped", text)])


def withdrawn(rollout: Rollout, order: MakeLink) -> Outcome:
    """Written down as sent, and not sent after all: the charger was no longer free."""
    member = rollout.chargers.get(order.charger)
    if member is None or not is_unheard(member, order):
        return rollout, []
    if order.again:  # it may have been sent before the box started anew
        return rollout.with_member(order.charger, replace(member, unsure=True)), []
    stage = Stage.SKIPPED if rollout.ended else Stage.WAITING
    after = rollout.with_member(order.charger, Member(stage=stage, why=rollout.why if rollout.ended else ""))
    return after, rules.keep(rollout, after, [])


def is_unheard(member: Member, order: MakeLink) -> bool:
    """Written down as sent, and nobody has heard of it."""
    return member.order == order.order and member.stage is Stage.SENT and not member.acknowledged


def _made(rollout: Rollout, order: MakeLink) -> Rollout:
    return replace(rollout, linking=rollout.linking - {order.charger})


def _wants(rollout: Rollout, order: MakeLink) -> Member | None:
    """The charger, if it is still to be sent this."""
    member = rollout.chargers.get(order.charger)
    if member is None:
        return None
    wants = is_unheard(member, order) and member.unsure if order.again else member.stage is Stage.WAITING
    return member if wants else None


def _sent(member: Member, order: MakeLink, facts: ChargerFacts, now: Instant) -> Member:
    return replace(
        member,
        stage=Stage.SENT,
        order=order.order,
        down=True,
        heard=now,
        firmware_before=facts.firmware,
    )
