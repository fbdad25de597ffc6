"""One charger of a rollout as time passes: is it back, has it given up, was there nothing to do?

What a charger shows is taken the careful way. "Installed" may be said before or after the reboot, so a
charger that said it and has not connected anew is given time to reboot; one that says nothing for hours has
failed, and is down all the same until it has connected anew.
"""

from __future__ import annotations

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
    member = _timed(member, now)
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
    return replace(member, stage=stage, why=why, down=True, silent=False, ended_at=now.wall)


def _nothing_to_do(rollout: Rollout, member: Member, facts: ChargerFacts | None) -> Member:
    if facts is None or not (facts.vendor or facts.model):
        return member
    if not fits(rollout, facts):
        return replace(member, stage=Stage.SKIPPED, why=f"is {facts.vendor} {facts.model}")
    if runs(rollout.version, facts):
        return replace(member, stage=Stage.SKIPPED, why=f"runs {facts.firmware} already")
    return member


def _timed(member: Member, now: Instant) -> Member:
    """Hours are counted from when the clock was right, and not over a clock that was set back."""
    if now.trusted and (not member.heard_at or member.heard_at > now.wall):
        member = replace(member, heard_at=now.wall)
    if member.ended_at > now.wall:
        member = replace(member, ended_at=now.wall)
    return member


def _is_silent(rollout: Rollout, member: Member, now: Instant) -> bool:
    return now.trusted and bool(member.heard_at) and now.wall - member.heard_at >= rollout.silent_s


def _given_up(rollout: Rollout, member: Member, now: Instant) -> Member:
    if not _is_silent(rollout, member, now):
        return member
    why = f"said nothing for {rollout.silent_s / 3600:g} h since it was {member.stage.value}"
    return replace(member, stage=Stage.FAILED, why=why, silent=True, ended_at=now.wall)


def _steady_s(member: Member, facts: ChargerFacts, now: Instant) -> float:
    """How long it has been connected since it was done."""
    return now.wall - max(member.ended_at, facts.connected_at)


def _after_install(rollout: Rollout, member: Member, facts: ChargerFacts, now: Instant) -> Member:
    if not facts.connected:
        if not _is_silent(rollout, member, now):
            return member
        why = 'said "Installed" and did not come back'
        return replace(member, stage=Stage.FAILED, why=why, silent=True, ended_at=now.wall)
    steady_s = _steady_s(member, facts, now)
    anew = facts.connected_at > (member.began_at or member.ended_at)
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
    if not facts.connected or (member.silent and facts.connected_at <= member.heard_at):
        return member
    return member if _steady_s(member, facts, now) < SETTLE_S else replace(member, down=False)
