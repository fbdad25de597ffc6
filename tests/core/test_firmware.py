"""UpdateFirmware through the box: the file first, then the charger, and the cloud hears the truth."""

from __future__ import annotations

import orjson
import pytest

from edgegw.core.effects import SendCharger, SendCloud
from edgegw.core.events import ChargerConnected
from edgegw.core.files import FetchFirmware, FetchOutcome, FilesPolicy, FirmwareNews, UpdateOrdered
from edgegw.core.records import SaveDocument
from edgegw.quirks.model import QuirkEntry
from tests.core.file_story import FTP_LINK, LINK, ORIGIN, FileStory, file_story, status_of, update
from tests.core.story import BOOT, V16, V21, V201

EACH = pytest.mark.parametrize(
    ("version", "signed"), [(V16, False), (V16, True), (V201, False), (V201, True), (V21, True)]
)


def accept(version, signed=False):
    return {} if version is V16 and not signed else {"status": "Accepted"}


def ordered(version=V201, signed=False, **more) -> FileStory:
    told = file_story(version, **more)
    told.cloud.sends(*update(version, signed=signed), id="c-1")
    return told


def at_charger(version=V201, signed=False, **more) -> FileStory:
    """The charger has taken the local link, and nothing else is remembered."""
    told = ordered(version, signed, **more)
    told.fetched()
    told.charger.answers(accept(version, signed))
    told.forget()
    return told


# --- the usual way --------------------------------------------------------------------------------


@EACH
def test_the_charger_hears_of_it_when_the_file_is_here_and_only_the_address_differs(version, signed):
    told = ordered(version, signed)
    assert not told.charger.raw, "told before the file is here"
    assert not told.cloud.raw, "answered before the charger was asked"
    original = orjson.dumps([2, "c-1", *update(version, signed=signed)])
    told.fetched()
    assert orjson.loads(told.charger.raw[0]) == orjson.loads(original.replace(ORIGIN.encode(), LINK.encode()))
    told.charger.answers(accept(version, signed))
    assert told.cloud.frames == [[3, "c-1", accept(version, signed)]]


def test_every_other_byte_is_the_clouds():
    told = file_story(V201)
    firmware = b'{ "signature":"a\\u002fb","location":"%s" }'
    raw = b'[2,"c 1","UpdateFirmware",{"requestId" : 7.0,"firmware":' + firmware + b',"x":1e3}]'
    told.cloud.says(raw % ORIGIN.encode())
    told.fetched()
    assert told.charger.raw == [raw % LINK.encode()]


@EACH
def test_the_order_is_on_disk_before_anything_is_done_for_it(version, signed):
    told = ordered(version, signed)
    told.expect(SaveDocument, FetchFirmware)


def test_the_file_service_gets_what_it_needs_to_check_the_signature():
    told = ordered(V201, True)
    asked = told.asked[-1]
    assert (asked.url, asked.certificate, asked.signature) == (ORIGIN, "CERTIFICATE", "SIGNATURE")
    assert asked.needed_until >= told.wall + 86_400


def test_statuses_go_to_the_cloud_untouched_and_the_end_ends_it():
    told = at_charger()
    sent = []
    for status in ("Downloading", "Downloaded", "Installing", "Installed"):
        sent.append(orjson.dumps([2, f"s-{status}", *status_of(V201, status)]))
        told.charger.says(sent[-1])
        told.cloud.answers({})
    assert told.cloud.raw == sent
    assert [status for _, status in told.news] == ["Downloading", "Downloaded", "Installing", "Installed"]
    assert FirmwareNews(order=told.news[0][0], status="Installed", ended=True) in told.effects
    assert told.core.state.files.firmware is None


def test_what_the_charger_answers_is_the_clouds_answer():
    told = ordered(V201, True)
    told.fetched()
    told.charger.answers({"status": "RevokedCertificate"})
    assert told.cloud.frames == [[3, "c-1", {"status": "RevokedCertificate"}]]
    assert told.news[-1][1] == "Refused"


# --- a slow line ----------------------------------------------------------------------------------


