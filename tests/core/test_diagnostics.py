"""GetDiagnostics and GetLog through the box: the cloud hears "Uploaded" when its own place has the file."""

from __future__ import annotations

import orjson
import pytest

from edgegw.core.effects import SendCharger
from edgegw.core.files import (
    FilesPolicy,
    LogOrdered,
    OpenUpload,
    UploadForwarded,
    UploadNews,
    UploadOpened,
    UploadOutcome,
)
from edgegw.core.records import Append, Lane, SaveDocument
from tests.core.file_story import PLACE, WANTED_AT, FileStory, file_story, get_log, log_status_of, update
from tests.core.story import V16, V21, V201

EACH = pytest.mark.parametrize(("version", "plain"), [(V16, True), (V16, False), (V201, False), (V21, False)])


def ordered(version=V201, plain=False, **more) -> FileStory:
    told = file_story(version, **more)
    told.cloud.sends(*get_log(version, plain=plain), id="c-1")
    return told


def name(version, plain, file="log.zip"):
    return {"fileName": file} if version is V16 and plain else {"status": "Accepted", "filename": file}


def running(version=V201, plain=False, **more) -> FileStory:
    told = ordered(version, plain, **more)
    told.opened()
    told.charger.answers(name(version, plain))
    told.order = told.asked[-1].order
    told.forget()
    return told


def forwarded(told, *, ok=True, why=""):
    told.happens(UploadForwarded(order=told.order, ok=ok, why=why))


@EACH
def test_the_charger_is_given_a_place_here_and_nothing_else_differs(version, plain):
    told = ordered(version, plain)
    assert told.asked == [OpenUpload(order=told.asked[0].order, url=WANTED_AT)]
    assert not told.charger.raw
    told.opened()
    original = orjson.dumps([2, "c-1", *get_log(version, plain=plain)])
    assert orjson.loads(told.charger.raw[0]) == orjson.loads(
        original.replace(WANTED_AT.encode(), PLACE.encode())
    )
    told.charger.answers(name(version, plain))
    assert told.cloud.frames == [[3, "c-1", name(version, plain)]]
    assert UploadNews(order=told.asked[0].order, status="Sent", file_name="log.zip") in told.effects


@EACH
def test_uploaded_is_told_when_the_file_is_where_the_cloud_wants_it_with_the_same_bytes(version, plain):
    told = running(version, plain)
    told.charger.sends(*log_status_of(version, "Uploading", plain=plain))
    assert told.cloud.actions == [log_status_of(version, "x", plain=plain)[0]]
    told.cloud.answers({})
    told.forget()
    raw = orjson.dumps([2, "u 1", *log_status_of(version, "Uploaded", plain=plain)])
    told.charger.says(raw)
    assert told.charger.told("u 1") == {}
    assert not told.cloud.raw
    told.expect(SaveDocument, UploadNews, SendCharger)
    forwarded(told)
    assert told.cloud.raw == [raw]
    told.expect(Append, SaveDocument)


@EACH
def test_what_never_gets_there_is_told_as_a_failure(version, plain):
    told = running(version, plain)
    told.charger.sends(*log_status_of(version, "Uploaded", plain=plain))
    forwarded(told, ok=False, why="550 no room")
    failed = "UploadFailed" if version is V16 and plain else "UploadFailure"
    assert told.cloud.last[2:] == list(log_status_of(version, failed, plain=plain))
    assert "upload_not_forwarded" in told.noticed


@EACH
def test_after_an_outage_and_a_restart_the_cloud_still_hears_it(version, plain):
    told = running(version, plain)
    told.cloud.goes_away()
    raw = orjson.dumps([2, "u 1", *log_status_of(version, "Uploaded", plain=plain)])
    told.charger.says(raw)
    told.restart()
    forwarded(told)
    assert [row.lane for row in told.stored] == [Lane.NOTICE]
    told.restart()
    told.cloud.is_polite = True
    told.charger.connects()
    told.cloud.comes_back()
    assert raw in told.cloud.raw
    forwarded(told)
    assert told.cloud.raw.count(raw) == 1, "told twice is told once"


def test_what_is_owed_is_asked_after_again_when_the_charger_is_back():
    told = running()
    told.charger.sends(*log_status_of(V201, "Uploaded"), id="u-1")
    told.restart()
    told.forget()
    told.cloud.is_polite = True
    told.charger.connects()
    told.cloud.comes_back()
    assert UploadNews(order=told.order, status="Uploaded", ended=True) in told.effects
    forwarded(told)
    assert told.cloud.frames[-1][1] == "u-1"


@pytest.mark.parametrize("what", ["upload", "update"])
def test_a_site_that_lost_its_files_owes_no_answer_for_ever(what):
    told = running() if what == "upload" else file_story(V201)
    if what == "upload":
        told.charger.sends(*log_status_of(V201, "Uploaded"), id="u-1")
    else:
        told.cloud.sends(*update(V201))
        told.after(6)
    told.files_policy = FilesPolicy()
    told.restart()
    told.cloud.is_polite = True
    told.forget()
    told.charger.connects()
    told.cloud.comes_back()
    told.speaks_up()
    if what == "upload":
        assert {"status": "UploadFailure", "requestId": 9} in [f[3] for f in told.cloud.frames if f[0] == 2]
    else:
        assert ["UpdateFirmware", update(V201)[1]] in [f[2:] for f in told.charger.frames]


def test_a_failure_at_the_charger_is_the_clouds_to_hear_at_once():
    told = running()
    told.charger.sends(*log_status_of(V201, "UploadFailure"))
    assert told.cloud.last[3]["status"] == "UploadFailure"
    assert told.news[-1][1] == "UploadFailure"
    assert not told.core.state.files.uploads


