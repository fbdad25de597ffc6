"""How each command is carried out: through the same desks as the orders of the local API.

Rules of this file:
- Nothing is decided here that the API does not decide too; a `Problem` of its desks goes to the asker as it
  is.
- What goes back is small and flat: no lists of all chargers, no card ids, no links.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Set
from typing import Any, Protocol

from pydantic import ValidationError

from edgegw.config_mqtt import Mqtt, Verb
from edgegw.control import detail_models as detail
from edgegw.control import firmware_models, models, ocpp_calls, power_models
from edgegw.control.action_desk import masked
from edgegw.control.service import Service
from edgegw.mqtt import requests
from edgegw.mqtt.commands import CommandFailed
from edgegw.mqtt.requests import Request
from edgegw.mqtt.topics import slugs
from edgegw.runtime.gateway import Gateway

Data = dict[str, Any]


class AlarmDesk(Protocol):
    def acknowledge(self, alarm_id: str, by: str, /) -> object:
        """KeyError: there is no such alarm."""


class _Names:
    """Who is meant by an identity or by a name in topics; made anew only when the chargers are others."""

    def __init__(self) -> None:
        self._identities: frozenset[str] = frozenset()
        self._by_topic: dict[str, str] = {}

    def find(self, name: str, named: Set[str], others: Set[str]) -> str | None:
        """A charger that the site file names gives way to no stranger who calls itself by its topic."""
        identities = frozenset(named | others)
        if identities != self._identities:
            self._identities = identities
            self._by_topic = {topic: identity for identity, topic in slugs(identities, named).items()}
        if name in named:
            return name
        return self._by_topic.get(name) or (name if name in identities else None)


class Verbs:
    """`commands.Executor` of a running gateway. `alarms` None: this box keeps none."""

    def __init__(
        self, service: Service, gateway: Gateway, settings: Mqtt, alarms: AlarmDesk | None = None
    ) -> None:
        self._service = service
        self._gateway = gateway
        self._settings = settings
        self._alarms = alarms
        self._names = _Names()
        self._ways: Mapping[Verb, Callable[[Any, tuple[str, ...]], Awaitable[Data]]] = {
            "limit/set": self._limit_set,
            "limit/release": self._limit_release,
            "charger/availability": self._call,
            "charger/reset": self._call,
            "charger/unlock": self._call,
            "charger/start": self._call,
            "charger/stop": self._call,
            "charger/trigger": self._call,
            "alarm/ack": self._alarm_ack,
            "firmware/update": self._firmware_update,
            "diagnostics/get": self._diagnostics_get,
            "queue/resend": self._queue_resend,
            "health_check": self._health_check,
        }

    def find(self, name: str) -> str | None:
        return self._names.find(name, self._gateway.named, self._gateway.sessions.keys())

    async def run(self, verb: Verb, request: Request, chargers: tuple[str, ...]) -> Data:
        return await self._ways[verb](request, chargers)

    # --- power --------------------------------------------------------------------------------------

    async def _limit_set(self, asked: requests.LimitSet, chargers: tuple[str, ...]) -> Data:
        view = await self._service.power.set_limit(self._order(asked), _asker(asked.source))
        circuit = asked.circuit or self._root()
        held = next(
            one
            for one in view.limits
            if (one.source, one.circuit, one.chargers_only) == (asked.source, circuit, asked.chargers_only)
        )
        effective_a, bound_by = _effective(view, circuit)
        return {
            "circuit": circuit,
            "limit_a": min(amps for amps in held.limit_a if amps is not None),
            "effective_a": effective_a,
            "bound_by": bound_by,
            "until": held.until,
            "fallback_a": self._fallback_a(asked),
        }

    def _order(self, asked: requests.LimitSet) -> power_models.LimitOrder:
        settings = self._settings
        return power_models.LimitOrder(
            source=asked.source,
            circuit=asked.circuit,
            limit_a=asked.limit_a if isinstance(asked.limit_a, float) else None,
            limit_w=asked.limit_w if isinstance(asked.limit_w, float) else None,
            chargers_only=asked.chargers_only,
            floor_14a=asked.floor_14a,
            priority=asked.priority,
            for_s=asked.expires_s if isinstance(asked.expires_s, float) else settings.limit_expiry_s,
            fallback_a=self._fallback_a(asked),
        )

    def _fallback_a(self, asked: requests.LimitSet) -> float | None:
        return asked.fallback_a if isinstance(asked.fallback_a, float) else self._settings.limit_fallback_a

    async def _limit_release(self, asked: requests.LimitRelease, chargers: tuple[str, ...]) -> Data:
        circuit = self._root() if asked.circuit == "" else asked.circuit
        cleared = await self._service.power.clear_limits(circuit, asked.source, _asker(asked.source))
        return {"released": cleared.cleared}

    def _root(self) -> str:
        """The circuit of the whole site; "" where nothing is balanced."""
        load = self._gateway.load
        return "" if load is None else next(c.name for c in load.control.plan.circuits if not c.parent)

    # --- chargers -----------------------------------------------------------------------------------

    async def _call(self, asked: Request, chargers: tuple[str, ...]) -> Data:
        (identity,) = chargers
        told = await self._service.actions.ask(identity, order_of(asked), _asker())
        card = asked.id_token if isinstance(asked, requests.Start) else ""
        return _told(identity, told.action, told.answer, card)

    async def _diagnostics_get(self, asked: requests.DiagnosticsGet, chargers: tuple[str, ...]) -> Data:
        (identity,) = chargers
        upload = await self._service.diagnostics.ask(identity, asked.kind, _asker())
        return {"upload": upload.order, "state": upload.state}

    async def _firmware_update(self, asked: requests.FirmwareUpdate, chargers: tuple[str, ...]) -> Data:
        file = self._file(asked.file)
        try:
            order = firmware_models.RolloutOrder(
                sha256=file.sha256,
                version=asked.version,
                chargers=list(chargers),
                at_once=asked.at_once,
                only_idle=asked.only_idle,
                window=asked.window,
                failures_max=asked.failures_max,
            )
        except ValidationError as error:
            first = error.errors()[0]
            raise CommandFailed("malformed", f"{first['loc'][0]}: {first['msg']}") from error
        rollout = await self._service.firmware.begin(order, _asker())
        return {"rollout": rollout.id, "state": rollout.state, "file": rollout.name, "sha256": rollout.sha256}

    def _file(self, wanted: str) -> firmware_models.FileView:
        files = self._service.firmware.firmware().files
        found = [file for file in files if wanted in (file.sha256, file.name)]
        if not found:
            raise CommandFailed("no_such_file", "no file of this name or sha256 is kept here")
        if len(found) > 1:
            text = f"{len(found)} files have this name; give the sha256 of one"
            raise CommandFailed("several_files", text)
        return found[0]

    # --- the box ------------------------------------------------------------------------------------

    async def _alarm_ack(self, asked: requests.AlarmAck, chargers: tuple[str, ...]) -> Data:
        if self._alarms is None:
            raise CommandFailed("no_alarms", "this box keeps no alarms")
        try:
            self._alarms.acknowledge(asked.alarm, asked.by)
        except KeyError:
            raise CommandFailed("no_such_alarm", "no alarm has this id now") from None
        return {"alarm": asked.alarm, "by": asked.by}

    async def _queue_resend(self, asked: requests.QueueResend, chargers: tuple[str, ...]) -> Data:
        (identity,) = chargers
        seqs = list(asked.seqs) if asked.seqs is not None else None
        resent = await self._service.resend(models.Resend(charger=identity, seqs=seqs), _asker())
        return {"charger": identity, "resent": resent.resent}

    async def _health_check(self, asked: requests.HealthCheck, chargers: tuple[str, ...]) -> Data:
        health = await self._service.health()
        return {
            "status": health.status,
            "reasons": list(health.reasons),
            "warnings": list(health.warnings),
            "version": health.version,
            "uptime_s": round(health.uptime_s),
            "queue_depth": health.store.stored,
            "parked": health.store.parked,
            "cloud": health.cloud.mode,
            "clock_trusted": health.clock.trusted,
        }


def _asker(who: str = "") -> str:
    return f"mqtt {who}".rstrip()


def _effective(view: power_models.PowerView, circuit: str) -> tuple[float | None, str]:
    """The lowest limit on the way from a circuit to the grid, amps on its tightest phase, and whose it is."""
    by_name = {one.name: one for one in view.circuits}
    lowest: tuple[float, str] | None = None
    while circuit in by_name:
        one = by_name[circuit]
        known = [amps for amps in one.limit_a if amps is not None]
        if known and (lowest is None or min(known) < lowest[0]):
            lowest = min(known), one.limit_source
        circuit = one.parent
    return lowest or (None, "")


def order_of(asked: Request) -> detail.Order:
    """The same as an order of the local API. KeyError for a request that is no action on a charger."""
    return _ORDERS[type(asked)](asked)


def _stop(asked: requests.Stop) -> detail.Stop:
    session = None if asked.session is None else str(asked.session)
    return detail.Stop(transaction=session, connector=asked.connector)


def _start(asked: requests.Start) -> detail.Start:
    return detail.Start(id_tag=asked.id_token, connector=asked.connector, id_token_type=asked.id_token_type)


_ORDERS: Mapping[type[Request], Callable[[Any], detail.Order]] = {
    requests.Availability: lambda asked: detail.Availability(
        operative=asked.operative, connector=asked.connector
    ),
    requests.Reset: lambda asked: detail.Reset(kind=asked.type, force=True),
    requests.Unlock: lambda asked: detail.Unlock(connector=asked.connector),
    requests.Start: _start,
    requests.Stop: _stop,
    requests.Trigger: lambda asked: detail.Trigger(message=asked.message, connector=asked.connector),
}


def _told(identity: str, action: str, answer: models.CallAnswer, card: str) -> Data:
    """Raises CommandFailed for a no. Everyone on the broker may read it, so `card` is masked in it."""
    if answer.outcome == "error":
        text = f"{identity} answered {action} with {answer.code}: {answer.description}"
        raise CommandFailed("charger_error", masked(text, card))
    status = {name: masked(word, card) for name, word in ocpp_calls.status_of(answer.payload).items()}
    if status["status"] not in ocpp_calls.DONE:
        text = f"{identity} answered {action} with {status['status'] or 'no status'}"
        raise CommandFailed("charger_refused", text, status)
    return status
