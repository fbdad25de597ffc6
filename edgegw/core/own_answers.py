"""What a station without EVSEs answers to the CALLs of a cloud that are about charging, users and the like.

Rules of this file:
- Where the answer has a status that says "no", that is the answer; else CALLERROR NotSupported, and
  NotImplemented for an action the version does not have (OCPP-J 2.x 4.3).
- Nothing here changes anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgegw.wire.error_codes import ErrorMeaning
from edgegw.wire.schemas import known_actions
from edgegw.wire.versions import Version

ADDITIONAL_INFO_MAX = 512  # characters of statusInfo.additionalInfo, OCPP 2.0.1


def status(word: str, reason: str = "", info: str = "") -> dict[str, Any]:
    """`{"status": word}` with a statusInfo. `reason`: a reason code of the specification's list."""
    if not reason:
        return {"status": word}
    details = {"reasonCode": reason}
    if info:
        details["additionalInfo"] = info[:ADDITIONAL_INFO_MAX]
    return {"status": word, "statusInfo": details}


_NO = status("Rejected", "UnsupportedRequest")
FIXED: Mapping[str, dict[str, Any]] = {
    "CancelReservation": _NO,
    "CertificateSigned": _NO,
    "ChangeAvailability": _NO,
    "ClearCache": _NO,  # C11.FR.04: there is no cache
    "CustomerInformation": _NO,
    "DataTransfer": {"status": "UnknownVendorId"},
    "DeleteCertificate": {"status": "NotFound"},
    "GetInstalledCertificateIds": {"status": "NotFound"},
    "GetLocalListVersion": {"versionNumber": 0},  # D02.FR.03: there is no list
    "GetLog": _NO,
    "GetMonitoringReport": status("NotSupported", "UnsupportedRequest"),
    "GetTransactionStatus": {"messagesInQueue": False},
    "InstallCertificate": _NO,
    "RequestStartTransaction": _NO,
    "RequestStopTransaction": _NO,
    "ReserveNow": _NO,
    "Reset": _NO,  # it would cut every charger of the site off
    "SendLocalList": status("Failed", "UnsupportedRequest"),
    "SetMonitoringBase": status("NotSupported", "UnsupportedRequest"),
    "SetMonitoringLevel": _NO,
    "SetNetworkProfile": _NO,  # the site file says where the cloud is
    "UnlockConnector": {"status": "UnknownConnector"},
    "UpdateFirmware": _NO,  # edgegw is updated by its operator
}


def fixed_answer(action: str, version: Version) -> dict[str, Any] | ErrorMeaning:
    """For every action that `own_station` does not handle itself."""
    answer = FIXED.get(action)
    if answer is not None:
        return answer
    known = action in known_actions(version)
    return ErrorMeaning.NOT_SUPPORTED if known else ErrorMeaning.NOT_IMPLEMENTED
