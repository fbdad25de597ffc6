"""Each charger for the view: what it is, its cloud, its connectors, its transactions.

Rules of this file:
- This runs for every charger every second: what was made of the same facts is handed out again, as the same
  object, so that the topics made of it are not made anew either. No pydantic here.
- Read only. Whatever a charger wrote is a text, cut to a length and without secrets, and decides nothing.
- Connectors are those of OCPP 1.6 and the EVSEs of 2.x. Number 0, the charger itself, is none.
"""

from __future__ import annotations

from typing import Any

from edgegw.control.drawn import word_of
from edgegw.control.verdict import verdict
from edgegw.core import plugs
from edgegw.core.cloud_cap import connector_of
from edgegw.core.events import Instant
from edgegw.core.power import ConnectorPower
from edgegw.core.state import ChargerState
from edgegw.mqtt import payloads
from edgegw.mqtt.numbers import clipped, rounded, utc
from edgegw.mqtt.snapshot_box import host_of
from edgegw.mqtt.snapshot_draw import UNKNOWN, DrawMaker
from edgegw.mqtt.snapshot_sessions import Ended, SessionMaker
from edgegw.mqtt.view import ChargerFacts
from edgegw.redaction import HIDDEN, is_harmless
from edgegw.runtime.session import Session

VERDICT_EVERY_S = 10.0  # it counts messages and amps: retained topics need not follow each of them
CONNECTORS_MAX = 64  # `core.sanity.CONNECTOR_MAX`


class ChargerMaker:
    """One charger."""

    __slots__ = (
        "_cloud",
        "_connectors",
        "_draws",
        "_facts",
        "_identity",
        "_info",
        "_numbers",
        "_sessions",
        "_verdict",
    )

    def __init__(self, identity: str, sessions: SessionMaker) -> None:
        self._identity = identity
        self._sessions = sessions
        self._info: tuple[Any, payloads.ChargerInfo] | None = None
        self._cloud: tuple[Any, payloads.ChargerCloud] | None = None
        self._numbers: tuple[Any, tuple[int, ...]] | None = None
        self._verdict: tuple[Any, float, str] = (None, float("-inf"), "")
        self._connectors: dict[int, tuple[Any, payloads.ConnectorState]] = {}
        self._draws: dict[int, DrawMaker] = {}
        self._facts: ChargerFacts | None = None

    def facts(
        self, session: Session | None, firmware: payloads.FirmwareState, cloud_url: str, now: Instant
    ) -> ChargerFacts:
        if session is None:
            return self._kept(_never_seen(self._identity, firmware, cloud_url))
        state = session.charger.state
        ended = self._sessions.ended(self._identity, state)
        numbers = self._numbers_of(state, ended)
        return self._kept(
            ChargerFacts(
                online=session.charger_leg is not None,
                info=self._info_of(session, numbers, now),
                cloud=self._cloud_of(session, cloud_url),
                connectors={number: self._connector(session, number, now) for number in numbers},
                sessions=self._sessions.sessions(self._identity, state, numbers, ended),
                firmware=firmware,
            )
        )

    def _kept(self, made: ChargerFacts) -> ChargerFacts:
        if self._facts is None or made != self._facts:
            self._facts = made
        return self._facts

    # --- what it is ------------------------------------------------------------------------------

    def _numbers_of(self, state: ChargerState, ended: Ended) -> tuple[int, ...]:
        running = [(record.evse, record.connector) for record in state.transactions.running.values()]
        metered = state.energy.totals_wh
        key = (tuple(state.connectors), running, ended, tuple(metered))
        if self._numbers is None or self._numbers[0] != key:
            found = {*state.power.connectors, *(_number(name) for name in state.connectors), *ended, *metered}
            found.update(connector_of(state, evse or connector) for evse, connector in running)
            numbers = sorted(number for number in found if number > 0)
            self._numbers = key, tuple(numbers[:CONNECTORS_MAX])
        return self._numbers[1]

    def _info_of(self, session: Session, numbers: tuple[int, ...], now: Instant) -> payloads.ChargerInfo:
        state = session.charger.state
        words = self._verdict_of(session, now)
        key = (state.profile, session.version, words, numbers, state.power.quirks.names)
        if self._info is None or self._info[0] != key:
            self._info = key, _info(session, numbers, words)
        return self._info[1]

    def _verdict_of(self, session: Session, now: Instant) -> str:
        """At once when it comes, goes, or begins to charge; else now and then."""
        state = session.charger.state
        legs = (session.charger_leg is None, session.cloud_leg is None)
        key = (*legs, state.profile, tuple(state.transactions.running))
        if self._verdict[0] != key or now.mono - self._verdict[1] >= VERDICT_EVERY_S:
            self._verdict = key, now.mono, clipped(verdict(session))
        return self._verdict[2]

    def _cloud_of(self, session: Session, cloud_url: str) -> payloads.ChargerCloud:
        state = session.charger.state
        outbox, url = state.outbox, state.profile.cloud_url or cloud_url
        connected = session.cloud_leg is not None
        key = (connected, session.cloud_since, url, len(outbox), outbox.parked, session.cloud_error)
        if self._cloud is None or self._cloud[0] != key:
            self._cloud = key, payloads.ChargerCloud(
                connected=connected,
                since=utc(session.cloud_since),
                url_host=host_of(url),
                queue_depth=len(outbox),
                parked=outbox.parked,
                last_error=clipped(session.cloud_error),
            )  # fmt: skip
        return self._cloud[1]

    # --- its connectors --------------------------------------------------------------------------

    def _connector(self, session: Session, number: int, now: Instant) -> payloads.ConnectorState:
        state = session.charger.state
        status = plugs.status_of(state, number)
        power = state.power.connectors.get(number)
        record = plugs.running_on(state, number)
        draw = UNKNOWN
        if session.charger_leg is not None:
            word, sample = word_of(state, status, power, record), state.samples.get(number)
            maker = self._draws.setdefault(number, DrawMaker())
            draw = maker.draw(power, sample, word, state.power.nominal_v, now)
        limit = (power.granted_a, power.why, power.binding) if power is not None else None
        running = clipped(record.id) if record is not None else None
        key = (status, draw, state.energy.total_wh(number), limit, running)
        known = self._connectors.get(number)
        if known is not None and known[0] == key:
            return known[1]
        made = _connector(number, key, power)
        self._connectors[number] = key, made
        return made


