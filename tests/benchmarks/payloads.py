"""What the chargers of a benchmark say: OCPP 1.6 messages of the two sizes that the bars name.

Rules of this file:
- Every message has an id of its own and values of its own: a gateway may answer a repeated message from
  memory, and a line of equal bytes is not what a site looks like.
- Sizes do not vary: 205 bytes of StatusNotification, 1.5 KB of MeterValues with 10 samples.
"""

from __future__ import annotations

import itertools

STATUS_BYTES = 205
_STATES = ("Available", "Preparing", "Charging", "SuspendedEV", "Finishing")
_MEASURANDS = (
    ("Energy.Active.Import.Register", "", "Wh"),
    ("Power.Active.Import", "", "W"),
    ("Current.Import", "L1", "A"),
    ("Current.Import", "L2", "A"),
    ("Current.Import", "L3", "A"),
    ("Voltage", "L1", "V"),
    ("Voltage", "L2", "V"),
    ("Voltage", "L3", "V"),
    ("Temperature", "", "Celsius"),
    ("SoC", "", "Percent"),
)


class Words:
    """The messages of one charger. `transaction`: the id its cloud, or the box, gave it last."""

    def __init__(self, number: int) -> None:
        self.transaction = 0
        self._number = number
        self._count = itertools.count(1)

    def _next(self) -> tuple[int, str]:
        count = next(self._count)
        return count, f"{self._number:08x}-bea7-4000-8000-{count:012x}"

    def boot(self) -> bytes:
        _, key = self._next()
        payload = f'{{"chargePointVendor":"Benchmark","chargePointModel":"M1","firmwareVersion":"{key[:8]}"}}'
        return f'[2,"{key}","BootNotification",{payload}]'.encode()

    def heartbeat(self) -> bytes:
        return f'[2,"{self._next()[1]}","Heartbeat",{{}}]'.encode()

    def status(self) -> bytes:
        """A connector that is in another state each time: each one is news to the gateway."""
        return self._status(_STATES[(self._number + next(self._count)) % len(_STATES)])

    def status_again(self) -> bytes:
        """The same state once more, at another time."""
        return self._status("Available")

    def _status(self, state: str) -> bytes:
        count, key = self._next()
        body = (
            f'[2,"{key}","StatusNotification",{{"connectorId":1,"errorCode":"NoError","status":"{state}",'
            f'"timestamp":"{_time(count)}","vendorId":"'
        )
        return f'{body}{"v" * (STATUS_BYTES - len(body) - 3)}"}}]'.encode()

    def start(self) -> bytes:
        count, key = self._next()
        payload = f'"connectorId":1,"idTag":"BENCH{self._number:04d}","meterStart":{count}'
        return f'[2,"{key}","StartTransaction",{{{payload},"timestamp":"{_time(count)}"}}]'.encode()

    def stop(self) -> bytes:
        count, key = self._next()
        payload = f'"transactionId":{self.transaction},"meterStop":{count},"timestamp":"{_time(count)}"'
        return f'[2,"{key}","StopTransaction",{{{payload},"reason":"EVDisconnected"}}]'.encode()

    def meter(self) -> bytes:
        """Ten samples, as a car that charges on three phases gives them."""
        count, key = self._next()
        samples = ",".join(
            f'{{"value":"{_value(index, count)}","context":"Sample.Periodic","format":"Raw",'
            f'"measurand":"{name}",{phase and f""""phase":"{phase}","""}"location":"Outlet","unit":"{unit}"}}'
            for index, (name, phase, unit) in enumerate(_MEASURANDS)
        )
        values = f'[{{"timestamp":"{_time(count)}","sampledValue":[{samples}]}}]'
        payload = f'"connectorId":1,"transactionId":{self.transaction},"meterValue":{values}'
        return f'[2,"{key}","MeterValues",{{{payload}}}]'.encode()

    def firmware(self, status: str) -> bytes:
        return f'[2,"{self._next()[1]}","FirmwareStatusNotification",{{"status":"{status}"}}]'.encode()

    def life(self, meters: int = 3) -> itertools.cycle[str]:
        """The order of a car that comes, charges and leaves."""
        return itertools.cycle(("start", *["meter"] * meters, "stop"))


def _time(count: int) -> str:
    day, hour, minute = 1 + count // 86400 % 28, count // 3600 % 24, count // 60 % 60
    return f"2026-07-{day:02d}T{hour:02d}:{minute:02d}:{count % 60:02d}Z"


def _value(index: int, count: int) -> str:
    return f"{100000 + count}" if index == 0 else f"{10 + index + count % 1000 / 1000:.3f}"
