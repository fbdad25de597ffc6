"""The site file that `edgegw init` writes: from answers to commented TOML. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass

NONE = "none"


@dataclass(frozen=True, slots=True)
class Answers:
    """What was asked, as it stands in the file; NONE where there is none."""

    site_id: str
    fuse: float = 63.0  # amps per phase; 0: nothing is balanced
    phases: str = "L1 L2 L3"
    reserve: float = 0.0
    meter: str = NONE  # its address
    meter_template: str = ""
    meter_unit: int | None = None
    cloud: str = NONE
    listen: str = "0.0.0.0:9000"
    chargers: tuple[str, ...] = ()
    unknown: str = "refuse"
    store: str = "/var/lib/edgegw"
    socket: str = ""  # "": beside the store
    mqtt: str = NONE


def site_text(answers: Answers) -> str:
    """A site file that says why each line is there."""
    a = answers
    parts = [
        _HEAD,
        _SITE.format(id=_toml(a.site_id)),
        _CHARGERS.format(listen=_toml(a.listen), unknown=_toml(a.unknown), known=_known(a.chargers)),
        _NO_CLOUD if a.cloud == NONE else _CLOUD.format(url=_toml(a.cloud)),
        _STORE.format(directory=_toml(a.store)),
        _CONTROL.format(socket=f"socket = {_toml(a.socket)}" if a.socket else _SOCKET),
        *_power(a),
        _NO_MQTT if a.mqtt == NONE else _MQTT.format(broker=_toml(a.mqtt)),
    ]
    return "\n".join(parts)


def _toml(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _known(identities: tuple[str, ...]) -> str:
    return "".join(f"\n    {_toml(identity)}," for identity in identities) + ("\n" if identities else "")


def _power(a: Answers) -> list[str]:
    if not a.fuse:
        return [_NOT_BALANCED]
    unit = "" if a.meter_unit is None else f"unit = {a.meter_unit}\n"
    template, address = _toml(a.meter_template), _toml(a.meter)
    meters = [_METER.format(template=template, address=address, unit=unit)] if a.meter != NONE else []
    measured = 'meter = "main"' if a.meter != NONE else _UNMEASURED
    circuit = _CIRCUIT.format(fuse=f"{a.fuse:g}", reserve=f"{a.reserve:g}", meter=measured)
    phases = _toml(a.phases)
    connectors = [_CONNECTOR.format(charger=_toml(name), phases=phases) for name in a.chargers]
    return [*meters, circuit, *(connectors or [_NO_CONNECTOR.format(phases=phases)])]


# --- the text ---------------------------------------------------------------------------------------

_HEAD = """\
# The site file of edgegw, written by `edgegw init`. A key that is commented out shows its default, or an
# example; config/edgegw.toml of the distribution has all there are.
#
#   edgegw check --config THIS-FILE     says what is wrong, with line and what is allowed
#   edgegw run --config THIS-FILE
"""

_SITE = """\
[site]
id = {id}
# name = "Parking deck at the depot"    # for people
# timezone = "Europe/Berlin"            # of schedules; UTC without it
"""

_CHARGERS = """\
# Chargers dial ws://THIS-BOX:PORT/ocpp/<their identity>.
[chargers]
listen = {listen}
# Who may come in. "refuse": only those in known. "accept": whoever dials, while a site is commissioned.
unknown = {unknown}
known = [{known}]
# Both or none; without them keep the chargers on a network of their own.
# tls_certificate = "tls/edgegw.crt"
# tls_key = "tls/edgegw.key"
"""

_CLOUD = """\
# The operator's CSMS. While it is away this box answers the chargers, and delivers later.
[cloud]
url = {url}
# ca_file = "tls/cloud-ca.pem"          # instead of the system's authorities
"""

_NO_CLOUD = """\
# No cloud: this box is the CSMS of the site. With one:
# [cloud]
# url = "wss://csms.example/ocpp"       # "/" and the identity are appended

# So it decides who may charge: "accept" everybody, or list the cards below.
[authorization]
unknown_tags = "refuse"
[authorization.tags]
# "04A1B2C3D4E5F6" = "Accepted"
"""

_STORE = """\
# Records of charging: on a disk, not in memory. What waits for the cloud is never deleted.
[store]
directory = {directory}
# retention = "400 days"                # of delivered records
"""

_CONTROL = """\
# For `edgegw status`, the console and their sisters.
[control]
{socket}
"""

_SOCKET = '# socket = "edgegw.sock"                # default: in the folder of the store'

_NOT_BALANCED = """\
# Nothing is balanced: chargers draw what they like. [[circuit]] and [[connector]] keep the main fuse.
"""

_METER = """\
# What the whole site draws. `edgegw meter read` shows what it says.
[[meter]]
name = "main"
template = {template}
address = {address}
{unit}"""

_CIRCUIT = """\
# The main fuse, in amps per phase. reserve: what else may draw here while no meter says so.
[[circuit]]
name = "main"
fuse = {fuse}
{meter}
reserve = {reserve}
"""

_UNMEASURED = '# meter = "main"                        # with a [[meter]] what others draw is seen'

_CONNECTOR = """\
# phases: those of the grid, in the order of the charger's terminals. max: the charger's own fuse.
[[connector]]
charger = {charger}
connector = 1
circuit = "main"
phases = {phases}
# max = 32
# safe = 6                              # what it may draw while nobody steers it
"""

_NO_CONNECTOR = """\
# One for each place where a car plugs in; only these are balanced.
# [[connector]]
# charger = "CP-1"
# connector = 1
# circuit = "main"
# phases = {phases}                     # those of the grid, in the order of the charger's terminals
# max = 32
"""

_MQTT = """\
# The building over MQTT. It may look; it may order only what commands names.
[mqtt]
broker = {broker}
# username = "edgegw"
# password_file = "mqtt.password"       # one line; readable by nobody else
# commands = []
"""

_NO_MQTT = """\
# The building over MQTT:
# [mqtt]
# broker = "mqtt://10.0.0.9"
"""
