"""Files published for the cloud (OCPP 2.x L03, L04): every status, in order, over failures and restarts."""

from __future__ import annotations

import msgspec
import pytest

from edgegw.core import publishing
from edgegw.core.own_station import Unpublished
from edgegw.core.publishing import Publication, Stage
from edgegw.wire.schemas import _schema_files
from tests.core.own_story import MD5, ORDER, URL, V21, V201, OwnStory

HTTP, FTP = "http://10.0.0.5/fw/a/wall-2.bin", "ftp://10.0.0.5/fw/a/wall-2.bin"
STATUS = "PublishFirmwareStatusNotification"
WAY = ["Downloading", "Downloaded", "ChecksumVerified", "Published"]


@pytest.fixture(params=[V201, V21], ids=str)
def story(request) -> OwnStory:
    return OwnStory(request.param).is_up()


def md5_number(number: int) -> str:
    return f"{number:032x}"


def trigger(story: OwnStory) -> dict:
    assert story.call("TriggerMessage", {"requestedMessage": STATUS}) == {"status": "Accepted"}
    return story.hears(STATUS)


def is_published(story: OwnStory, **changes) -> None:
    assert story.call("PublishFirmware", ORDER | changes) == {"status": "Accepted"}
    story.run_is(Stage.PUBLISHED, HTTP, FTP)
    assert story.statuses()[-1] == "Published"


# --- the good way ---------------------------------------------------------------------------------


def test_l03_a_file_goes_through_every_status(story):
    assert story.call("PublishFirmware", ORDER | {"retries": 3}) == {"status": "Accepted"}
    (wanted,) = story.wanted
    assert (wanted.url, wanted.md5, wanted.request_id, wanted.attempt) == (URL, MD5, 7, 1)
    assert story.is_quiet  # nothing has begun
    for stage in (Stage.DOWNLOADING, Stage.DOWNLOADED, Stage.VERIFIED):
        story.run_is(stage)
        assert story.hears(STATUS) == {"status": stage.value, "requestId": 7}
    story.run_is(Stage.PUBLISHED, HTTP, FTP)
    # L03.FR.04: an address for every protocol, with status Published only
    assert story.hears(STATUS) == {"status": "Published", "requestId": 7, "location": [HTTP, FTP]}
    assert story.is_quiet


def test_the_names_of_the_statuses_are_those_of_the_schema():
    schema = msgspec.json.decode(
        _schema_files(V201)["request", STATUS].read_bytes().removeprefix(b"\xef\xbb\xbf")
    )
    assert set(Stage) == set(schema["definitions"]["PublishFirmwareStatusEnumType"]["enum"])


def test_a_file_that_is_here_already_tells_the_same_story(story):
    story.call("PublishFirmware", ORDER)
    story.run_is(Stage.PUBLISHED, HTTP)
    assert story.statuses() == WAY


def test_a_stage_that_is_said_twice_is_reported_once(story):
    story.call("PublishFirmware", ORDER)
    story.run_is(Stage.DOWNLOADING)
    story.run_is(Stage.DOWNLOADING)
    story.run_is(Stage.PAUSED)  # the origin is slow, says the publisher
    story.run_is(Stage.DOWNLOADING)
    assert story.statuses() == ["Downloading", "DownloadPaused", "Downloading"]


def test_the_answer_waits_for_the_disk(story):
    story.disk_works = False
    asked = story.asks("PublishFirmware", ORDER)
    assert story.answer_of(asked) is None
    assert story.wanted == []
    story.disk_catches_up()
    assert story.answer_of(asked) == {"status": "Accepted"}
    assert len(story.wanted) == 1


def test_a_checksum_is_the_same_in_either_case(story):
    is_published(story, checksum=MD5.upper())
    asked = story.asks("UnpublishFirmware", {"checksum": MD5.upper()})
    assert story.unpublishing[0].md5 == MD5
    story.unpublish_is(Unpublished.DONE)
    assert story.answer_of(asked) == {"status": "Unpublished"}


# --- failures -------------------------------------------------------------------------------------


