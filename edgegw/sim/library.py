"""The `ocpp` package behind one small door: its ChargePoint, dataclasses, converters and errors.

Rules of this file:
- 1.6 and 2.0.1 only: in 2.1 the package's converters lose names (`limit_L2`, `soc`, ...).
- Loaded when first used; it costs a quarter of a second per version.
- The package logs a traceback for every refusal and every frame at INFO: its logger is kept silent, the
  ledgers have all of it.
"""

from __future__ import annotations

import dataclasses
import importlib
import logging
from typing import Any

from edgegw.sim.desk import V16, V201, CallRefused, Payload

VERSIONS_OF_LIBRARY = (V201, V16)
_MODULES = {V16: "ocpp.v16", V201: "ocpp.v201"}
_LOG = logging.getLogger("edgegw.sim.ocpp")
_LOG.setLevel(logging.CRITICAL + 1)


def _without_default(kind: Any) -> list[dataclasses.Field[Any]]:
    missing = dataclasses.MISSING
    return [f for f in dataclasses.fields(kind) if f.default is missing and f.default_factory is missing]


class Library:
    """version: WebSocket subprotocol, one of VERSIONS_OF_LIBRARY."""

    def __init__(self, version: str) -> None:
        module = _MODULES[version]
        # Validate on the loop: the package's default is a thread hop per message.
        importlib.import_module("ocpp.messages").ASYNC_VALIDATION = False  # type: ignore[attr-defined]
        self._convert = importlib.import_module("ocpp.charge_point")
        self._errors = importlib.import_module("ocpp.exceptions")
        self._calls = importlib.import_module(f"{module}.call")
        self._results = importlib.import_module(f"{module}.call_result")
        self._charge_point = importlib.import_module(module).ChargePoint

    def charge_point(self, identity: str, connection: Any, timeout_s: float) -> Any:
        """A ChargePoint on anything with `send` and `recv`."""
        return self._charge_point(identity, connection, response_timeout=timeout_s, logger=_LOG)

    def request(self, action: str, payload: Payload) -> Any:
        """The dataclass of a CALL. payload: wire names."""
        kind = getattr(self._calls, action)
        given = self._convert.camel_to_snake_case(payload)
        # Known of the package: some members that may be left out (requestId with Idle) have no default there.
        return kind(**{field.name: None for field in _without_default(kind)} | given)

    def result(self, action: str, payload: Payload) -> Any:
        """The dataclass of a CALLRESULT. payload: wire names."""
        return getattr(self._results, action)(**self._convert.camel_to_snake_case(payload))

    def wire_names(self, fields: dict[str, Any]) -> Payload:
        payload: Payload = self._convert.snake_to_camel_case(fields)
        return payload

    def error(self, refusal: CallRefused) -> Exception:
        """What a handler must raise for this CALLERROR."""
        kinds = {getattr(k, "code", None): k for k in self._errors.OCPPError.__subclasses__()}
        error: Exception = kinds.get(refusal.code, self._errors.InternalError)(
            description=refusal.description
        )
        return error
