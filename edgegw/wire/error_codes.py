"""How each OCPP version spells the error codes of CALLERROR, and which of them may pass on a retry.

Rules of this file (OCPP-J 1.6 4.2.3 and its errata 5.1, 5.2; OCPP 2.x Part 4, 4.3):
- Code elsewhere says what it means (`ErrorMeaning`); only this file knows the spelling on the wire.
- The two misspelt codes of 1.6 are official. Both spellings are understood from either side.
- A code nobody knows counts as transient: a message must not be parked because of a vendor's wording.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

from edgegw.wire.versions import Version


class ErrorMeaning(Enum):
    """What went wrong with a CALL, whatever the version calls it."""

    FORMATION = auto()  # not the structure this action has
    OCCURRENCE = auto()  # a member is missing, or there are too few or too many
    TYPE = auto()  # a member has the wrong JSON type
    PROPERTY = auto()  # a member has a value that is not allowed
    NOT_IMPLEMENTED = auto()  # the action is unknown
    NOT_SUPPORTED = auto()  # the action is known, this box does not do it
    INTERNAL = auto()
    PROTOCOL = auto()
    SECURITY = auto()
    GENERIC = auto()
    MESSAGE_TYPE = auto()  # a message type number this version does not have
    RPC = auto()  # not an OCPP-J frame at all


_SAME_EVERYWHERE: Mapping[ErrorMeaning, str] = {
    ErrorMeaning.TYPE: "TypeConstraintViolation",
    ErrorMeaning.PROPERTY: "PropertyConstraintViolation",
    ErrorMeaning.NOT_IMPLEMENTED: "NotImplemented",
    ErrorMeaning.NOT_SUPPORTED: "NotSupported",
    ErrorMeaning.INTERNAL: "InternalError",
    ErrorMeaning.PROTOCOL: "ProtocolError",
    ErrorMeaning.SECURITY: "SecurityError",
    ErrorMeaning.GENERIC: "GenericError",
}
_CODES_16: Mapping[ErrorMeaning, str] = {
    **_SAME_EVERYWHERE,
    ErrorMeaning.FORMATION: "FormationViolation",
    ErrorMeaning.OCCURRENCE: "OccurenceConstraintViolation",
    # 1.6 has no codes of its own for these two; these are the nearest it defines.
    ErrorMeaning.MESSAGE_TYPE: "GenericError",
    ErrorMeaning.RPC: "FormationViolation",
}
_CODES_2X: Mapping[ErrorMeaning, str] = {
    **_SAME_EVERYWHERE,
    ErrorMeaning.FORMATION: "FormatViolation",
    ErrorMeaning.OCCURRENCE: "OccurrenceConstraintViolation",
    ErrorMeaning.MESSAGE_TYPE: "MessageTypeNotSupported",
    ErrorMeaning.RPC: "RpcFrameworkError",
}

_PERMANENT = frozenset(
    code
    for codes in (_CODES_16, _CODES_2X)
    for meaning, code in codes.items()
    if code not in ("InternalError", "SecurityError", "GenericError")
)


def error_code(version: Version, meaning: ErrorMeaning) -> str:
    """The code as this version writes it: `OccurenceConstraintViolation` on 1.6, with two r on 2.x."""
    return (_CODES_2X if version.is_2x else _CODES_16)[meaning]


def is_transient(code: str) -> bool:
    """True when the same message may be accepted later, so that sending it again makes sense.

    False for codes that judge the message itself: sending it again gets the same answer.
    """
    return code not in _PERMANENT