def test_l03_fr06_a_download_is_tried_again_and_then_given_up(story):
    story.call("PublishFirmware", ORDER | {"retries": 2, "retryInterval": 30})
    for attempt in (1, 2):
        assert story.wanted[-1].attempt == attempt
        story.run_is(Stage.DOWNLOADING)
        story.run_is(Stage.DOWNLOAD_FAILED, why="connection refused")
        assert story.statuses() == ["Downloading", "DownloadPaused"]
        story.passes(29)
        assert len(story.wanted) == attempt
        story.passes(2)
    story.run_is(Stage.DOWNLOADING)
    story.run_is(Stage.DOWNLOAD_FAILED, why="connection refused")
    assert story.statuses() == ["Downloading", "DownloadFailed"]
    story.passes(290)
    assert len(story.wanted) == 3
    assert "connection refused" in story.notices[-1].text


def test_no_retries_means_none(story):
    story.call("PublishFirmware", ORDER | {"retries": 0})
    story.run_is(Stage.DOWNLOAD_FAILED, why="gone")
    assert story.statuses() == ["DownloadFailed"]
    assert len(story.wanted) == 1


@pytest.mark.parametrize(
    ("said", "interval_s"), [({}, 60), ({"retryInterval": 0}, 1), ({"retryInterval": 10**9}, 86_400)]
)
def test_the_wait_between_attempts_has_limits(story, said, interval_s):
    story.call("PublishFirmware", ORDER | said)
    story.run_is(Stage.DOWNLOAD_FAILED)
    assert story.station.publishing.wake_at == story.mono + interval_s


@pytest.mark.parametrize(
    ("end", "before"),
    [
        (Stage.INVALID_CHECKSUM, ["Downloading", "Downloaded"]),  # L03.FR.07
        (Stage.PUBLISH_FAILED, ["Downloading", "Downloaded", "ChecksumVerified"]),  # L03.FR.08
    ],
)
def test_a_wrong_file_is_not_fetched_again(story, end, before):
    story.call("PublishFirmware", ORDER | {"retries": 5})
    story.run_is(Stage.DOWNLOADING)
    story.run_is(end, why="no")
    assert story.statuses() == [*before, end.value]
    story.passes(290)
    assert len(story.wanted) == 1


def test_a_status_is_never_repeated_backwards_before_an_end(story):
    story.call("PublishFirmware", ORDER)
    story.run_is(Stage.VERIFIED)
    story.run_is(Stage.INVALID_CHECKSUM)  # a publisher that changed its mind
    assert story.statuses() == ["Downloading", "Downloaded", "ChecksumVerified", "InvalidChecksum"]


def test_l03_fr08_without_an_address_nothing_is_published(story):
    story.call("PublishFirmware", ORDER)
    story.run_is(Stage.PUBLISHED)
    assert story.statuses()[-1] == "PublishFailed"


def test_an_address_too_long_for_the_version_is_left_out():
    long = "http://10.0.0.5/" + "a" * 600
    for version, told in ((V201, [HTTP]), (V21, [HTTP, long])):
        story = OwnStory(version).is_up()
        story.call("PublishFirmware", ORDER)
        story.run_is(Stage.PUBLISHED, HTTP, long)
        payloads = [story.hears(STATUS) for _ in WAY]
        assert payloads[-1]["location"] == told


def test_what_an_ended_run_still_says_is_not_heard(story):
    story.call("PublishFirmware", ORDER)
    story.run_is(Stage.PUBLISHED, HTTP)
    story.statuses()
    story.run_is(Stage.DOWNLOADING)
    story.run_is(Stage.DOWNLOAD_FAILED)
    story.run_is(Stage.IDLE, run=99)
    assert story.is_quiet


# --- orders that meet -----------------------------------------------------------------------------


