"""What a charger says of its smart charging, in the words of real chargers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.core import capabilities
from edgegw.wire.schemas import Schemas
from tests.core.story import V16, V21, V201, Version


def said(**keys: Any) -> dict[str, Any]:
    return {
        "configurationKey": [{"key": key, "readonly": True, "value": value} for key, value in keys.items()]
    }


@pytest.mark.parametrize("version", [V16, V201, V21])
def test_the_question_fits_its_schema(version: Version) -> None:
    action, payload = capabilities.request(version)
    assert Schemas().complaints(version, "request", action, payload) == ()


@pytest.mark.parametrize(
    ("text", "amps", "watts"),
    [
        ("Current", True, False),
        ("Power", False, True),
        ("Current,Power", True, True),
        ("A", True, False),
        ("W", False, True),
        ("power", False, True),
        (" Current , Power ", True, True),
        ("", True, True),
        ("Furlong", True, True),
        (7, True, True),
    ],
)
def test_units(text: Any, amps: bool, watts: bool) -> None:
    found = capabilities.parse(said(ChargingScheduleAllowedChargingRateUnit=text))
    assert (found.amps, found.watts) == (amps, watts)


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("8", 8),
        (8, 8),
        ("0", 0),
        ("999", None),
        ("-1", None),
        ("many", None),
        ("", None),
        (None, None),
        ("1e400", None),
    ],
)
def test_stack_levels(text: Any, level: int | None) -> None:
    assert capabilities.parse(said(ChargeProfileMaxStackLevel=text)).stack_level_max == level


def test_periods_profiles_and_features() -> None:
    found = capabilities.parse(
        said(
            ChargingScheduleMaxPeriods="1",
            MaxChargingProfilesInstalled="3",
            SupportedFeatureProfiles="Core,RemoteTrigger",
        )
    )
    assert (found.read, found.periods_max, found.profiles_max, found.smart_charging) == (True, 1, 3, False)
    assert capabilities.parse(
        said(SupportedFeatureProfiles="Core, Smart Charging,SmartCharging")
    ).smart_charging
    assert capabilities.parse({}).smart_charging


def test_variables_of_2x() -> None:
    def result(name: str, value: str, status: str = "Accepted") -> dict[str, Any]:
        component = {"name": "SmartChargingCtrlr"}
        return {
            "attributeStatus": status,
            "attributeValue": value,
            "component": component,
            "variable": {"name": name},
        }

    results = [
        result("ProfileStackLevel", "3"),
        result("RateUnit", "W"),
        result("Entries", "10"),
        result("PeriodsPerSchedule", "24", "Rejected"),
    ]
    found = capabilities.parse({"getVariableResult": results})
    assert (found.stack_level_max, found.amps, found.watts) == (3, False, True)
    assert (found.profiles_max, found.periods_max) == (10, None)


@given(
    st.dictionaries(
        st.sampled_from(["configurationKey", "getVariableResult"]),
        st.none()
        | st.text()
        | st.lists(
            st.none()
            | st.dictionaries(
                st.sampled_from(["key", "value", "variable"]), st.text() | st.none() | st.integers()
            )
        ),
    )
)
def test_whatever_comes_nothing_breaks(answer: dict[str, Any]) -> None:
    found = capabilities.parse(answer)
    assert found.amps or found.watts
