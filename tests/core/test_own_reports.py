"""Inventories that the box asked for stay its own, and take nothing from the cloud or from files."""

from __future__ import annotations

from edgegw.core.files import UpdateOrdered
from tests.core.file_story import LINK, FileStory, file_story, status_of, update
from tests.core.story import V201

SITE = 0x7C000001


def inventory(number: int) -> dict:
    return {"requestId": number, "reportBase": "FullInventory"}


def report(number: int) -> dict:
    return {"requestId": number, "generatedAt": "2026-01-01T00:00:00Z", "seqNo": 0, "reportData": []}


def asks(told: FileStory, number: int) -> None:
    told.somebody_calls("GetBaseReport", inventory(number))
    told.charger.answers({"status": "Accepted"})


def test_however_often_somebody_asks_the_site_s_own_update_stays_unheard():
    told = file_story(V201)
    told.happens(UpdateOrdered(order="r-1", url=LINK, request_id=SITE))
    told.charger.answers({"status": "Accepted"})
    told.charger.sends("FirmwareStatusNotification", {"status": "Installed", "requestId": SITE})
    for number in range(0x74000000, 0x74000000 + 30):
        asks(told, number)
    told.forget()
    told.charger.sends("FirmwareStatusNotification", {"status": "Downloading", "requestId": SITE})
    assert not told.cloud.raw, "a late word"


def test_a_number_that_somebody_asked_with_does_not_hide_the_cloud_s_update():
    told = file_story(V201)
    asks(told, 7)
    told.cloud.sends(*update(V201, request=7), id="c-1")
    told.fetched()
    told.charger.answers({"status": "Accepted"})
    told.forget()
    told.charger.sends(*status_of(V201, "Downloading"))
    assert told.cloud.actions == ["FirmwareStatusNotification"]


def test_the_cloud_asks_with_a_number_that_was_ours_and_hears_its_report():
    told = file_story(V201)
    asks(told, 7)
    told.charger.sends("NotifyReport", report(7))
    assert not told.cloud.raw
    told.cloud.sends("GetBaseReport", inventory(7), id="c-1")
    told.charger.answers({"status": "Accepted"})
    told.forget()
    told.charger.sends("NotifyReport", report(7))
    assert told.cloud.actions == ["NotifyReport"]
    told.restart()
    assert told.core.state.files.site.reports == ()


def test_our_numbers_are_known_after_a_restart():
    told = file_story(V201)
    asks(told, 0x74000001)
    told.restart()
    told.cloud.comes_back()
    told.charger.connects()
    told.forget()
    told.charger.sends("NotifyReport", report(0x74000001))
    assert not told.cloud.raw
    assert told.charger.last[0] == 3
