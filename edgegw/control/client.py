"""The other end of the local API: what the command line and the console use to ask a running gateway.

Rules of this file:
- Knows `control.models` and HTTP, nothing of the gateway.
- Every way it can fail is an exception that says what to do next; none of them is httpx's.
- Proxies and other settings of the environment do not apply: the gateway is on this machine.
"""

from __future__ import annotations

import socket as net
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from edgegw.control import audit_models, event_models, faults, models, power_models
from edgegw.control.alarm_client import AlarmClient
from edgegw.control.backup_client import BackupClient
from edgegw.control.detail_client import DetailClient
from edgegw.control.faults import ControlFault, NotReachable, NotUnderstood, Refused, Silent
from edgegw.control.firmware_client import FirmwareClient
from edgegw.control.frame_client import FrameClient
from edgegw.control.snapshot_client import SnapshotClient
from edgegw.control.talks import NO_TLS, headers_of
from edgegw.control.wiring_client import WiringClient

TIMEOUT_S = 10.0
CALL_TIMEOUT_S = 1860.0  # three times the longest [chargers] answer_timeout, and some

T = TypeVar("T", bound=BaseModel)

__all__ = ["ControlClient", "ControlFault", "NotReachable", "NotUnderstood", "Refused", "Silent"]


class ControlClient(
    FirmwareClient, AlarmClient, DetailClient, SnapshotClient, FrameClient, BackupClient, WiringClient
):
    """One gateway: over its Unix socket, or over `base_url` with the token. Use as a context manager.

    Answers are models; `last` is the JSON document the last one was made from.
    """

    def __init__(
        self,
        socket: Path | None = None,
        *,
        base_url: str | None = None,
        token: str | None = None,
        read_only: bool = False,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """`read_only`: be one who may order nothing, whatever the token would allow."""
        if (socket is None) == (base_url is None):
            raise ValueError("give a socket or a base_url")
        self.where = str(socket or base_url)
        self.last: Any = None
        self._socket = socket
        self._reached = False
        self._http = httpx.Client(
            base_url=base_url or "http://edgegw",
            transport=httpx.HTTPTransport(uds=str(socket), verify=NO_TLS) if socket is not None else None,
            headers=headers_of(token, read_only),
            timeout=timeout_s,
            trust_env=False,
        )

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    # --- questions --------------------------------------------------------------------------------

    def health(self) -> models.Health:
        return self._get(models.Health, "/v1/health")

    def site(self) -> models.SiteView:
        return self._get(models.SiteView, "/v1/site")

    def chargers(self) -> models.ChargerList:
        return self._get(models.ChargerList, "/v1/chargers")

    def charger(self, identity: str) -> models.ChargerView:
        return self._get(models.ChargerView, f"/v1/chargers/{_segment(identity)}")

    def quarantine(self, identity: str) -> models.Quarantine:
        return self._get(models.Quarantine, f"/v1/chargers/{_segment(identity)}/quarantine")

    def events(
        self, charger: str | None = None, *, severity: str | None = None, limit: int | None = None
    ) -> event_models.EventList:
        """What one charger, or all, reported; of at least `severity`."""
        path = "/v1/events" if charger is None else f"/v1/chargers/{_segment(charger)}/events"
        return self._get(event_models.EventList, path, _query(severity=severity, limit=limit))

    def transactions(
        self,
        *,
        charger: str | None = None,
        running: bool | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> models.TransactionList:
        asked = _query(charger=charger, running=running, limit=limit, before=before)
        return self._get(models.TransactionList, "/v1/transactions", asked)

    def transaction(self, charger: str, transaction_id: str) -> models.TransactionView:
        path = f"/v1/transactions/{_segment(charger)}/{_segment(transaction_id)}"
        return self._get(models.TransactionView, path)

    def queue(self) -> models.QueueView:
        return self._get(models.QueueView, "/v1/queue")

    def queue_rows(
        self,
        *,
        state: str | None = None,
        charger: str | None = None,
        limit: int = 100,
        before: int | None = None,
        raw: bool = False,
    ) -> models.QueueRows:
        asked = _query(state=state, charger=charger, limit=limit, before=before, raw=raw)
        return self._get(models.QueueRows, "/v1/queue/rows", asked)

    def power(self) -> power_models.PowerView:
        return self._get(power_models.PowerView, "/v1/power")

    def audit(self, *, limit: int = 100, before: int | None = None) -> audit_models.AuditList:
        """Orders that were given to the box, newest first."""
        return self._get(audit_models.AuditList, "/v1/audit", _query(limit=limit, before=before))

    # --- orders -----------------------------------------------------------------------------------

    def resend(self, charger: str, seqs: list[int] | None = None) -> models.Resent:
        body = {"charger": charger, "seqs": seqs}
        return self._read(models.Resent, self._ask("POST", "/v1/queue/resend", json=body))

    def call(
        self,
        charger: str,
        action: str,
        payload: dict[str, Any],
        *,
        unchecked: bool = False,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> models.CallAnswer:
        """What the charger answered. Raises Silent when it did not, Refused when it could not be asked."""
        path = f"/v1/chargers/{_segment(charger)}/call"
        body = {"action": action, "payload": payload, "unchecked": unchecked}
        return self._read(models.CallAnswer, self._ask("POST", path, json=body, timeout=timeout_s))

    def set_limit(
        self,
        circuit: str,
        *,
        source: str,
        limit_a: float | None = None,
        limit_w: float | None = None,
        for_s: float | None = None,
        chargers_only: bool = False,
        floor_14a: bool = False,
        priority: int = 0,
        fallback_a: float | None = None,
    ) -> power_models.PowerView:
        body = {
            "circuit": circuit,
            "source": source,
            "limit_a": limit_a,
            "limit_w": limit_w,
            "for_s": for_s,
            "chargers_only": chargers_only,
            "floor_14a": floor_14a,
            "priority": priority,
            "fallback_a": fallback_a,
        }
        return self._read(power_models.PowerView, self._ask("POST", "/v1/limits", json=body))

    def clear_limits(
        self, *, circuit: str | None = None, source: str | None = None
    ) -> power_models.LimitCleared:
        asked = _query(circuit=circuit, source=source)
        return self._read(power_models.LimitCleared, self._ask("DELETE", "/v1/limits", params=asked))

    # --- HTTP -------------------------------------------------------------------------------------

    def _get(self, model: type[T], path: str, query: dict[str, Any] | None = None) -> T:
        return self._read(model, self._ask("GET", path, params=query))

    def raw(self, path: str) -> bytes:
        """Any document as it came: for who only keeps it."""
        answer = self._ask("GET", path)
        if not answer.is_success:
            self._refuse(answer)
        return answer.content

    def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        with self._talking():
            return self._http.request(method, path, **request)

    @contextmanager
    def _streaming(
        self, path: str, query: dict[str, Any] | None = None, *, method: str = "GET", **request: Any
    ) -> Iterator[httpx.Response]:
        with self._talking(), self._http.stream(method, path, params=query, **request) as answer:
            if not answer.is_success:
                answer.read()
                self._refuse(answer)
            yield answer

    @contextmanager
    def _talking(self) -> Iterator[None]:
        """What can go wrong with HTTP is one of the faults of this file."""
        try:
            if not self._reached:
                self._knock()
        except OSError as error:
            raise faults.unreachable(self.where, error) from error
        try:
            yield
            self._reached = True
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            self._reached = self._reached and isinstance(error, httpx.TimeoutException)
            raise faults.of_httpx(self.where, error) from error

    def _knock(self) -> None:
        """Is anybody there? When not, httpx would leave an open socket to the garbage collector."""
        if self._socket is None:
            return
        with net.socket(net.AF_UNIX, net.SOCK_STREAM) as probe:
            probe.settimeout(TIMEOUT_S)
            probe.connect(str(self._socket))

    def _read(self, model: type[T], answer: httpx.Response) -> T:
        if not answer.is_success:
            self._refuse(answer)
        try:
            self.last = answer.json()
            return model.model_validate(self.last)
        except (ValidationError, ValueError) as error:
            raise faults.strange(self.where, answer) from error

    def _refuse(self, answer: httpx.Response) -> NoReturn:
        with suppress(ValueError):
            self.last = answer.json()
        faults.refuse(self.where, answer)


def _segment(text: str) -> str:
    return quote(text, safe="")


def _query(**asked: Any) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if value is not None}
