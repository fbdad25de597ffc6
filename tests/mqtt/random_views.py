"""Views as a gateway could give them, by a seed: every field of every payload, unknown ones included."""

from __future__ import annotations

import random
import string
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from edgegw.mqtt import payloads
from edgegw.mqtt.numbers import utc
from edgegw.mqtt.view import ChargerFacts, View

_NAMES = ["CP-7", "cp-7", "CP 7", "Säule 1", "a/b#+", "x" * 48, "x" * 47 + "!", "grid", "", "2", "\u2603"]
_CHARACTERS = string.printable + 'äß€\u2028\U0001f50c"\\\x00\x7f'


class Views:
    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def view(self) -> View:
        fixed = ("info", "health", "cloud", "site", "balancer")
        types = get_type_hints(View)
        return View(
            at=self.chance.choice([0.0, 1.8e9]),
            **{name: self.of(types[name]) for name in fixed},
            meters=self._named(payloads.MeterState),
            circuits=self._named(payloads.CircuitState),
            limits=self._named(payloads.LimitState),
            chargers={name: self._charger() for name in self._some(_NAMES)},
            alarms={f"alarm-{n}": self.of(payloads.AlarmState) for n in range(self.chance.randrange(4))},
        )

    def _charger(self) -> ChargerFacts:
        numbers = self._some([1, 2, 3, 64])
        return ChargerFacts(
            online=self.chance.random() < 0.5,
            info=self.of(payloads.ChargerInfo),
            cloud=self.of(payloads.ChargerCloud),
            connectors={number: self.of(payloads.ConnectorState) for number in numbers},
            sessions={number: self.of(payloads.SessionState) for number in self._some(numbers)},
            firmware=self.of(payloads.FirmwareState),
        )

    def _named(self, kind: type) -> dict[str, Any]:
        return {name: self.of(kind) for name in self._some(_NAMES)}

    def _some(self, things: list) -> list:
        return self.chance.sample(things, self.chance.randrange(len(things) + 1))

    def of(self, kind: Any) -> Any:
        """A value of an annotation of `payloads`."""
        if kind is payloads.Time:
            return utc(self.chance.choice([1.0, 0.004, 4e9, 1.8e9 + self.chance.random()]))
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is Annotated:
            return self.of(arguments[0])
        if origin is Literal:
            return self.chance.choice(arguments)
        if origin is Union or type(kind).__name__ == "UnionType":
            return self.of(self.chance.choice(arguments))
        if origin is tuple and arguments[-1] is Ellipsis:
            return tuple(self.of(arguments[0]) for _ in range(self.chance.randrange(4)))
        if origin is tuple:
            return tuple(self.of(argument) for argument in arguments)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            types = get_type_hints(kind, include_extras=True)
            return kind(**{name: self.of(types[name]) for name in kind.__struct_fields__})
        return self._plain(kind)

    def _plain(self, kind: Any) -> Any:
        if kind is str:
            return "".join(self.chance.choices(_CHARACTERS, k=self.chance.choice([0, 1, 30, 300])))
        if kind is bool:
            return self.chance.random() < 0.5
        if kind is int:
            return self.chance.choice([0, 1, 2**53, -5, 2**62])
        if kind is float:
            return self.chance.choice([0.0, -0.1, 16, 63.0, 1e-9, 1e15, 5e-324, self.chance.random()])
        assert kind is type(None), kind
        return None
