"""One charger of a rollout as time passes: is it back, has it given up, was there nothing to do?

What a charger shows is taken the careful way. "Installed" may be said before or after the reboot, so a
charger that said it and has not connected anew is given time to reboot; one that says nothing for hours has
failed, and is down all the same until it has connected anew.

How long something takes is judged on the monotonic clock alone: the wall clock may jump at any moment.
"""

from __future__ import annotations

from math import inf

from msgspec.structs import replace

from edgegw.core.events import Instant
from edgegw.core.rollout_state import UNDER_WAY, ChargerFacts, Member, Rollout, Stage, fits, runs

SETTLE_S = 60.0  # connected for so long, it is back: its boot message is here, and it did not fall over again
REBOOT_WITHIN_S = 300.0  # a charger that said "Installed" and will reboot for it does so by then


def follow(rollout: Rollout, member: Member, facts: ChargerFacts | None, now: Instant) -> Member:
    if member.stage is Stage.WAITING:
        return _nothing_to_do(rollout, member, facts)
    if not member.down:
        return member
    facts = facts or ChargerFacts()
    if member.unsure and facts.update == member.order:
        member = replace(member, unsure=False, acknowledged=True)  # its session knows of it
    if facts.connected and runs(rollout.version, facts) and member.stage is not Stage.SKIPPED:
        return replace(member, stage=Stage.INSTALLED, why="", down=False)
    if member.stage in UNDER_WAY:
        return _given_up(rollout, member, now)
    if member.stage is Stage.INSTALLED:
        return _after_install(rollout, member, facts, now)
    return _after_failure(member, facts, now)


def ended(member: Member, stage: Stage, why: str, now: Instant) -> Member:
    """The charger said so; it is down until it is seen back."""
    return replace(member, stage=stage, why=why, down=True, silent=False, done=now)


def recovered(member: Member, now: Instant) -> Member:
    """After a restart: whether what was written down last was also sent, nobody knows."""
    return replace(
        member,
        unsure=member.unsure or (member.stage is Stage.SENT and not member.acknowledged),
        heard=_carried(member.heard, now),
        began=_carried(member.began, now),
        done=_carried(member.done, now),
    )


def _carried(then: Instant | None, now: Instant) -> Instant | None:
    """A reading of a run that is over, on the monotonic clock of this one.

    How long ago it was can be told only when the wall clock was right both times; else it counts from now.
    """
    if then is None:
        return None
    ago_s = now.wall - then.wall if then.trusted and now.trusted else -1.0
    return now if ago_s < 0 else Instant(now.mono - ago_s, then.wall)


def _nothing_to_do(rollout: Rollout, member: Member, facts: ChargerFacts | None) -> Member:
    if facts is None or not (facts.vendor or facts.model):
        return member
    if not fits(rollout, facts):
        return replace(member, stage=Stage.SKIPPED, why=f"is {facts.vendor} {facts.model}")
    if runs(rollout.version, facts):
        return replace(member, stage=Stage.SKIPPED, why=f"runs {facts.firmware} already")
    return member


def _is_silent(rollout: Rollout, member: Member, now: Instant) -> bool:
    return member.heard is not None and now.mono - member.heard.mono >= rollout.silent_s


def _given_up(rollout: Rollout, member: Member, now: Instant) -> Member:
    if not _is_silent(rollout, member, now):
        return member
    why = f"said nothing for {rollout.silent_s / 3600:g} h since it was {member.stage.value}"
    return replace(member, stage=Stage.FAILED, why=why, silent=True, done=now)


def _steady_s(member: Member, facts: ChargerFacts, now: Instant) -> float:
    """How long it has been connected since it was done."""
    return now.mono - max(_mono(member.done), facts.connected_mono)


def _mono(at: Instant | None) -> float:
    return at.mono if at is not None else -inf


def _after_install(rollout: Rollout, member: Member, facts: ChargerFacts, now: Instant) -> Member:
    if not facts.connected:
        if not _is_silent(rollout, member, now):
            return member
        why = 'said "Installed" and did not come back'
        return replace(member, stage=Stage.FAILED, why=why, silent=True, done=now)
    steady_s = _steady_s(member, facts, now)
    anew = facts.connected_mono > _mono(member.began or member.done)
    if steady_s < (SETTLE_S if anew else REBOOT_WITHIN_S):
        return member
    if anew and rollout.version and facts.firmware:  # it has booted, and `follow` saw that it is another one
        if facts.firmware == member.firmware_before and steady_s < REBOOT_WITHIN_S:
            return member  # only reconnected, so far
        why = f"runs {facts.firmware} after the update, not {rollout.version}"
        return replace(member, stage=Stage.FAILED, why=why, down=False)
    return replace(member, down=False)


def _after_failure(member: Member, facts: ChargerFacts, now: Instant) -> Member:
    """It works with what it had before; one that was silent must have come back since its last word."""
    if not facts.connected or (member.silent and facts.connected_mono <= _mono(member.heard)):
        return member
    return member if _steady_s(member, facts, now) < SETTLE_S else replace(member, down=False)