@EACH
def test_fault_82_an_address_that_diagnostics_must_not_go_to(version, plain):
    told = ordered(version, plain)
    told.opened(outcome=UploadOutcome.FORBIDDEN, why="logs.example is not in upload_hosts")
    assert not told.charger.raw
    expected = {} if version is V16 and plain else {"status": "Rejected"}
    assert told.cloud.frames == [[3, "c-1", expected]]
    assert "upload_forbidden" in told.noticed


@pytest.mark.parametrize("why", ["no room", "too slow", "protocol"])
def test_when_the_box_cannot_take_it_the_charger_sends_it_itself(why):
    told = ordered(protocols="SFTP" if why == "protocol" else "HTTP")
    if why == "no room":
        told.happens(UploadOpened(order=told.asked[-1].order, outcome=UploadOutcome.UNABLE))
    elif why == "too slow":
        told.after(6)
    else:
        told.opened()
    assert told.charger.last == [2, "c-1", *get_log(V201)]
    told.charger.answers(name(V201, False))
    told.charger.sends(*log_status_of(V201, "Uploaded"))
    assert told.cloud.last[3]["status"] == "Uploaded"


def test_a_charger_that_has_no_diagnostics():
    told = ordered(V16, True)
    told.opened()
    told.charger.answers({})
    assert told.cloud.frames == [[3, "c-1", {}]]
    assert told.news[-1][1] == "Refused"
    assert not told.core.state.files.uploads


def test_a_second_log_of_the_cloud_while_the_first_is_still_owed():
    told = running()
    told.charger.sends(*log_status_of(V201, "Uploaded"), id="u-1")
    first = told.order
    told.cloud.sends(*get_log(V201, request=10), id="c-2")
    told.opened()
    told.charger.answers(name(V201, False))
    told.forget()
    told.happens(UploadForwarded(order=first, ok=True))
    assert told.cloud.last == [2, "u-1", *log_status_of(V201, "Uploaded")]
    told.cloud.answers({})
    told.charger.sends(*log_status_of(V201, "Uploading", request=10))
    assert told.cloud.last[3] == {"status": "Uploading", "requestId": 10}


def test_a_charger_that_leaves_before_it_answers_may_still_upload():
    told = ordered()
    told.opened()
    told.charger.leaves()
    assert not told.news
    told.charger.connects()
    told.charger.sends(*log_status_of(V201, "Uploaded"))
    assert told.news[-1][1] == "Uploaded"


def test_a_charger_that_leaves_before_it_heard_of_it_will_not():
    told = file_story(V201)
    told.somebody_calls("ClearCache")
    told.cloud.sends(*get_log(V201))
    told.opened()
    told.charger.leaves()
    assert told.news[-1][1] == "Refused"
    assert not told.core.state.files.uploads


def test_the_cloud_leaves_before_the_charger_heard_of_it():
    told = ordered()
    told.cloud.goes_away()
    told.opened()
    assert not told.charger.raw
    assert not told.core.state.files.uploads


# --- on site ----------------------------------------------------------------------------------------


def site_log(told, order="d-1", kind="diagnostics"):
    told.happens(LogOrdered(order=order, request_id=0x3E000009, url=PLACE, kind=kind))
    told.order = order


@pytest.mark.parametrize("kind", ["diagnostics", "security"])
@pytest.mark.parametrize("version", [V16, V201, V21])
def test_the_cloud_hears_nothing_of_a_log_that_the_site_asked_for(version, kind):
    told = file_story(version)
    site_log(told, kind=kind)
    plain = version is V16 and kind == "diagnostics"
    assert told.charger.actions == ["GetDiagnostics" if plain else "GetLog"]
    told.charger.answers(name(version, plain))
    for status in ("Uploading", "Uploaded"):
        sent = told.charger.sends(*log_status_of(version, status, plain=plain, request=0x3E000009))
        assert told.charger.told(sent) == {}
    assert not told.cloud.raw
    assert told.news == [("d-1", "Sent"), ("d-1", "Uploading"), ("d-1", "Uploaded")]
    assert not told.core.state.files.uploads


@EACH
def test_the_site_never_asks_while_the_clouds_is_running(version, plain):
    told = running(version, plain)
    site_log(told)
    assert not told.charger.raw
    assert told.news == [("d-1", "Refused")]


def test_the_clouds_takes_the_place_of_the_sites_and_the_cloud_does_not_notice():
    told = file_story(V201)
    site_log(told)
    told.charger.answers(name(V201, False))
    told.cloud.sends(*get_log(V201), id="c-1")
    assert ("d-1", "Replaced") in told.news
    told.opened()
    told.charger.answers({"status": "AcceptedCanceled", "filename": "a"})
    assert told.cloud.frames == [[3, "c-1", {"status": "Accepted", "filename": "a"}]]
    told.cloud.take()
    told.charger.sends(*log_status_of(V201, "AcceptedCanceled", request=0x3E000009))
    assert not told.cloud.raw


def test_without_files_everything_is_relayed():
    told = file_story(V201, policy=FilesPolicy())
    told.cloud.sends(*get_log(V201), id="c-1")
    assert told.charger.last == [2, "c-1", *get_log(V201)]


@pytest.mark.parametrize("payload", [{}, {"log": 5}, {"log": {"remoteLocation": 1}}])
def test_junk_is_relayed_for_the_charger_to_refuse(payload):
    told = file_story(V201)
    told.cloud.sends("GetLog", payload, id="c-1")
    assert told.charger.last == [2, "c-1", "GetLog", payload]