@EACH
def test_when_fetching_outlasts_the_clouds_patience_it_is_answered_and_the_command_follows(version, signed):
    told = ordered(version, signed)
    told.after(6)
    assert told.cloud.frames == [[3, "c-1", accept(version, signed)]]
    assert not told.charger.raw
    told.after(3600)
    told.fetched()
    action, payload = update(version, signed=signed)
    assert told.charger.actions == [action]
    assert orjson.loads(orjson.dumps(told.charger.last[3]).replace(LINK.encode(), ORIGIN.encode())) == payload
    told.charger.answers(accept(version, signed))
    assert len(told.cloud.raw) == 1, "the answer was the box's to hear"


def test_plain_1_6_is_answered_at_once_since_its_answer_says_nothing():
    told = ordered(V16)
    told.after(1.5)
    assert told.cloud.frames == [[3, "c-1", {}]]


@EACH
def test_a_refusal_behind_the_answer_reaches_the_cloud_as_a_status(version, signed):
    told = ordered(version, signed)
    told.after(6)
    told.fetched()
    told.cloud.take()
    told.charger.refuses("NotSupported")
    action, payload = status_of(version, "DownloadFailed", signed=signed)
    assert told.cloud.last[2:] == [action, payload]


def test_the_cloud_is_cut_while_the_file_is_fetched_and_the_charger_hears_of_it_all_the_same():
    told = ordered()
    told.cloud.goes_away()
    told.fetched()
    assert told.charger.actions == ["UpdateFirmware"]
    told.charger.answers({"status": "Accepted"})
    for status in ("Downloading", "Downloaded", "Installing", "Installed"):
        told.charger.sends(*status_of(V201, status))
    told.cloud.is_polite = True
    told.cloud.comes_back()
    statuses = [f[3]["status"] for f in told.cloud.frames if f[0] == 2]
    assert statuses == ["Downloading", "Downloaded", "Installing", "Installed"]


def test_the_cloud_is_cut_while_the_command_waits_for_the_charger():
    told = file_story(V201)
    told.somebody_calls("ClearCache")
    told.cloud.sends(*update(V201), id="c-1")
    told.fetched()
    told.cloud.goes_away()
    told.charger.take()
    told.charger.answers({"status": "Accepted"})
    told.fetched()
    assert told.charger.actions == ["UpdateFirmware"]


@EACH
def test_the_box_is_killed_while_it_fetches_and_goes_on_when_the_charger_is_back(version, signed):
    told = ordered(version, signed)
    told.after(6)
    told.restart()
    told.forget()
    told.charger.connects()
    assert not told.asked, "nothing goes before its boot (OCPP 1.6 4.2)"
    told.charger.sends("BootNotification", BOOT[version])
    assert not told.asked
    told.speaks_up()
    assert told.asked[-1].url == ORIGIN
    told.fetched()
    assert told.charger.actions == [update(version, signed=signed)[0]]


def test_the_charger_is_away_when_the_file_comes():
    told = ordered()
    told.after(6)
    told.charger.leaves()
    told.fetched()
    assert not told.charger.raw
    told.cloud.comes_back()
    told.forget()
    told.happens(ChargerConnected(V201))
    told.speaks_up()
    told.fetched()
    assert told.charger.actions == ["UpdateFirmware"]


def test_the_charger_leaves_before_it_answers_the_box_and_hears_of_it_again():
    told = ordered()
    told.after(6)
    told.fetched()
    told.charger.leaves()
    told.forget()
    told.charger.connects()
    told.speaks_up()
    assert len(told.asked) == 1


def test_a_repeated_call_of_the_cloud_is_answered_once():
    told = file_story(V201)
    raw = orjson.dumps([2, "c-1", *update(V201)])
    told.cloud.says(raw)
    told.cloud.says(raw)
    told.fetched()
    told.charger.answers({"status": "Accepted"})
    assert len(told.asked) == 1
    assert len(told.cloud.raw) == 1


def test_a_new_update_takes_the_place_of_the_one_that_is_fetched():
    told = ordered()
    first = told.asked[-1].order
    told.after(6)
    told.cloud.sends(*update(V201, request=8, location=ORIGIN + "2"), id="c-2")
    assert (first, "Replaced") in told.news
    told.fetched()
    assert told.charger.last[3]["requestId"] == 8


# --- what cannot be served ------------------------------------------------------------------------