def test_downloads_wait_for_their_turn(story):
    for number in range(4):
        story.call("PublishFirmware", ORDER | {"checksum": md5_number(number), "requestId": number})
    assert [w.request_id for w in story.wanted] == [0, 1]
    assert story.hears(STATUS) == {"status": "DownloadScheduled", "requestId": 2}
    assert story.hears(STATUS) == {"status": "DownloadScheduled", "requestId": 3}
    story.run_is(Stage.PUBLISHED, HTTP, run=story.wanted[0].run)
    assert [w.request_id for w in story.wanted] == [0, 1, 2]
    story.run_is(Stage.DOWNLOAD_FAILED, run=story.wanted[1].run)  # while it pauses another has its turn
    assert [w.request_id for w in story.wanted] == [0, 1, 2, 3]


def test_the_same_order_again_is_the_same_work(story):
    story.call("PublishFirmware", ORDER)
    story.run_is(Stage.DOWNLOADING)
    assert story.statuses() == ["Downloading"]
    assert story.call("PublishFirmware", ORDER) == {"status": "Accepted"}
    assert story.is_quiet
    assert len(story.wanted) == 1


def test_another_request_for_the_same_file_hears_from_then_on(story):
    story.call("PublishFirmware", ORDER)
    story.run_is(Stage.DOWNLOADING)
    story.statuses()
    assert story.call("PublishFirmware", ORDER | {"requestId": 8}) == {"status": "Accepted"}
    assert story.hears(STATUS) == {"status": "Downloading", "requestId": 8}
    story.run_is(Stage.DOWNLOADED)
    assert story.hears(STATUS) == {"status": "Downloaded", "requestId": 8}
    assert len(story.wanted) == 1


def test_another_address_takes_the_place_of_the_first(story):
    story.call("PublishFirmware", ORDER)
    story.run_is(Stage.DOWNLOADING)
    story.statuses()
    other = "http://mirror.example/wall-2.bin"
    story.call("PublishFirmware", ORDER | {"location": other, "requestId": 8})
    first, second = story.wanted
    assert story.stopped == [first.run]
    assert second.url == other
    story.run_is(Stage.DOWNLOAD_FAILED, run=first.run)
    assert story.is_quiet
    story.run_is(Stage.PUBLISHED, HTTP)
    assert story.statuses() == WAY


def test_a_published_file_can_be_ordered_again(story):
    is_published(story)
    is_published(story, requestId=9)
    assert [w.request_id for w in story.wanted] == [7, 9]


def test_there_is_room_for_so_many_files(story, monkeypatch):
    monkeypatch.setattr(publishing, "PUBLICATIONS_MAX", 3)
    for number in range(3):
        is_published(story, checksum=md5_number(number))
    answer = story.call("PublishFirmware", ORDER | {"checksum": md5_number(3)})
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "OutOfStorage")
    is_published(story, checksum=md5_number(1))  # a known one needs no room


def test_a_failed_file_makes_room(story, monkeypatch):
    monkeypatch.setattr(publishing, "PUBLICATIONS_MAX", 2)
    is_published(story, checksum=md5_number(0))
    story.call("PublishFirmware", ORDER | {"checksum": md5_number(1)})
    story.run_is(Stage.INVALID_CHECKSUM)
    story.statuses()
    is_published(story, checksum=md5_number(2))
    assert set(story.documents) == {md5_number(0), md5_number(2)}


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "gopher://a/b", "http://", "//a/b", "http://a b/", "x"]
)
def test_fault_75_an_address_that_nobody_fetches_is_refused(story, url):
    answer = story.call("PublishFirmware", ORDER | {"location": url})
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "InvalidURL")
    assert story.wanted == []
    assert story.documents == {}


@pytest.mark.parametrize("checksum", ["", "abc", MD5[:-1], MD5[:-1] + "g", MD5[:-1] + "\u0663"])
def test_a_checksum_that_is_none_is_refused(story, checksum):
    answer = story.call("PublishFirmware", ORDER | {"checksum": checksum})
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "InvalidValue")
    assert story.call("UnpublishFirmware", {"checksum": checksum}) == {"status": "NoFirmware"}


