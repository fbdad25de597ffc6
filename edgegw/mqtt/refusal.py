"""What a broker says when it refuses, in words, and what to do about it.

The numbers are reason codes of MQTT 5 (2.4); paho translates those of 3.1.1 into them.
"""

from __future__ import annotations

from paho.mqtt.reasoncodes import ReasonCode

TAKEN_OVER = 0x8E
QUOTA_EXCEEDED = 0x97
SAME_ID = "another client uses our client id: give each gateway its own [mqtt] client_id"
_FOR_NOW = frozenset({0x88, 0x89, QUOTA_EXCEEDED, 0x9F})  # nobody has to do anything

_CONNECT_WORDS = {
    0x84: 'it does not speak this version of MQTT: set [mqtt] version to "3.1.1" or "5"',
    0x85: "it does not take this client id: set [mqtt] client_id to one that it allows",
    0x86: "user or password is wrong: check [mqtt] username and password_file",
    0x87: "not authorised: check [mqtt] username and password_file, and who may connect in the broker",
    0x88: "it is not available now",
    0x89: "it is busy",
    0x8A: "this client is banned there: ask whoever runs the broker",
    0x8C: "it wants another way of authentication than user and password",
    0x95: "our packet is too large for it",
    QUOTA_EXCEEDED: "its quota is used up",
    0x9A: "it keeps no retained messages: allow them, states need them",
    0x9C: "another server is to be used: change [mqtt] broker",
    0x9D: "the server has moved: change [mqtt] broker",
    0x9F: "connections come too fast for it",
}
_DISCONNECT_WORDS = {
    0x00: "the broker said good-bye",
    0x8B: "the broker is shutting down",
    0x8D: "the broker did not hear from us in time",
    TAKEN_OVER: SAME_ID,
    0x98: "somebody at the broker ended the connection",
}


def connect_words(reason: ReasonCode) -> str:
    """Why the broker did not accept us."""
    return f"the broker refused: {_CONNECT_WORDS.get(reason.value, _plain(reason))}"


def is_for_now(reason: ReasonCode) -> bool:
    """It may pass without anybody doing anything."""
    return reason.value in _FOR_NOW


def disconnect_words(reason: ReasonCode) -> str:
    """Why the broker sent us away."""
    return _DISCONNECT_WORDS.get(reason.value, f"the broker ended the connection: {_plain(reason)}")


def topic_words(reason: ReasonCode, topic: str) -> str:
    """Why it did not take a message or a subscription."""
    if reason.value in (0x87, 0x80):
        return f"the broker does not let us use {topic}: allow it in its access list"
    return f"the broker refused {topic}: {_plain(reason)}"


def _plain(reason: ReasonCode) -> str:
    return str(reason).lower()