@EACH
def test_what_cannot_be_fetched_goes_to_the_charger_as_it_came(version, signed):
    told = ordered(version, signed)
    told.not_fetched(FetchOutcome.UNREACHABLE)
    assert told.charger.last == [2, "c-1", *update(version, signed=signed)]
    assert "firmware_original" in told.noticed


@pytest.mark.parametrize("outcome", [FetchOutcome.FORBIDDEN, FetchOutcome.BAD_CERTIFICATE])
@EACH
def test_fault_75_and_78_what_must_not_be_fetched_is_refused_and_the_charger_told_nothing(
    version, signed, outcome
):
    told = ordered(version, signed)
    told.not_fetched(outcome, "it leads to 169.254.169.254")
    assert not told.charger.raw
    if version is V16 and not signed:
        assert [f[2:] for f in told.cloud.frames] == [
            [{}],
            ["FirmwareStatusNotification", {"status": "DownloadFailed"}],
        ]
    else:
        forbidden = outcome is FetchOutcome.FORBIDDEN
        answer = "Rejected" if forbidden else "InvalidCertificate"
        assert told.cloud.frames[0] == [3, "c-1", {"status": answer}]
        # WP L01.FR.02, 2.x L01.FR.02: the security event that the charger would send
        events = [f[3]["type"] for f in told.cloud.frames[1:]]
        assert events == ([] if forbidden else ["InvalidFirmwareSigningCertificate"])
    assert told.core.state.files.firmware is None


@EACH
def test_fault_78_a_file_that_is_not_what_was_signed(version, signed):
    told = ordered(version, signed)
    told.not_fetched(FetchOutcome.BAD_SIGNATURE)
    assert not told.charger.raw
    assert told.cloud.frames[0] == [3, "c-1", accept(version, signed)]
    plain = version is V16 and not signed
    expected = "DownloadFailed" if plain else "InvalidSignature"
    assert told.cloud.frames[1][2:] == list(status_of(version, expected, signed=signed))
    told.cloud.answers({})
    if not plain:
        assert told.cloud.last[3]["type"] == "InvalidFirmwareSignature"


def test_fault_75_the_site_may_say_that_such_addresses_are_relayed():
    told = ordered(policy=FilesPolicy(works=True, relay_forbidden=True))
    told.not_fetched(FetchOutcome.FORBIDDEN)
    assert told.charger.last == [2, "c-1", *update(V201)]


@pytest.mark.parametrize("why", ["no files", "jws", "vendor only"])
def test_what_is_relayed_byte_for_byte(why):
    policy = FilesPolicy(works=True)
    if why == "no files":
        policy = FilesPolicy()
    if why == "vendor only":
        policy = FilesPolicy(works=True, quirks=(QuirkEntry(name="x", flags={"local_firmware": False}),))
    told = file_story(V201, policy=policy)
    action = "UpdateFirmware-Signed" if why == "jws" else "UpdateFirmware"
    raw = orjson.dumps([2, "c-1", action, update(V201)[1]])
    told.cloud.says(raw)
    assert told.charger.raw == [raw]
    assert not told.asked


# --- which link -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocols", "urls", "original", "given"),
    [
        ("HTTP", (LINK, FTP_LINK), ORIGIN, LINK),
        ("FTP", (LINK, FTP_LINK), ORIGIN, FTP_LINK),
        ("FTPS", (LINK, FTP_LINK), ORIGIN, None),
        ("HTTP,FTP", (LINK, FTP_LINK), "ftp://vendor.example/x.bin", FTP_LINK),
        ("http , ftp", (LINK,), "ftp://vendor.example/x.bin", LINK),
        ("FTP", (LINK,), "ftp://vendor.example/x.bin", None),
        ("HTTP", ("http://x/" + "a" * 600,), ORIGIN, None),
    ],
)
def test_the_charger_is_given_a_link_it_can_use(protocols, urls, original, given):
    told = file_story(V201, protocols="")
    told.cloud.sends("GetVariables", {"getVariableData": []})
    variable = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "FileTransferProtocols"}}
    told.charger.answers(
        {"getVariableResult": [{"attributeStatus": "Accepted", "attributeValue": protocols, **variable}]}
    )
    told.forget()
    told.cloud.sends(*update(V201, location=original))
    told.fetched(*urls)
    assert told.charger.last[3]["firmware"]["location"] == (given or original)