def test_a_published_file_whose_second_order_failed_keeps_its_room(story, monkeypatch):
    monkeypatch.setattr(publishing, "PUBLICATIONS_MAX", 1)
    is_published(story)
    story.call("PublishFirmware", ORDER | {"requestId": 8, "retries": 0})
    story.run_is(Stage.DOWNLOAD_FAILED)
    story.statuses()
    assert story.call("PublishFirmware", ORDER | {"checksum": md5_number(1)})["status"] == "Rejected"
    assert list(story.documents) == [MD5]


# --- unpublishing ---------------------------------------------------------------------------------


def test_l04_fr02_unpublished(story):
    is_published(story)
    asked = story.asks("UnpublishFirmware", {"checksum": MD5})
    assert story.answer_of(asked) is None
    story.unpublish_is(Unpublished.DONE)
    assert story.answer_of(asked) == {"status": "Unpublished"}
    assert story.documents == {}


def test_l04_fr03_what_was_never_published_is_no_firmware(story):
    asked = story.asks("UnpublishFirmware", {"checksum": MD5})
    story.unpublish_is(Unpublished.NO_FIRMWARE)
    assert story.answer_of(asked) == {"status": "NoFirmware"}


def test_l04_fr04_a_file_that_a_charger_downloads_stays(story):
    is_published(story)
    asked = story.asks("UnpublishFirmware", {"checksum": MD5})
    story.unpublish_is(Unpublished.DOWNLOAD_ONGOING)
    assert story.answer_of(asked) == {"status": "DownloadOngoing"}
    assert MD5 in story.documents


def test_while_the_box_itself_downloads_the_answer_is_the_same(story):
    story.call("PublishFirmware", ORDER)
    assert story.call("UnpublishFirmware", {"checksum": MD5}) == {"status": "DownloadOngoing"}
    assert story.unpublishing == []


def test_unpublishing_calls_off_what_waits_for_its_next_attempt(story):
    story.call("PublishFirmware", ORDER)
    story.run_is(Stage.DOWNLOAD_FAILED)
    story.statuses()
    asked = story.asks("UnpublishFirmware", {"checksum": MD5})
    story.unpublish_is(Unpublished.NO_FIRMWARE)
    assert story.answer_of(asked) == {"status": "NoFirmware"}
    story.passes(250)
    assert len(story.wanted) == 1
    assert story.documents == {}


def test_an_order_that_crosses_an_unpublishing_is_not_forgotten(story):
    is_published(story)
    story.asks("UnpublishFirmware", {"checksum": MD5})
    story.call("PublishFirmware", ORDER | {"requestId": 8})
    story.unpublish_is(Unpublished.DONE)
    story.run_is(Stage.PUBLISHED, HTTP)
    assert story.statuses() == WAY
    assert MD5 in story.documents


def test_an_unpublishing_that_failed_is_an_error(story):
    is_published(story)
    asked = story.asks("UnpublishFirmware", {"checksum": MD5})
    story.unpublish_is(None)
    assert story.cloud.answers[asked][2] == "InternalError"
    assert MD5 in story.documents


def test_an_answer_for_a_leg_that_is_gone_is_not_given_on_the_next(story):
    is_published(story)
    asked = story.asks("UnpublishFirmware", {"checksum": MD5})
    story.loses()
    story.connects()
    story.unpublish_is(Unpublished.DONE)
    assert story.answer_of(asked) is None
    assert story.documents == {}


def test_a_flood_of_unpublishing_has_a_limit(story):
    asked = [story.asks("UnpublishFirmware", {"checksum": md5_number(number)}) for number in range(9)]
    assert story.cloud.answers[asked[-1]][2] == "GenericError"
    assert len(story.unpublishing) == 8


# --- triggers -------------------------------------------------------------------------------------


def test_l03_fr10_after_published_the_status_is_idle(story):
    is_published(story)
    assert trigger(story) == {"status": "Idle"}


def test_l03_fr11_else_it_is_the_last_one_again(story):
    assert trigger(story) == {"status": "Idle"}  # none was ever sent
    story.call("PublishFirmware", ORDER)
    story.run_is(Stage.DOWNLOADING)
    story.statuses()
    assert trigger(story) == {"status": "Downloading", "requestId": 7}
    story.run_is(Stage.INVALID_CHECKSUM)
    story.statuses()
    assert trigger(story) == {"status": "InvalidChecksum", "requestId": 7}


