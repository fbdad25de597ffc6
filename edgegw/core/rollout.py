"""How a firmware rollout goes on: which charger is sent the update now, who is down, when to stop.

Rules of this file:
- Down is whoever was sent the update and has not been seen back: connected again, and running the new version
  if it says which. In doubt it is down. Never are more down than `at_once`, other rollouts counted in.
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
from edgegw.core.rollout_state import (
    OVER,
    ChargerFacts,
    Member,
    Rollout,
    SendUpdate,
    Stage,
    fits,
    in_window,
    listed,
)

KIND = "rollout"

RolloutEffect = SaveDocument | Noticed | SendUpdate
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
    return SaveDocument(kind=KIND, charger="", key=rollout.id, value=msgspec.json.encode(rollout))


def recovered(value: bytes) -> Rollout:
    """After a restart: whether what was written down last was also sent, nobody knows."""
    rollout = msgspec.json.decode(value, type=Rollout)
    chargers = {
        identity: replace(m, unsure=True) if m.stage is Stage.SENT and not m.acknowledged else m
        for identity, m in rollout.chargers.items()
    }
    return replace(rollout, chargers=chargers)


# --- a moment has passed ------------------------------------------------------------------------------


def step(
    rollout: Rollout,
    chargers: Mapping[str, ChargerFacts],
    now: Instant,
    zone: tzinfo | None = None,
    *,
    down_elsewhere: int = 0,
) -> Outcome:
    """Look at everything again. Harmless to repeat."""
    members = {
        identity: follow(rollout, member, chargers.get(identity), now)
        for identity, member in rollout.chargers.items()
    }
    judged, effects = _judge(replace(rollout, chargers=members), now)
    after, orders = _send(judged, chargers, now, zone, down_elsewhere)
    return after, _keep(rollout, after, [*effects, *orders])


def _keep(before: Rollout, after: Rollout, effects: list[RolloutEffect]) -> list[RolloutEffect]:
    """A power cut after any comma is survivable."""
    return effects if after == before else [saved(after), *effects]


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


def _send(
    rollout: Rollout,
    chargers: Mapping[str, ChargerFacts],
    now: Instant,
    zone: tzinfo | None,
    down_elsewhere: int,
) -> tuple[Rollout, list[SendUpdate]]:
    free = rollout.at_once - rollout.down - down_elsewhere
    members, orders = dict(rollout.chargers), []
    for number, (identity, member) in enumerate(rollout.chargers.items()):
        again = member.unsure and member.stage is Stage.SENT  # counts as down already
        if not again and (member.stage is not Stage.WAITING or free <= 0):
            continue
        facts = chargers.get(identity)
        if facts is None or holds(rollout, facts, now, zone):
            continue
        order = SendUpdate(
            rollout=rollout.id,
            charger=identity,
            order=f"rollout-{rollout.id}-{number}",
            sha256=rollout.sha256,
            again=again,
        )
        members[identity] = replace(member, unsure=False) if again else _sent(member, order, facts, now)
        orders.append(order)
        free -= not again
    return replace(rollout, chargers=members), orders


def _sent(member: Member, order: SendUpdate, facts: ChargerFacts, now: Instant) -> Member:
    at = now.wall if now.trusted else 0.0
    return replace(
        member,
        stage=Stage.SENT,
        order=order.order,
        down=True,
        sent_at=at,
        heard_at=at,
        firmware_before=facts.firmware,
    )


def holds(rollout: Rollout, facts: ChargerFacts, now: Instant, zone: tzinfo | None) -> str:
    """Why a charger is not sent the update now, apart from how many are down; "" when it may be."""
    if rollout.ended or rollout.paused:
        return "the rollout is over" if rollout.ended else "the rollout is paused"
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
    return after, _keep(rollout, after, [])


def _heard(member: Member, news: FirmwareNews, now: Instant) -> Member:
    at = now.wall if now.trusted else 0.0
    member = replace(member, acknowledged=True, unsure=False, heard_at=at)
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
    began_at = at if stage is Stage.INSTALLING and member.stage is not stage else member.began_at
    return replace(member, stage=stage, why="", down=True, silent=False, began_at=began_at)


# --- what comes of an order ---------------------------------------------------------------------------


def withdrawn(rollout: Rollout, order: SendUpdate) -> Outcome:
    """It was not sent after all: the charger was no longer free when its link was ready."""
    member = rollout.chargers.get(order.charger)
    if member is None or member.order != order.order or member.stage is not Stage.SENT or member.acknowledged:
        return rollout, []
    if order.again:  # it may have been sent before the box started anew
        return rollout.with_member(order.charger, replace(member, unsure=True)), []
    stage = Stage.SKIPPED if rollout.ended else Stage.WAITING
    after = rollout.with_member(order.charger, Member(stage=stage, why=rollout.why if rollout.ended else ""))
    return after, _keep(rollout, after, [])


def cannot_be_served(rollout: Rollout, order: SendUpdate, why: str) -> Outcome:
    """The file itself cannot be handed out; that is no charger's fault."""
    after, _ = withdrawn(rollout, order)
    notices: list[RolloutEffect] = []
    if not after.ended and not after.paused:
        after = replace(after, paused=True, why=why)
        notices = [Noticed("rollout_stopped", f"rollout {rollout.id} of {rollout.name} has stopped: {why}")]
    return after, _keep(rollout, after, notices)


# --- what people order --------------------------------------------------------------------------------


def pause(rollout: Rollout) -> Outcome:
    """No further charger is sent the update; those that have it go on."""
    after = rollout if rollout.ended or rollout.paused else replace(rollout, paused=True, why="by a person")
    return after, _keep(rollout, after, [])


def resume(rollout: Rollout) -> Outcome:
    """As many further failures stop it again."""
    if rollout.ended or not rollout.paused:
        return rollout, []
    after = replace(rollout, paused=False, why="", forgiven=rollout.count(Stage.FAILED))
    return after, _keep(rollout, after, [])


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
    return after, _keep(rollout, after, [])


def _written_off(rollout: Rollout) -> Outcome:
    """A charger that died of it would hold up every later rollout; a person knows that it did."""
    members = {
        identity: replace(m, down=False) if m.stage is Stage.FAILED else m
        for identity, m in rollout.chargers.items()
    }
    after = replace(rollout, chargers=members)
    return after, _keep(rollout, after, [])