@pytest.mark.parametrize(
    ("original", "given"),
    [(ORIGIN, LINK), ("ftp://vendor.example/x.bin", FTP_LINK), ("sftp://v.example/x", None)],
)
def test_a_charger_that_will_not_say_is_taken_to_know_what_its_operator_uses(original, given):
    told = file_story(V16, protocols="")
    told.cloud.sends(*update(V16, location=original), id="c-1")
    assert told.charger.actions == ["GetConfiguration"]
    told.fetched(LINK, FTP_LINK)
    assert told.charger.actions == ["GetConfiguration"], "it has not said yet"
    told.charger.answers({"unknownKey": ["SupportedFileTransferProtocols"]})
    assert told.charger.last[3]["location"] == (given or original)


def test_what_it_says_is_waited_for_and_kept():
    told = file_story(V16, protocols="")
    told.cloud.sends(*update(V16))
    told.fetched(LINK, FTP_LINK)
    told.charger.answers({"configurationKey": [
        {"key": "SupportedFileTransferProtocols", "readonly": True, "value": "FTP"}
    ]})  # fmt: skip
    assert told.charger.last[3]["location"] == FTP_LINK
    told.restart()
    assert told.core.state.profile.file_protocols == ("FTP",)


def test_a_quirk_knows_better_than_the_charger():
    quirk = QuirkEntry(name="x", vendor="Ohm", flags={"file_protocols": ("FTP",)})
    told = ordered(policy=FilesPolicy(works=True, quirks=(quirk,)), protocols="HTTP")
    told.fetched(LINK, FTP_LINK)
    assert told.charger.last[3]["firmware"]["location"] == FTP_LINK


# --- the charger cannot use it --------------------------------------------------------------------


@EACH
def test_a_charger_that_fails_on_the_local_link_gets_the_original_once(version, signed):
    told = at_charger(version, signed)
    told.charger.sends(*status_of(version, "DownloadFailed", signed=signed))
    assert told.cloud.last[2] == status_of(version, "DownloadFailed", signed=signed)[0], "the cloud hears it"
    assert told.asked[-1].failures == 1
    told.not_fetched(FetchOutcome.UNREACHABLE, "the charger could not load it from here")
    assert told.charger.last[2:] == list(update(version, signed=signed))
    told.charger.answers(accept(version, signed))
    told.forget()
    told.charger.sends(*status_of(version, "DownloadFailed", signed=signed))
    assert not told.charger.actions, "once"
    assert told.news[-1][1] == "DownloadFailed"


def test_the_next_command_for_the_same_file_gives_it_the_original_at_once():
    told = at_charger()
    told.charger.sends(*status_of(V201, "DownloadFailed"))
    told.not_fetched(FetchOutcome.UNREACHABLE)
    told.charger.answers({"status": "Accepted"})
    told.charger.sends(*status_of(V201, "Installed"))
    told.restart()
    told.charger.connects()
    told.cloud.comes_back()
    told.forget()
    told.cloud.sends(*update(V201, request=8))
    assert told.charger.last[3]["firmware"]["location"] == ORIGIN
    assert not told.asked


def test_a_bad_signature_found_by_the_charger_is_no_reason_to_try_again():
    told = at_charger(V201, True)
    told.charger.sends(*status_of(V201, "InvalidSignature"))
    assert not told.charger.actions
    assert told.news[-1][1] == "InvalidSignature"


# --- the site's own -------------------------------------------------------------------------------


def site_update(told: FileStory, order: str = "r-1") -> None:
    told.happens(UpdateOrdered(order=order, url=LINK, request_id=0x3E000001))


@pytest.mark.parametrize("version", [V16, V201, V21])
def test_the_cloud_hears_nothing_of_an_update_of_the_site(version):
    told = file_story(version)
    site_update(told)
    assert told.charger.actions == ["UpdateFirmware"]
    told.charger.answers(accept(version))
    for status in ("Downloading", "Downloaded", "Installing", "Installed"):
        message_id = told.charger.sends(*status_of(version, status, request=0x3E000001))
        assert told.charger.told(message_id) == {}
    assert not told.cloud.raw
    assert [s for _, s in told.news] == ["Sent", "Downloading", "Downloaded", "Installing", "Installed"]