def test_the_last_status_is_known_after_a_restart(story):
    is_published(story, checksum=md5_number(1), requestId=1)
    story.call("PublishFirmware", ORDER | {"retries": 0})
    story.run_is(Stage.DOWNLOAD_FAILED)
    story.statuses()
    story.restart()
    story.is_up()
    assert trigger(story) == {"status": "DownloadFailed", "requestId": 7}


# --- restarts -------------------------------------------------------------------------------------


def test_a_published_file_stays_published_over_a_restart(story):
    is_published(story)
    story.restart()
    story.is_up()
    assert story.wanted == []
    assert story.is_quiet
    asked = story.asks("UnpublishFirmware", {"checksum": MD5})
    story.unpublish_is(Unpublished.DONE)
    assert story.answer_of(asked) == {"status": "Unpublished"}


def test_an_unfinished_file_goes_on_after_a_restart_with_the_attempts_it_has_left(story):
    story.call("PublishFirmware", ORDER | {"retries": 1})
    story.run_is(Stage.DOWNLOADING)
    story.run_is(Stage.DOWNLOAD_FAILED)
    story.statuses()
    story.restart()
    (wanted,) = story.wanted
    assert (wanted.url, wanted.request_id, wanted.attempt) == (URL, 7, 2)
    story.is_up()
    story.run_is(Stage.DOWNLOADING)
    story.run_is(Stage.DOWNLOAD_FAILED)
    assert story.statuses() == ["Downloading", "DownloadFailed"]


def test_an_end_that_the_cloud_did_not_hear_of_is_told_after_a_restart(story):
    story.call("PublishFirmware", ORDER)
    story.loses()
    story.run_is(Stage.PUBLISHED, HTTP, FTP)
    story.restart()
    story.is_up()
    assert story.hears(STATUS) == {"status": "Published", "requestId": 7, "location": [HTTP, FTP]}
    story.restart()
    story.is_up()
    assert story.is_quiet


def test_an_end_of_an_earlier_order_does_not_count_for_this_one(story):
    is_published(story)
    story.call("PublishFirmware", ORDER | {"requestId": 8})
    story.loses()
    story.run_is(Stage.PUBLISHED, HTTP)
    story.restart()
    story.is_up()
    assert story.hears(STATUS) == {"status": "Published", "requestId": 8, "location": [HTTP]}


def test_an_order_is_not_lost_in_a_power_cut_after_its_answer(story):
    story.call("PublishFirmware", ORDER)
    story.power_cut()
    assert [w.request_id for w in story.wanted] == [7]


def test_a_published_file_is_not_fetched_again_after_a_power_cut(story):
    is_published(story)
    story.power_cut()
    story.is_up()
    assert story.wanted == []
    assert story.statuses() == ["Published"]  # twice is better than never


def test_a_download_that_a_power_cut_ended_is_told_from_its_start(story):
    story.call("PublishFirmware", ORDER)
    story.run_is(Stage.DOWNLOADING)
    assert story.statuses() == ["Downloading"]
    story.restart()
    story.is_up()
    story.run_is(Stage.DOWNLOADING)
    assert story.statuses() == ["Downloading"]


def test_fault_84_the_address_is_forgotten_when_it_is_not_needed_any_more(story):
    is_published(story)
    assert b"secret" not in story.documents[MD5]
    assert not [text for text in map(str, story.notices) if "secret" in text]


def test_a_document_of_another_kind_of_edgegw_is_passed_over(story):
    story.documents = {MD5: b'{"md5": 5}', md5_number(1): b"\xff"}
    story.restart()
    story.is_up()
    is_published(story)


def test_a_publication_is_kept_as_it_is():
    kept = Publication(md5=MD5, request_id=7, stage=Stage.PUBLISHED, locations=(HTTP,), told=Stage.PUBLISHED)
    assert msgspec.json.decode(msgspec.json.encode(kept), type=Publication) == kept
