"""What chargers, cloud and wires saw: plain notes, written once by the models and read by the checkers.

Nothing in here knows the gateway. `n` is one counter for the whole world, so that two notes of one
instant have an order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

CALL, RESULT, ERROR = 2, 3, 4


@dataclass(slots=True)
class Text:
    """One text message on one socket."""

    n: int
    charger: str
    side: str  # "charger" or "cloud": whose socket to the box
    up: bool  # towards the cloud
    leg: int
    raw: bytes
    frame: list[Any]  # parsed
    sent_at: float
    got_at: float | None = None  # None: lost
    got_n: int = 0
    row_on_disk: bool | None = None  # box to charger, answers: was its row durable when this left?

    @property
    def kind(self) -> int:
        return self.frame[0]

    @property
    def id(self) -> str:
        return self.frame[1]


@dataclass(slots=True)
class Message:
    """One transaction message of a charger, over all its transmissions."""

    n: int
    charger: str
    action: str
    session: Charging | None
    made_at: float
    id: str = ""  # given with the first transmission
    raw: bytes = b""
    sent: list[Text] = field(default_factory=list)
    answer: Text | None = None  # the CALLRESULT the charger took
    given_up: bool = False  # refused too often, or the charger forgot it
    in_flight: bool = False
    attempts: int = 0
    retry_at: float = 0.0
    part: str = ""  # "start", "sample", "stop", "clock"
    payload: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Charging:
    """One session at a connector as the charger knows it."""

    n: int
    charger: str
    connector: int
    tag: str
    meter_start_wh: int
    meter_wh: int
    id: Any = None  # 1.6: as told by StartTransaction.conf; 2.x: the charger's own
    start: Message | None = None
    stopped: bool = False
    seq_no: int = 0


@dataclass(slots=True)
class Asked:
    """One transmission of a CALL by a charger."""

    charger: str
    text: Text
    message: Message | None
    action: str
    payload: dict[str, Any]
    answers: list[Text] = field(default_factory=list)
    gave_up_at: float | None = None  # the charger's patience ended, the socket still open
    must_wait: bool = False  # the cloud's last word was Pending or Rejected: nobody else may answer


@dataclass(slots=True)
class Arrival:
    """One CALL that reached the cloud."""

    charger: str
    text: Text
    action: str
    payload: dict[str, Any]
    processed: bool = False
    replies: list[Text] = field(default_factory=list)


@dataclass(slots=True)
class CloudCall:
    """One CALL the cloud made."""

    charger: str
    text: Text
    action: str
    payload: dict[str, Any]
    answers: list[Text] = field(default_factory=list)


@dataclass(slots=True)
class Leg:
    """One WebSocket. `open_until`: when the box or the wire ended it."""

    number: int
    charger: str
    side: str
    opened_at: float
    open_until: float = float("inf")


@dataclass(slots=True)
class Ledger:
    texts: list[Text] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    sessions: list[Charging] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    cloud_calls: list[CloudCall] = field(default_factory=list)
    legs: dict[int, Leg] = field(default_factory=dict)
    cuts: list[float] = field(default_factory=list)  # the box lost power or was killed
    starts: list[float] = field(default_factory=list)  # the box was up again
    store_failures: list[float] = field(default_factory=list)
    rebuilds: list[tuple[float, str]] = field(default_factory=list)  # (when, charger)
    strays: list[Text] = field(default_factory=list)  # answers nobody had asked for, at charger or cloud
    versions: dict[str, str] = field(default_factory=dict)
    parked: dict[tuple[str, str], bytes] = field(
        default_factory=dict
    )  # at the end, (charger, message id) -> raw
    stored: dict[tuple[str, str], bytes] = field(default_factory=dict)  # still waiting at the end
    ever_parked: set[tuple[str, bytes]] = field(default_factory=set)  # (charger, raw)
    calm_from: float = 0.0
    ended_at: float = 0.0
    queued_at_end: dict[str, int] = field(default_factory=dict)  # transaction messages, by charger
    bugs: list[str] = field(default_factory=list)  # exceptions of the core
