"""One charger, between its own connection and its connection to the cloud.

`Charger.handle(event, now)` is the only way in and its list of effects the only way out. No I/O, no
clock, no randomness: the same events at the same instants give the same effects.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgegw.core import (
    box_calls,
    charger_clock,
    diagnostics,
    downlink,
    energy,
    firmware,
    owned_profiles,
    replay,
    reports,
    rewiring,
    samples,
    signed,
    site_log,
    site_update,
    steering,
    uplink,
)
from edgegw.core.calls import NEVER
from edgegw.core.effects import CloseCharger, Effect
from edgegw.core.events import (
    CallRequested,
    ChargerConnected,
    ChargerLost,
    ChargerSpoke,
    CloudConnected,
    CloudLost,
    CloudSpoke,
    Event,
    Instant,
    LimitsGranted,
    RenewalWithheld,
    ReplayGranted,
    Rewired,
    RowsLoaded,
    RowsReleased,
    Woke,
)
from edgegw.core.files import (
    FilesOpened,
    FirmwareFetched,
    LogOrdered,
    UpdateOrdered,
    UploadForwarded,
    UploadOpened,
)
from edgegw.core.records import ChargerRecovery
from edgegw.core.site import Site
from edgegw.core.state import ChargerState
from edgegw.wire.frames import Call, CallError, CallResult, CallResultError, Send
from edgegw.wire.versions import Version

HELD_MAX = 32  # CALLs that wait for one leg before its writer is slowed down by TCP


class Charger:
    """The decisions about one charger. `state` is for the view to read and nobody else to change."""

    __slots__ = ("state",)

    def __init__(self, identity: str, site: Site) -> None:
        self.state = ChargerState(identity, site)

    @classmethod
    def recover(cls, kept: ChargerRecovery, site: Site) -> Charger:
        charger = cls(kept.charger, site)
        charger.state.recover(kept)
        for document in kept.documents if charger.state.power.balanced else ():
            if document.kind in ("power", "profiles"):
                steering.recover(charger.state, document)
        charger.state.power.seen = set(charger.state.transactions.running)
        return charger

    def handle(self, event: Event, now: Instant) -> list[Effect]:
        """Decide. The effects must be carried out in order (see `core.effects`)."""
        effects = _HANDLERS[type(event)](self.state, event, now)
        if self.state.power.connectors:
            effects += steering.follow(self.state, now)
        return effects

    @property
    def wake_at(self) -> float:
        """When `Woke` is due at the latest (mono); infinity when nothing is pending."""
        state = self.state
        soonest = state.files.wake_at()
        for queue in (state.to_cloud, state.to_charger):
            if queue.outstanding is not None or queue.waiting:  # asked behind every event
                soonest = min(soonest, queue.wake_at())
        if state.cloud_up and state.boot_at:
            soonest = min(soonest, state.boot_at)
        if state.cloud_up and state.replay_retry_at and state.replay_retry_at < soonest and len(state.outbox):
            return state.replay_retry_at
        return soonest if soonest < NEVER else NEVER

    @property
    def charger_is_ahead(self) -> bool:
        """It sends faster than it is answered: stop reading from it for a while."""
        return len(self.state.to_cloud.waiting) >= HELD_MAX

    @property
    def cloud_is_ahead(self) -> bool:
        return len(self.state.to_charger.waiting) >= HELD_MAX


def _charger_connected(state: ChargerState, event: ChargerConnected, now: Instant) -> list[Effect]:
    state.charger_up = True
    state.to_charger.ready = True
    state.last_seen_wall = now.wall
    state.clock.start_over(now, connected=True)
    state.new_epoch()
    state.forget_chatter()
    state.outbox.link_lost()
    effects: list[Effect] = [*state.save_profile(version=event.version)]
    effects += [*state.forget_old_pairs(now), *state.forget_pairs()]
    effects += downlink.advance(state, now) + uplink.advance(state, now)
    effects += firmware.on_connected(state, now) + diagnostics.on_connected(state, now)
    return effects + steering.on_connected(state, now) if state.power.balanced else effects


def _charger_lost(state: ChargerState, event: ChargerLost, now: Instant) -> list[Effect]:
    state.charger_up = False
    effects = downlink.on_lost(state, now)
    # Its unanswered messages are still its own: it sends them again when it is back.
    state.to_cloud.waiting.clear()
    if state.reports.unsaved:
        effects += reports.keep(state, now, leaving=True)
    return effects + steering.on_lost(state, now) if state.power.balanced else effects


def _charger_spoke(state: ChargerState, event: ChargerSpoke, now: Instant) -> list[Effect]:
    state.last_seen_wall = now.wall
    frame = event.frame
    kind = type(frame)
    if isinstance(frame, Call):
        version = state.version
        call = frame if version is Version.V16 else signed.plain(version, frame)
        is_report = call.action in reports.ACTIONS and reports.is_new(state, call)
        if state.clock.due_at <= now.mono and call.action in charger_clock.ACTIONS:
            charger_clock.heard(state.clock, version, call, now)
        is_metered = call.action in energy.ACTIONS and reports.is_new(state, call)
        effects = uplink.on_call(state, call, now)
        if state.files.offer_due:
            effects += firmware.on_heard(state, call, now)
        if is_report:
            effects += reports.heard(state, call, now)
        elif state.reports.unsaved:
            effects += reports.keep(state, now)
        if is_metered:
            effects += energy.heard(state, call, now)
            samples.heard(state, call, now)
        elif state.energy.due_at <= now.mono:
            effects += energy.keep(state, now)
        return effects + steering.heard(state, call, now) if state.power.balanced else effects
    if kind is CallResult or kind is CallError:
        return downlink.on_answer(state, frame, now)  # type: ignore[arg-type]
    if isinstance(frame, Send):
        return uplink.on_send(state, frame, now)
    assert isinstance(frame, CallResultError)
    return uplink.on_result_error(state, frame)


def _cloud_connected(state: ChargerState, event: CloudConnected, now: Instant) -> list[Effect]:
    state.cloud_up = True
    state.to_cloud.ready = True
    state.replay_slot = 0
    effects: list[Effect] = owned_profiles.on_cloud_back(state, now) if state.power.balanced else []
    if state.cloud_awaits_boot:
        effects += replay.boot_for_charger(state, now)
    elif state.site.policy.replay_boot_always:
        effects += replay.repeat_boot(state, now)
    return effects + uplink.advance(state, now)


def _cloud_lost(state: ChargerState, event: CloudLost, now: Instant) -> list[Effect]:
    state.cloud_up = False
    effects = uplink.on_lost(state, now) + downlink.on_cloud_lost(state, now)
    if not state.site.policy.serve_locally and state.charger_up:
        # OCPP 2.0.1 Part 4 6.3 before its errata: the charger must see that the cloud is gone.
        effects.append(CloseCharger(1001, "the CSMS connection was lost"))
    return effects


def _cloud_spoke(state: ChargerState, event: CloudSpoke, now: Instant) -> list[Effect]:
    frame = event.frame
    kind = type(frame)
    if kind is CallResult or kind is CallError:
        return uplink.on_answer(state, frame, now)  # type: ignore[arg-type]
    if kind is Call:
        return downlink.on_call(state, frame, now)  # type: ignore[arg-type]
    if isinstance(frame, Send):
        return downlink.on_send(state, frame)
    assert isinstance(frame, CallResultError)
    return downlink.on_result_error(state, frame)


def _woke(state: ChargerState, event: Woke, now: Instant) -> list[Effect]:
    effects = uplink.on_deadline(state, now) + downlink.on_deadline(state, now)
    effects += firmware.on_deadline(state, now) + diagnostics.on_deadline(state, now)
    if state.boot_at and state.boot_at <= now.mono:
        effects += replay.boot_for_charger(state, now)
    if state.replay_retry_at and state.replay_retry_at <= now.mono:
        state.replay_retry_at = 0.0
        effects += replay.pump(state, now)
    return effects


def _rows_loaded(state: ChargerState, event: RowsLoaded, now: Instant) -> list[Effect]:
    state.outbox.loaded(event.rows)
    return replay.pump(state, now)


def _replay_granted(state: ChargerState, event: ReplayGranted, now: Instant) -> list[Effect]:
    state.replay_slot = 2
    return replay.pump(state, now)


def _rows_released(state: ChargerState, event: RowsReleased, now: Instant) -> list[Effect]:
    state.outbox.released(event.count, event.early)
    return replay.pump(state, now)


def _limits_granted(state: ChargerState, event: LimitsGranted, now: Instant) -> list[Effect]:
    return steering.on_limits(state, event, now) if state.power.balanced else []


def _files_opened(state: ChargerState, event: FilesOpened, now: Instant) -> list[Effect]:
    return diagnostics.owed(state, now)


def _call_requested(state: ChargerState, event: CallRequested, now: Instant) -> list[Effect]:
    return box_calls.requested(state, event, now)


_HANDLERS: dict[type, Callable[[ChargerState, Any, Instant], list[Effect]]] = {
    ChargerConnected: _charger_connected,
    ChargerLost: _charger_lost,
    ChargerSpoke: _charger_spoke,
    CloudConnected: _cloud_connected,
    CloudLost: _cloud_lost,
    CloudSpoke: _cloud_spoke,
    Woke: _woke,
    RowsLoaded: _rows_loaded,
    ReplayGranted: _replay_granted,
    RowsReleased: _rows_released,
    CallRequested: _call_requested,
    LimitsGranted: _limits_granted,
    Rewired: rewiring.on_rewired,
    RenewalWithheld: rewiring.on_renewal_withheld,
    FirmwareFetched: firmware.on_fetched,
    UpdateOrdered: site_update.on_ordered,
    UploadOpened: diagnostics.on_opened,
    UploadForwarded: diagnostics.on_forwarded,
    FilesOpened: _files_opened,
    LogOrdered: site_log.on_ordered,
}
