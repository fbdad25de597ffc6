"""Which settings of a charger are shown, and which must not be changed from here. Pure; words for people.

Rules of this file:
- A secret is never shown and never written: a password that only the charger learns locks it out.
- What would lead the charger past this box is refused as the cloud is refused it (`core.guard`), and by what
  the key is called: vendors name it as they like.
- What balancing stands on is refused for a balanced charger.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from edgegw.core import guard
from edgegw.secret_words import names_secret
from edgegw.wire.frames import Call

_ENDS = r"(?=$|[@/])"  # of a name, before instance and EVSE
_CARD = re.compile(rf"(?:id.?tag|pass.?group(?:.?id)?)s?\d*{_ENDS}", re.IGNORECASE)
_ADDRESS = re.compile(
    r"(?:ocpp|csms|central|backend|backoffice|server|websocket|ws|host).*(?:url|uri|address|endpoint|host|domain|fqdn)",
    re.IGNORECASE,
)
_MOVES = frozenset(
    {
        "securityprofile",
        "networkconfigurationpriority",
        "ocppcsmsurl",
        "networkprofileconnectionattempts",
        "identity",
    }
)
_SMART = frozenset({"smartchargingenabled", "smartchargingctrlr.enabled", "smartchargingctrlr.available"})
_SAMPLES = frozenset({"metervaluesampleinterval", "sampleddatactrlr.txupdatedinterval"})
SAMPLE_S_MAX = 60  # later than that nobody sees in time that a limit is not kept


class Refusal(NamedTuple):
    code: str
    text: str


def is_secret(name: str) -> bool:
    return names_secret(name)


def is_card(name: str) -> bool:
    """Whether its value is the id of a card, such as the one of those who charge without a card."""
    return _CARD.search(name) is not None


def why_not(name: str, value: str, call: Call, *, balanced: bool) -> Refusal | None:
    """Why `call`, which sets `name` to `value`, is not sent; None when it may be."""
    if is_secret(name):
        text = (
            f"{name} is a secret: set here alone it locks the charger out. Let the cloud change it, or set it"
            " at the charger; the box follows a change by the cloud"
        )
        return Refusal("secret", text)
    plain_name = _plain(name)
    last = plain_name.rpartition(".")[2]
    if guard.moves(call) or last in _MOVES or _ADDRESS.search(last):
        text = (
            f"{name} decides where the charger connects: it would go past this box. Change it at the charger"
        )
        return Refusal("moves_charger", text)
    if balanced and plain_name in _SMART and value.strip().casefold() not in ("true", "1"):
        text = f"{name}: this box steers the charger by smart charging; take it out of balancing before"
        return Refusal("needed_here", text)
    if balanced and plain_name in _SAMPLES and not _is_short(value):
        text = (
            f"{name}: by these samples the box sees whether the charger keeps to its limit; give 1 to"
            f" {SAMPLE_S_MAX} seconds"
        )
        return Refusal("needed_here", text)
    return None


def note_on(name: str) -> str:
    """What people must know of a setting before they try to change it."""
    if is_secret(name):
        return "not shown: a secret; cannot be set from here"
    last = _plain(name).rpartition(".")[2]
    if last in _MOVES or _ADDRESS.search(last):
        return "decides where it connects: cannot be set from here"
    return ""


def _plain(name: str) -> str:
    """Without instances and EVSE, in lower case."""
    return re.sub(r"/[^.@]*", "", name.partition("@")[0]).casefold()


def _is_short(value: str) -> bool:
    text = value.strip()
    return text.isdecimal() and 1 <= int(text[:9]) <= SAMPLE_S_MAX