@pytest.mark.parametrize("version", [V16, V201, V21])
def test_a_signed_update_of_the_site(version):
    told = file_story(version)
    told.happens(UpdateOrdered(order="r", url=LINK, request_id=5, certificate="C", signature="S"))
    _, _, action, payload = told.charger.last
    assert action == ("SignedUpdateFirmware" if version is V16 else "UpdateFirmware")
    assert payload["requestId"] == 5
    firmware = payload["firmware"]
    assert (firmware["location"], firmware["signingCertificate"], firmware["signature"]) == (LINK, "C", "S")


@pytest.mark.parametrize("code", ["NotImplemented", "NotSupported", "InternalError"])
def test_a_plain_1_6_charger_gets_the_plain_command_instead(code):
    told = file_story(V16)
    told.happens(UpdateOrdered(order="r", url=LINK, request_id=5, certificate="C", signature="S"))
    assert told.charger.last[2] == "SignedUpdateFirmware"
    told.forget()
    told.charger.refuses(code)
    if code == "InternalError":
        assert told.news == [("r", "Refused")]
        return
    assert told.charger.last[2] == "UpdateFirmware"
    assert told.charger.last[3]["location"] == LINK
    told.charger.answers({})
    told.charger.sends(*status_of(V16, "Installed"))
    assert not told.cloud.raw
    assert [s for _, s in told.news] == ["Sent", "Installed"]


def test_a_late_status_of_an_update_of_the_site_is_still_not_the_clouds():
    told = file_story(V201)
    site_update(told)
    told.charger.answers({"status": "Accepted"})
    told.charger.sends(*status_of(V201, "Installed", request=0x3E000001))
    told.restart()
    told.charger.connects()
    told.cloud.comes_back()
    told.forget()
    told.charger.sends(*status_of(V201, "Installed", request=0x3E000001))
    assert not told.cloud.raw
    told.charger.sends(*status_of(V201, "Installed", request=5))
    assert told.cloud.actions == ["FirmwareStatusNotification"]


def test_the_site_never_updates_beside_the_cloud():
    told = at_charger()
    site_update(told)
    assert not told.charger.raw
    assert told.news == [("r-1", "Refused")]


def test_the_clouds_update_takes_the_place_of_the_sites_and_the_cloud_does_not_notice():
    told = file_story(V201)
    site_update(told)
    told.charger.answers({"status": "Accepted"})
    told.forget()
    told.cloud.sends(*update(V201), id="c-1")
    assert not told.news, "its link lives until the charger hears of the new one"
    told.fetched()
    assert ("r-1", "Replaced") in told.news
    told.charger.answers({"status": "AcceptedCanceled"})
    assert told.cloud.frames == [[3, "c-1", {"status": "Accepted"}]]


def test_an_update_of_the_site_that_a_power_cut_interrupted_is_sent_again():
    told = file_story(V201)
    site_update(told)
    told.restart()
    told.charger.connects()
    told.forget()
    site_update(told)
    assert told.charger.actions == ["UpdateFirmware"]
    told.charger.answers({"status": "Accepted"})
    told.forget()
    site_update(told)
    assert not told.charger.raw, "it has it"
    assert not told.news


def test_the_sites_update_is_refused_when_the_charger_is_away():
    told = file_story(V201)
    told.charger.leaves()
    site_update(told)
    assert told.news == [("r-1", "Refused")]


@pytest.mark.parametrize("payload", [{}, {"firmware": []}, {"firmware": {"location": 7}}, {"location": None}])
def test_junk_is_relayed_for_the_charger_to_refuse(payload):
    told = file_story(V201)
    told.cloud.sends("UpdateFirmware", payload, id="c-1")
    assert told.charger.last == [2, "c-1", "UpdateFirmware", payload]


def test_the_answer_goes_out_behind_what_must_be_kept():
    told = file_story(V201)
    site_update(told)
    told.charger.answers({"status": "Accepted"})
    told.forget()
    told.charger.sends(*status_of(V201, "Downloading", request=0x3E000001))
    told.expect(SaveDocument, FirmwareNews, SendCharger)
    assert SendCloud not in {type(effect) for effect in told.effects}