def _connector(number: int, key: tuple[Any, ...], power: ConnectorPower | None) -> payloads.ConnectorState:
    status, draw, energy, limit, running = key
    limit_a, why, binding = limit if limit is not None else (None, "", None)
    return payloads.ConnectorState(
        connector=number,
        status=clipped(status.status) if status is not None else "",
        error_code=clipped(status.error_code) if status is not None else "",
        info=_harmless(status.info) if status is not None else "",
        power_w=draw.power_w,
        current_l_a=draw.current_l_a,
        energy_wh=energy,
        limit_a=rounded(limit_a),
        limit_reason=clipped(why),
        limit_binding=binding.value if binding is not None else "",
        phases=power.wiring.phases if power is not None else None,
        transaction=running,
    )


def _harmless(info: str) -> str:
    """The charger's own words: they may name a card."""
    return clipped(info) if not info or is_harmless(info) else HIDDEN


def _info(session: Session, numbers: tuple[int, ...], words: str) -> payloads.ChargerInfo:
    state = session.charger.state
    profile = state.profile
    return payloads.ChargerInfo(
        identity=session.identity,
        vendor=clipped(profile.vendor),
        model=clipped(profile.model),
        serial=clipped(profile.serial),
        firmware=clipped(profile.firmware),
        protocol=session.version.value,
        registration=profile.registration.value,
        quirks=state.power.quirks.names,
        connectors=numbers,
        verdict=words,
    )


def _number(name: str) -> int:
    """1.6 "2", 2.x "1.2": the EVSE; 0 for what is no number."""
    head = name.partition(".")[0]
    return int(head) if head.isascii() and head.isdigit() and len(head) < 6 else 0


def _never_seen(identity: str, firmware: payloads.FirmwareState, cloud_url: str) -> ChargerFacts:
    """It stands in the site file and has never connected."""
    info = payloads.ChargerInfo(
        identity=identity,
        vendor="",
        model="",
        serial="",
        firmware="",
        protocol="",
        registration="never",
        quirks=(),
        connectors=(),
        verdict="has never connected",
    )
    cloud = payloads.ChargerCloud(
        connected=False, since=None, url_host=host_of(cloud_url), queue_depth=0, parked=0, last_error=""
    )
    return ChargerFacts(online=False, info=info, cloud=cloud, firmware=firmware)
