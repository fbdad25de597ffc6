"""Updates and uploads that meet, words that are missing, and what of the site's must stay unheard."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from edgegw.core.files import (
    FetchOutcome,
    FilesOpened,
    LogOrdered,
    UpdateOrdered,
    UploadForwarded,
    UploadNews,
)
from tests.core.file_story import (
    LINK,
    ORIGIN,
    PLACE,
    FileStory,
    file_story,
    get_log,
    log_status_of,
    status_of,
    update,
)
from tests.core.story import BOOT, V16, V201

SITE = 0x7C000001
DEAD = "http://127.0.0.1:1/cancel"


def accept(version: Any) -> dict[str, Any]:
    return {} if version is V16 else {"status": "Accepted"}


def at_charger(version: Any = V201) -> FileStory:
    told = file_story(version)
    told.cloud.sends(*update(version), id="c-1")
    told.fetched()
    told.charger.answers(accept(version))
    told.order = told.asked[-1].order
    told.forget()
    return told


def site_update(told: FileStory) -> None:
    told.happens(UpdateOrdered(order="r-1", url=LINK, request_id=SITE))


def site_log(told: FileStory) -> None:
    told.happens(LogOrdered(order="d-1", request_id=SITE, url=PLACE))


# --- one update after another -----------------------------------------------------------------------


@pytest.mark.parametrize("version", [V16, V201])
def test_a_cancel_with_a_dead_address_reaches_the_charger_soon(version):
    """2.x L02.FR.15, note; 1.6 whitepaper L01.FR.26."""
    told = at_charger(version)
    told.cloud.sends(*update(version, location=DEAD, request=8), id="c-2")
    told.after(6)
    assert told.charger.last[2:] == list(update(version, location=DEAD, request=8))
    assert not told.cloud.raw, "the answer is the charger's"
    told.charger.answers(accept(version) and {"status": "AcceptedCanceled"})
    assert len(told.cloud.raw) == 1


def test_a_refused_update_leaves_the_running_one_alone():
    told = at_charger()
    told.cloud.sends(*update(V201, location="file:///etc/passwd", request=8), id="c-2")
    told.not_fetched(FetchOutcome.FORBIDDEN)
    assert told.cloud.last == [3, "c-2", {"status": "Rejected"}]
    assert not told.news or told.news == [(told.asked[-1].order, "Refused")]
    told.forget()
    told.charger.sends(*status_of(V201, "Installed"))
    assert told.news == [(told.order, "Installed")]


def test_what_the_cloud_takes_for_running_is_cancelled_in_its_eyes():
    told = file_story(V201)
    told.cloud.sends(*update(V201), id="c-1")
    told.after(6)
    told.cloud.sends(*update(V201, request=8), id="c-2")
    told.fetched()
    told.charger.answers({"status": "Accepted"})
    answers = [frame[2]["status"] for frame in told.cloud.frames if frame[0] == 3]
    assert answers == ["Accepted", "AcceptedCanceled"]


def test_statuses_of_the_running_one_are_its_own_while_the_next_is_fetched():
    told = at_charger()
    told.cloud.sends(*update(V201, request=8), id="c-2")
    told.charger.sends(*status_of(V201, "Installed", request=7))
    assert told.news == [(told.order, "Installed")]
    assert told.cloud.last[3] == {"status": "Installed", "requestId": 7}
    told.fetched()
    assert told.charger.last[3]["requestId"] == 8


@pytest.mark.parametrize("version", [V16, V201])
def test_the_running_one_ends_and_the_cloud_hears_in_time_of_the_next(version):
    """The line of its origin is dead: without an answer the cloud would wait for as long as it is tried."""
    told = at_charger(version)
    told.cloud.sends(*update(version, request=8), id="c-2")
    told.charger.sends(*status_of(version, "DownloadFailed", request=7))
    told.after(6)
    assert [frame for frame in told.cloud.frames if frame[0] == 3] == [[3, "c-2", accept(version)]]
    told.fetched()
    assert told.charger.actions[-1:] == [update(version)[0]]


# --- words that are missing ---------------------------------------------------------------------------


def test_a_charger_that_hangs_up_before_it_answers_the_cloud_may_still_update():
    told = file_story(V201)
    told.cloud.sends(*update(V201), id="c-1")
    told.fetched()
    told.charger.leaves()
    assert not told.news, "its link lives"
    told.charger.connects()
    told.cloud.comes_back()
    told.charger.sends(*status_of(V201, "Downloading"))
    assert told.news[-1][1] == "Downloading"


def test_a_charger_that_answers_the_box_too_late_is_not_said_to_have_failed():
    told = file_story(V201)
    told.cloud.sends(*update(V201), id="c-1")
    told.after(6)
    told.fetched()
    told.cloud.take()
    told.after(60)
    assert not told.cloud.raw
    assert not told.news
    told.charger.sends(*status_of(V201, "Downloading"))
    assert [frame[3]["status"] for frame in told.cloud.frames] == ["Downloading"]


def test_a_charger_that_reconnects_and_has_nothing_to_say_hears_of_it_in_a_moment():
    told = file_story(V201)
    told.cloud.sends(*update(V201), id="c-1")
    told.after(6)
    told.charger.leaves()
    told.charger.connects()
    told.cloud.comes_back()
    told.forget()
    told.after(9)
    assert not told.asked
    told.after(2)
    told.fetched()
    assert told.charger.actions == ["UpdateFirmware"]


def test_the_box_waits_while_the_cloud_says_pending():
    told = file_story(V201)
    told.cloud.sends(*update(V201), id="c-1")
    told.after(6)
    told.charger.leaves()
    told.cloud.comes_back()
    told.charger.connects()
    told.charger.sends("BootNotification", BOOT[V201])
    told.cloud.answers({"status": "Pending", "currentTime": "2026-11-29T19:00:00Z", "interval": 60})
    told.forget()
    told.charger.sends("StatusNotification", {})
    told.after(60)
    assert not told.asked
    assert not told.charger.actions


def test_an_update_that_never_says_its_last_word_does_not_block_the_site_for_ever():
    told = at_charger()
    site_update(told)
    assert told.news == [("r-1", "Refused")]
    told.after(90_000)
    told.forget()
    site_update(told)
    assert told.charger.actions == ["UpdateFirmware"]
    assert told.news == [(told.order, "Replaced")]


def test_another_version_of_ocpp_cannot_carry_it():
    told = file_story(V16)
    told.cloud.sends(*update(V16), id="c-1")
    told.after(6)
    told.charger.leaves()
    told.version = V201
    told.charger.connects()
    told.speaks_up()
    assert told.news[-1][1] == "Refused"
    assert not told.charger.actions


# --- whose doing it was -------------------------------------------------------------------------------


def test_what_failed_by_our_own_doing_is_tried_again_here_a_few_times():
    told = at_charger()
    for failures in (1, 2, 3):
        told.charger.sends(*status_of(V201, "DownloadFailed"))
        assert told.asked[-1].failures == failures
        told.fetched()
        assert told.charger.last[3]["firmware"]["location"] == LINK
        told.charger.answers({"status": "Accepted"})
    told.charger.sends(*status_of(V201, "DownloadFailed"))
    told.fetched()
    assert told.charger.last[3]["firmware"]["location"] == ORIGIN


# --- signed by JWS --------------------------------------------------------------------------------------


def signed(action: str, payload: dict[str, Any]) -> bytes:
    import base64

    inside = base64.urlsafe_b64encode(orjson.dumps(payload)).decode().rstrip("=")
    jws = {"protected": "e30", "payload": inside, "signature": "c2ln"}
    return orjson.dumps([2, "c-9", f"{action}-Signed", jws])


def test_a_signed_update_is_relayed_to_the_byte_and_known():
    told = file_story(V201)
    site_update(told)
    told.charger.answers({"status": "Accepted"})
    told.forget()
    raw = signed(*update(V201))
    told.cloud.says(raw)
    assert told.charger.raw == [raw]
    assert told.news == [("r-1", "Replaced")]
    told.charger.answers({"status": "AcceptedCanceled"})
    assert told.cloud.last == [3, "c-9", {"status": "Accepted"}]
    told.forget()
    site_update(told)
    assert told.news == [("r-1", "Refused")]


def test_a_signed_log_is_known_too():
    told = file_story(V201)
    told.cloud.says(signed(*get_log(V201)))
    told.charger.answers({"status": "Accepted", "filename": "a"})
    told.forget()
    site_log(told)
    assert told.news == [("d-1", "Refused")]
    told.charger.sends(*log_status_of(V201, "Uploaded"))
    assert told.cloud.last[3]["status"] == "Uploaded", "it went straight to the cloud's address"


# --- the site's must stay unheard, in plain 1.6 too -----------------------------------------------------


def updated_by_site(*, ended: bool = True) -> FileStory:
    told = file_story(V16)
    site_update(told)
    told.charger.answers({})
    if ended:
        told.charger.sends(*status_of(V16, "Installed"))
    told.forget()
    return told


def test_the_last_word_said_again_after_a_reconnect():
    told = updated_by_site()
    told.charger.leaves()
    told.restart()
    told.charger.connects()
    told.cloud.comes_back()
    told.forget()
    told.charger.sends(*status_of(V16, "Installed"))
    assert not told.cloud.raw


def test_the_sites_last_word_is_not_the_clouds_while_the_clouds_is_fetched():
    told = updated_by_site(ended=False)
    told.cloud.sends(*update(V16), id="c-1")
    told.charger.sends(*status_of(V16, "Installed"))
    assert [f for f in told.cloud.frames if f[0] == 2] == []
    told.fetched()
    told.charger.answers({})
    told.charger.sends(*status_of(V16, "Downloading"))
    assert told.cloud.last[3] == {"status": "Downloading"}


@pytest.mark.parametrize("how", ["hung up", "late", "restart"])
def test_a_site_update_that_nobody_answered(how):
    told = file_story(V16)
    site_update(told)
    if how == "late":
        told.after(60)
    else:
        told.charger.leaves()
        if how == "restart":
            told.restart()
        told.charger.connects()
        told.cloud.comes_back()
    told.forget()
    for status in ("Downloading", "DownloadFailed", "Downloading", "Installed"):
        told.charger.sends(*status_of(V16, status))
    assert not told.cloud.raw


def test_a_log_that_the_charger_denied_and_sends_all_the_same():
    told = file_story(V16)
    site_log(told)
    told.charger.answers({})
    told.charger.sends(*log_status_of(V16, "Uploading"))
    told.charger.sends(*log_status_of(V16, "Uploaded"))
    assert not told.cloud.raw
    told.cloud.sends(*get_log(V16), id="c-1")
    told.opened()
    told.charger.answers({"fileName": "x"})
    told.forget()
    told.charger.sends(*log_status_of(V16, "Uploading"))
    assert told.cloud.last[3] == {"status": "Uploading"}


def test_the_cloud_triggers_a_status_and_hears_idle_not_silence():
    told = updated_by_site(ended=False)
    told.cloud.sends("TriggerMessage", {"requestedMessage": "FirmwareStatusNotification"}, id="t-1")
    told.charger.answers({"status": "Accepted"})
    told.forget()
    told.charger.sends(*status_of(V16, "Downloading"))
    assert told.cloud.last[2:] == ["FirmwareStatusNotification", {"status": "Idle"}]


def test_the_cloud_triggers_while_its_update_waits_for_the_file():
    told = file_story(V201)
    told.cloud.sends(*update(V201), id="c-1")
    told.after(6)
    told.cloud.sends("TriggerMessage", {"requestedMessage": "FirmwareStatusNotification"}, id="t-1")
    told.charger.answers({"status": "Accepted"})
    told.forget()
    told.charger.sends("FirmwareStatusNotification", {"status": "Idle"})
    assert told.cloud.last[3] == {"status": "DownloadScheduled", "requestId": 7}


# --- uploads ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [V16, V201])
def test_uploaded_said_again_is_not_passed_on_before_the_file_is_there(version):
    told = file_story(version)
    told.cloud.sends(*get_log(version), id="c-1")
    told.opened()
    told.charger.answers({"fileName": "x"} if version is V16 else {"status": "Accepted"})
    told.charger.sends(*log_status_of(version, "Uploaded", plain=version is V16))
    told.charger.leaves()
    told.charger.connects()
    told.cloud.comes_back()
    told.cloud.take()
    again = told.charger.sends(*log_status_of(version, "Uploaded", plain=version is V16))
    assert told.charger.told(again) == {}
    assert not told.cloud.raw


def test_the_first_log_of_a_charger_waits_for_what_it_knows():
    told = file_story(V16, protocols="")
    told.cloud.sends(*get_log(V16), id="c-1")
    told.opened()
    assert told.charger.actions == ["GetConfiguration"]
    told.charger.answers({"configurationKey": [
        {"key": "SupportedFileTransferProtocols", "readonly": True, "value": "HTTP"}
    ]})  # fmt: skip
    assert told.charger.last[2:] == ["GetDiagnostics", {"location": PLACE}]


def test_uploads_without_a_last_word_do_not_pile_up():
    told = file_story(V201)
    for n in range(20):
        told.cloud.sends(*get_log(V201, request=n), id=f"c-{n}")
        told.opened()
        assert told.charger.last[3]["log"]["remoteLocation"] == PLACE
        told.charger.answers({"status": "AcceptedCanceled", "filename": "x"})
    assert len(told.core.state.files.uploads) == 1


def test_a_message_id_that_the_charger_used_again_meanwhile():
    told = file_story(V201)
    told.cloud.sends(*get_log(V201), id="c-1")
    told.opened()
    told.charger.answers({"status": "Accepted", "filename": "x"})
    told.order = told.asked[-1].order
    told.charger.sends(*log_status_of(V201, "Uploaded"), id="1")
    told.cloud.goes_away()
    told.charger.leaves()
    told.charger.connects()
    told.charger.sends("SecurityEventNotification", {"type": "x", "timestamp": "t"}, id="1")
    told.happens(UploadForwarded(order=told.order, ok=True))
    assert [row.message_id for row in told.stored] == ["1", "1"]


def test_at_its_start_the_file_service_is_asked_for_what_is_owed():
    told = file_story(V201)
    told.cloud.sends(*get_log(V201), id="c-1")
    told.opened()
    told.charger.answers({"status": "Accepted", "filename": "x"})
    order = told.asked[-1].order
    told.charger.sends(*log_status_of(V201, "Uploaded"))
    told.restart()
    told.forget()
    told.happens(FilesOpened())
    assert UploadNews(order=order, status="Uploaded", ended=True) in told.effects
