"""How a firmware rollout goes on: which charger is sent the update now, who is down, when to stop.

Rules of this file:
- Down is whoever was sent the update and has not been seen back: connected again, and running the new version
  if it says which. In doubt it is down. Never are more down than `at_once`, other rollouts counted in.
- A charger whose link is being made takes a place, and is not down: it has heard of nothing yet.
- "Sent" is on disk before the charger hears of it, so a crash forgets no charger that may be down.
- Failures pause a rollout; only a person lets it go on.
- No clock and no effects of its own: a rollout goes in, a rollout comes out, and what is to be done in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo

import msgspec
from msgspec.structs import replace

from edgegw.core.effects import Noticed
from edgegw.core.events import Instant
from edgegw.core.files import FirmwareNews
from edgegw.core.records import SaveDocument
from edgegw.core.rollout_member import ended, follow
from edgegw.core.rollout_member import recovered as member_recovered
from edgegw.core.rollout_state import (
    OVER,
    ChargerFacts,
    MakeLink,
    Member,
    Rollout,
    SendUpdate,
    Stage,
    fits,
    in_window,
    listed,
)

KIND = "rollout"

RolloutEffect = SaveDocument | Noticed | MakeLink | SendUpdate
Outcome = tuple[Rollout, list[RolloutEffect]]

_STAGES = {
    # FirmwareStatus of 1.6 and 2.x; what is not here says nothing of how far it is
    "Sent": Stage.SENT,
    "DownloadScheduled": Stage.DOWNLOADING,
    "Downloading": Stage.DOWNLOADING,
    "DownloadPaused": Stage.DOWNLOADING,
    "Downloaded": Stage.DOWNLOADED,
    "SignatureVerified": Stage.DOWNLOADED,
    "InstallScheduled": Stage.DOWNLOADED,
    "Installing": Stage.INSTALLING,
    "InstallRebooting": Stage.INSTALLING,
    "Installed": Stage.INSTALLED,
}
# These end an update at the charger whether or not somebody noted that nothing more follows; a download that
# failed may be tried again by the charger itself.
_FAILURES = frozenset({"InstallationFailed", "InstallVerificationFailed", "InvalidSignature", "Refused"})


# --- begin and keep ---------------------------------------------------------------------------------


def begin(rollout: Rollout, chargers: Mapping[str, ChargerFacts], named: tuple[str, ...] = ()) -> Rollout:
    """With the chargers it is for: those named, or all that the file fits."""
    chosen = named or tuple(sorted(identity for identity, facts in chargers.items() if fits(rollout, facts)))
    return replace(rollout, chargers={identity: Member() for identity in chosen})


def saved(rollout: Rollout) -> SaveDocument:
    return SaveDocument(kind=KIND, charger="", key=rollout.id, value=msgspec.json.encode(_lasting(rollout)))


def _lasting(rollout: Rollout) -> Rollout:
    return replace(rollout, linking=frozenset())


def keep(before: Rollout, after: Rollout, effects: list[RolloutEffect]) -> list[RolloutEffect]:
    """A power cut after any comma is survivable."""
    return effects if _lasting(after) == _lasting(before) else [saved(after), *effects]


def recovered(value: bytes, now: Instant) -> Rollout:
    """After a restart."""
    rollout = msgspec.json.decode(value, type=Rollout)
    chargers = {identity: member_recovered(m, now) for identity, m in rollout.chargers.items()}
    return replace(rollout, chargers=chargers)


# --- a moment has passed ------------------------------------------------------------------------------


def step(
    rollout: Rollout,
    chargers: Mapping[str, ChargerFacts],
    now: Instant,
    zone: tzinfo | None = None,
    *,
    taken_elsewhere: int = 0,
) -> Outcome:
    """Look at everything again. Harmless to repeat. `taken_elsewhere`: `places_taken` of other rollouts."""
    members = {
        identity: follow(rollout, member, chargers.get(identity), now)
        for identity, member in rollout.chargers.items()
    }
    judged, effects = _judge(replace(rollout, chargers=members), now)
    after, orders = _choose(judged, chargers, now, zone, taken_elsewhere)
    return after, keep(rollout, after, [*effects, *orders])


def _judge(rollout: Rollout, now: Instant) -> tuple[Rollout, list[RolloutEffect]]:
    """Is it over, or have too many failed?"""
    if rollout.ended:
        return rollout, []
    if all(_is_over(member) for member in rollout.chargers.values()):
        done = replace(rollout, ended=True, ended_at=now.wall, paused=False, why=_summary(rollout))
        text = f"rollout {rollout.id} of {rollout.name} is over: {done.why}"
        return done, [Noticed("rollout_over", text, warning=bool(rollout.failures))]
    if rollout.paused or rollout.failures < rollout.failures_max:
        return rollout, []
    failed = [identity for identity, m in rollout.chargers.items() if m.stage is Stage.FAILED]
    why = f"{len(failed)} failed: {listed(failed)}"
    text = f"rollout {rollout.id} of {rollout.name} has stopped: {why}"
    return replace(rollout, paused=True, why=why), [Noticed("rollout_stopped", text)]


def _is_over(member: Member) -> bool:
    return member.stage in OVER and not (member.down and member.stage is Stage.INSTALLED)


def _summary(rollout: Rollout) -> str:
    counts = ((rollout.count(stage), stage.value) for stage in (Stage.INSTALLED, Stage.FAILED, Stage.SKIPPED))
    return ", ".join(f"{count} {word}" for count, word in counts if count) or "no chargers"


# --- who is next ----------------------------------------------------------------------------------------


def _choose(
    rollout: Rollout,
    chargers: Mapping[str, ChargerFacts],
    now: Instant,
    zone: tzinfo | None,
    taken_elsewhere: int,
) -> tuple[Rollout, list[MakeLink]]:
    free = rollout.at_once - rollout.places_taken - taken_elsewhere
    orders: list[MakeLink] = []
    for number, (identity, member) in enumerate(rollout.chargers.items()):
        again = member.unsure and member.stage is Stage.SENT  # counts as down already
        if identity in rollout.linking or not (again or (member.stage is Stage.WAITING and free > 0)):
            continue
        facts = chargers.get(identity)
        if facts is None or holds(rollout, facts, now, zone):
            continue
        order = f"rollout-{rollout.id}-{number}"
        orders.append(
            MakeLink(rollout=rollout.id, charger=identity, order=order, sha256=rollout.sha256, again=again)
        )
        free -= not again
    linking = rollout.linking.union(order.charger for order in orders)
    return replace(rollout, linking=linking), orders


def holds(rollout: Rollout, facts: ChargerFacts, now: Instant, zone: tzinfo | None) -> str:
    """Why a charger is not sent the update now, apart from how many are down; "" when it may be."""
    if rollout.ended or rollout.paused:
        return "the rollout is over" if rollout.ended else "the rollout is paused"
    if rollout.failures >= rollout.failures_max:
        return "too many have failed"
    if not facts.connected:
        return "not connected"
    if not facts.accepted:
        return "its cloud has not accepted it yet"
    if not facts.vendor and not facts.model and not fits(rollout, facts):
        return "has not said which make it is"
    if facts.update:
        return "another update is under way"
    if rollout.window and not now.trusted:
        return "the clock of the box is not set"
    if not in_window(rollout.window, zone, now.wall):
        return f"waits for {rollout.window}"
    return facts.busy if rollout.only_idle else ""


# --- what the chargers say --------------------------------------------------------------------------------


def heard(rollout: Rollout, charger: str, news: FirmwareNews, now: Instant) -> Outcome:
    """News of one of our orders; `step` should follow."""
    member = rollout.chargers.get(charger)
    if member is None or not member.order or member.order != news.order:
        return rollout, []
    after = rollout.with_member(charger, _heard(member, news, now))
    return after, keep(rollout, after, [])


def _heard(member: Member, news: FirmwareNews, now: Instant) -> Member:
    member = replace(member, acknowledged=True, unsure=False, heard=now)
    if news.status == "Replaced":
        return ended(member, Stage.SKIPPED, "another update took its place", now)
    if news.status in _FAILURES or (news.ended and news.status not in _STAGES):
        why = f"{news.status}: {news.why}" if news.why else news.status
        return ended(member, Stage.FAILED, why, now)
    stage = _STAGES.get(news.status)
    if stage is None or (stage is Stage.SENT and member.stage is not Stage.WAITING):
        return member
    if stage is Stage.INSTALLED:
        back = member.stage is Stage.INSTALLED and not member.down  # its boot has said so before
        return member if back else ended(member, stage, "", now)
    began = now if stage is Stage.INSTALLING and member.stage is not stage else member.began
    return replace(member, stage=stage, why="", down=True, silent=False, began=began)


# --- what people order --------------------------------------------------------------------------------


def pause(rollout: Rollout) -> Outcome:
    """No further charger is sent the update; those that have it go on."""
    after = rollout if rollout.ended or rollout.paused else replace(rollout, paused=True, why="by a person")
    return after, keep(rollout, after, [])


def resume(rollout: Rollout) -> Outcome:
    """As many further failures stop it again."""
    if rollout.ended or not rollout.paused:
        return rollout, []
    after = replace(rollout, paused=False, why="", forgiven=rollout.count(Stage.FAILED))
    return after, keep(rollout, after, [])


def stop(rollout: Rollout, now: Instant) -> Outcome:
    """For good. Those that have the update finish it, and count as down until they are back."""
    if rollout.ended:
        return _written_off(rollout)
    why = "stopped by a person"
    members = {
        identity: replace(m, stage=Stage.SKIPPED, why=why) if m.stage is Stage.WAITING else m
        for identity, m in rollout.chargers.items()
    }
    after = replace(rollout, chargers=members, ended=True, ended_at=now.wall, paused=False, why=why)
    return after, keep(rollout, after, [])


def _written_off(rollout: Rollout) -> Outcome:
    """A charger that died of it would hold up every later rollout; a person knows that it did."""
    members = {
        identity: replace(m, down=False) if m.stage is Stage.FAILED else m
        for identity, m in rollout.chargers.items()
    }
    after = replace(rollout, chargers=members)
    return after, keep(rollout, after, [])
