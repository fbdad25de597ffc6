"""Slots and the files in them: names, quotas, restarts, a full disk."""

from __future__ import annotations

import asyncio
import hashlib
import json
import stat
from pathlib import Path

import pytest

from edgegw.files import uploads as uploads_module
from edgegw.files.receiving import UploadRefused
from edgegw.files.upload_index import NAME_CHARACTERS_MAX, UploadSlot, shown_name
from edgegw.files.uploads import UploadsFull, UploadStore
from tests.files.doorstep import NOW, open_uploads
from tests.files.rig import BoardClock

URL = "ftp://ops:geheim@logs.example.com/in/"


async def slot_in(store: UploadStore, order: str = "o1", charger: str = "CP-1", url: str = URL) -> UploadSlot:
    return await store.open_slot(
        order, charger, expires_at=NOW + 3600, remote_url=url, remote_shown="ftp://logs.example.com/in/"
    )


async def put(store: UploadStore, token: str, data: bytes, name: str = "diag.zip") -> UploadSlot:
    reception = await store.receive(token)
    try:
        await reception.write(data)
        return await reception.finish(method="PUT", sent_name=name)
    finally:
        await reception.abort()


def files_in(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "files").iterdir())


# --- names (fault 81) -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("../../etc/cron.d/x", "x"),
        ("..\\..\\Windows\\x.ini", "x.ini"),
        ("a/b", "b"),
        ("/", ""),
        ("..", ""),
        ("", ""),
        ("CON", "_CON"),
        ("con.zip", "_con.zip"),
        ("LPT1.log", "_LPT1.log"),
        ("consul.log", "consul.log"),
        ("a\0b\r\nc\x1b[31m", "abc[31m"),
        ("a<b>:c|d?.zip", "a_b__c_d_.zip"),
        ("\u202egpj.exe", "gpj.exe"),
        ("  .hidden. ", "hidden"),
        ("Zähler 7.zip", "Zähler 7.zip"),
    ],
)
def test_a_sent_name_is_only_shown_and_only_as_a_plain_file_name(sent: str, shown: str):
    """Fault 81: what a charger calls its file."""
    assert shown_name(sent) == shown


@pytest.mark.parametrize("ending", ["", ".tar.gz", "." + "x" * 3000])
def test_a_name_of_5000_characters_is_cut(ending: str):
    """Fault 81: the ending is kept where it is one."""
    name = shown_name("d" * 5000 + ending)
    assert len(name) == NAME_CHARACTERS_MAX
    assert name.endswith(".gz") == (ending == ".tar.gz")


# --- one upload -----------------------------------------------------------------------------------


async def test_an_upload_is_kept_under_a_random_name_and_hashed(tmp_path: Path):
    """Fault 81: no word of the charger is a path; a zip is a file like any other."""
    store = await open_uploads(tmp_path)
    slot = await slot_in(store)
    bomb = b"PK\x03\x04" + b"../../../etc/cron.d/x" + bytes(1000)
    kept = await put(store, slot.token, bomb, "../../etc/cron.d/x")
    assert files_in(tmp_path) == [kept.path_name]
    assert len(kept.path_name) == 32
    assert kept.sent_name == "x"
    assert kept.state == "received"
    assert kept.sha256 == hashlib.sha256(bomb).hexdigest()
    path = store.path_of("o1")
    assert path is not None
    assert path.read_bytes() == bomb
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await store.close()


async def test_the_index_is_for_this_user_alone_and_a_slot_shows_no_secret(tmp_path: Path):
    """Fault 84: the address has a password in it."""
    store = await open_uploads(tmp_path)
    slot = await slot_in(store)
    index = tmp_path / "uploads.json"
    assert stat.S_IMODE(index.stat().st_mode) == 0o600
    assert stat.S_IMODE(tmp_path.joinpath("files").stat().st_mode) == 0o700
    assert "geheim" in index.read_text()
    assert "geheim" not in repr(slot)
    assert slot.token not in repr(slot)
    await store.close()


async def test_an_order_that_has_a_slot_keeps_its_token_over_a_restart(tmp_path: Path):
    store = await open_uploads(tmp_path)
    first = await slot_in(store)
    kept = await put(store, first.token, b"one")
    await store.close()
    store = await open_uploads(tmp_path)
    assert await slot_in(store) == kept
    assert store.slot_of(first.token) == kept
    await store.close()


async def test_a_second_upload_replaces_the_first_until_the_charger_is_done(tmp_path: Path):
    """Fault 81: a duplicate."""
    store = await open_uploads(tmp_path)
    slot = await slot_in(store)
    first = await put(store, slot.token, b"one")
    second = await put(store, slot.token, b"two")
    assert first.path_name != second.path_name
    assert files_in(tmp_path) == [second.path_name]
    handed = await store.hand_over("o1")
    assert handed is not None
    assert handed.state == "forwarding"
    with pytest.raises(UploadRefused) as refusal:
        await put(store, slot.token, b"three")
    assert refusal.value.kind == "closed"
    assert files_in(tmp_path) == [second.path_name]
    await store.close()


async def test_an_upload_that_is_complete_after_the_hand_over_is_not_taken(tmp_path: Path):
    store = await open_uploads(tmp_path)
    slot = await slot_in(store)
    kept = await put(store, slot.token, b"one")
    late = await store.receive(slot.token)
    await late.write(b"two")
    await store.update("o1", state="forwarding")
    with pytest.raises(UploadRefused):
        await late.finish(method="PUT")
    await late.abort()
    assert files_in(tmp_path) == [kept.path_name]
    await store.close()


async def test_a_charger_that_reports_before_it_has_our_answer_is_waited_for(tmp_path: Path):
    store = await open_uploads(tmp_path)
    slot = await slot_in(store)
    reception = await store.receive(slot.token)
    await reception.write(b"data")
    handing = asyncio.create_task(store.hand_over("o1"))
    await asyncio.sleep(0)
    assert not handing.done()
    await reception.finish(method="PUT")
    handed = await handing
    assert handed is not None
    assert (handed.state, handed.size_bytes) == ("forwarding", 4)
    await store.close()


async def test_what_never_arrived_has_failed(tmp_path: Path):
    store = await open_uploads(tmp_path)
    await slot_in(store)
    handed = await store.hand_over("o1")
    assert handed is not None
    assert handed.state == "failed"
    assert handed.error
    assert await store.hand_over("unknown") is None
    await store.close()


async def test_a_cut_upload_leaves_nothing_and_may_be_repeated(tmp_path: Path):
    store = await open_uploads(tmp_path)
    slot = await slot_in(store)
    reception = await store.receive(slot.token)
    await reception.write(b"half")
    assert store.slots["o1"].state == "receiving"
    await reception.abort()
    assert files_in(tmp_path) == []
    assert store.slots["o1"].state == "open"
    assert (await put(store, slot.token, b"whole")).size_bytes == 5
    await store.close()


async def test_an_expired_slot_takes_nothing_and_is_forgotten(tmp_path: Path):
    now = NOW
    store = await open_uploads(tmp_path, wall=lambda: now)
    slot = await slot_in(store)
    now += 3601
    assert store.slot_of(slot.token) is None
    with pytest.raises(UploadRefused):
        await store.receive(slot.token)
    await store.sweep()
    assert store.slot("o1") is None
    await store.close()


async def test_a_file_is_kept_for_its_time_and_not_before_somebody_was_told(tmp_path: Path):
    now = NOW
    store = await open_uploads(tmp_path, wall=lambda: now, keep_s=1000.0)
    slot = await slot_in(store)
    await put(store, slot.token, b"data")
    await store.hand_over("o1")
    await store.update("o1", state="forwarded")
    now += 1001
    await store.sweep()
    assert store.slot("o1") is not None
    await store.update("o1", told=True)
    await store.sweep()
    assert store.slot("o1") is None
    assert files_in(tmp_path) == []
    await store.close()


async def test_an_order_that_is_called_off_while_its_slot_is_opened(tmp_path: Path):
    """The charger hung up: whoever opened the slot is given one, and it takes nothing."""
    store = await open_uploads(tmp_path)
    slot, _ = await asyncio.gather(slot_in(store), store.discard("o1"))
    assert store.slots == {}
    with pytest.raises(UploadRefused):
        await store.receive(slot.token)
    await store.close()


async def test_discard_takes_the_slot_and_its_file(tmp_path: Path):
    store = await open_uploads(tmp_path)
    slot = await slot_in(store)
    await put(store, slot.token, b"data")
    await store.discard("o1")
    await store.discard("o1")
    assert store.slot_of(slot.token) is None
    assert store.path_of("o1") is None
    assert files_in(tmp_path) == []
    await store.close()


# --- quotas (fault 81) ----------------------------------------------------------------------------


async def test_a_file_that_is_too_large_is_refused_by_its_length_or_as_it_grows(tmp_path: Path):
    """Fault 81: 100 GB."""
    store = await open_uploads(tmp_path, file_bytes_max=1000)
    slot = await slot_in(store)
    with pytest.raises(UploadRefused) as refusal:
        await store.receive(slot.token, 100 * 10**9)
    assert refusal.value.kind == "too_large"
    reception = await store.receive(slot.token)
    await reception.write(bytes(1000))
    with pytest.raises(UploadRefused) as refusal:
        await reception.write(b"x")
    assert refusal.value.kind == "too_large"
    await reception.abort()
    assert files_in(tmp_path) == []
    await store.close()


async def test_room_is_made_of_the_oldest_file_that_nobody_waits_for(tmp_path: Path):
    now = NOW
    store = await open_uploads(tmp_path, total_quota_bytes=1000, wall=lambda: now)
    for order in ("old", "waits", "new"):
        now += 1
        slot = await slot_in(store, order, f"CP-{order}")
        await put(store, slot.token, bytes(300))
        await store.hand_over(order)
    await store.update("old", state="forwarded", told=True)
    await store.update("new", state="forwarded", told=True)
    slot = await slot_in(store, "next", "CP-next")
    await put(store, slot.token, bytes(300))
    assert set(store.slots) == {"waits", "new", "next"}
    assert len(files_in(tmp_path)) == 3
    await store.close()


async def test_what_must_still_be_forwarded_never_makes_room(tmp_path: Path):
    store = await open_uploads(tmp_path, total_quota_bytes=500)
    slot = await slot_in(store, "waits", "CP-1")
    kept = await put(store, slot.token, bytes(300))
    await store.hand_over("waits")
    slot = await slot_in(store, "next", "CP-2")
    with pytest.raises(UploadRefused) as refusal:
        await put(store, slot.token, bytes(300))
    assert refusal.value.kind == "no_room"
    assert files_in(tmp_path) == [kept.path_name]
    assert (await put(store, slot.token, bytes(200))).size_bytes == 200  # nothing of the refused one counts
    await store.close()


async def test_one_charger_does_not_use_up_the_room_of_the_others(tmp_path: Path):
    store = await open_uploads(tmp_path, charger_quota_bytes=500)
    loud = await slot_in(store, "a", "loud")
    await put(store, loud.token, bytes(300))
    again = await slot_in(store, "b", "loud")
    with pytest.raises(UploadRefused):
        await put(store, again.token, bytes(300))
    quiet = await slot_in(store, "c", "quiet")
    assert (await put(store, quiet.token, bytes(300))).state == "received"
    await store.close()


async def test_parts_that_are_growing_count(tmp_path: Path):
    store = await open_uploads(tmp_path, total_quota_bytes=500)
    one, two = await slot_in(store, "a", "CP-1"), await slot_in(store, "b", "CP-2")
    first, second = await store.receive(one.token), await store.receive(two.token)
    await first.write(bytes(300))
    with pytest.raises(UploadRefused):
        await second.write(bytes(300))
    await first.abort()
    await second.write(bytes(300))
    await second.abort()
    await store.close()


async def test_ten_thousand_orders_do_not_all_get_a_slot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Fault 81: 10,000 files. The limit is made small so that the test is quick."""
    monkeypatch.setattr(uploads_module, "SLOTS_MAX", 3)
    store = await open_uploads(tmp_path)
    for order in ("a", "b", "c"):
        slot = await slot_in(store, order)
    with pytest.raises(UploadsFull):
        await slot_in(store, "d")
    await put(store, slot.token, b"data")
    await store.update("c", state="forwarded", told=True)
    await slot_in(store, "d")
    assert set(store.slots) == {"a", "b", "d"}
    await store.close()


async def test_the_disk_is_not_filled_to_the_brim(tmp_path: Path):
    """The journal lives on the same disk."""
    store = await open_uploads(tmp_path, free_bytes_min=1 << 60)
    slot = await slot_in(store)
    with pytest.raises(UploadRefused) as refusal:
        await put(store, slot.token, b"data")
    assert refusal.value.kind == "no_room"
    assert files_in(tmp_path) == []
    await store.close()


# --- a clock that is set ---------------------------------------------------------------------------


@pytest.mark.parametrize("restart", [False, True])
async def test_setting_the_clock_costs_no_upload(tmp_path: Path, restart: bool):
    clock = BoardClock()
    about = {"wall": clock, "trusted": clock.trusted}
    store = await open_uploads(tmp_path, **about)
    kept = await store.open_slot("kept", "CP-1", expires_at=clock.now + 3600)
    await put(store, kept.token, b"data")
    await store.hand_over("kept")
    wanted = await store.open_slot("wanted", "CP-2", expires_at=clock.now + 3600, remote_url="http://x/")
    clock.now += 10 * 3600  # nobody can say whether it was that long
    await store.sweep()
    assert store.slot_of(wanted.token) is not None
    clock.now -= 10 * 3600
    if restart:
        await store.close()
        clock.set(NOW)
        store = await open_uploads(tmp_path, **about)
    clock.set(NOW)
    await store.sweep()
    assert set(store.slots) == {"kept", "wanted"}
    assert await put(store, wanted.token, b"data")
    assert store.slots["wanted"].expires_at == NOW + 3600
    clock.now += 3601
    assert store.slot_of(wanted.token) is None, "from now on time counts"
    clock.now += 31 * 86_400
    await store.sweep()
    assert not store.slots
    await store.close()


async def test_a_file_is_not_given_up_because_the_clock_was_set(tmp_path: Path):
    clock = BoardClock()
    store = await open_uploads(tmp_path, wall=clock, trusted=clock.trusted)
    slot = await store.open_slot("o1", "CP-1", expires_at=clock.now + 3600, remote_url="http://x/")
    await put(store, slot.token, b"data")
    await store.hand_over("o1")
    clock.now += 86_400
    assert store.forwarded_for_s("o1") == 0.0
    clock.set(NOW)
    assert store.forwarded_for_s("o1") == 0.0
    clock.now += 7.0
    assert store.forwarded_for_s("o1") == 7.0
    assert store.forwarded_for_s("unknown") == 0.0
    await store.close()


async def test_a_clock_that_is_lost_again_moves_only_what_it_stamped(tmp_path: Path):
    clock = BoardClock(NOW, is_set=True)
    store = await open_uploads(tmp_path, wall=clock, trusted=clock.trusted)
    slot = await store.open_slot("o1", "CP-1", expires_at=NOW + 3600)
    clock.now, clock.is_set = 5000.0, False  # a power cut, and no NTP yet
    await put(store, slot.token, b"data")
    assert store.slots["o1"].undated == ("received_at",)
    clock.set(NOW)
    clock.now += 600
    await store.sweep()
    found = store.slots["o1"]
    assert (found.created_at, found.expires_at, found.received_at) == (NOW, NOW + 3600, NOW + 600)
    assert found.undated == ()
    await store.close()


# --- after a cut ----------------------------------------------------------------------------------


async def test_parts_and_files_that_nobody_was_told_of_are_cleared_away(tmp_path: Path):
    """Fault 83: power cut during the upload, or between rename and index."""
    store = await open_uploads(tmp_path)
    slot = await slot_in(store)
    kept = await put(store, slot.token, b"data")
    await store.close()
    (tmp_path / "files" / "0123.part").write_bytes(b"half")
    (tmp_path / "files" / "beef").write_bytes(b"whole, but the charger never heard a yes")
    store = await open_uploads(tmp_path)
    assert files_in(tmp_path) == [kept.path_name]
    assert store.slots["o1"] == kept
    await store.close()


async def test_receiving_is_open_again_after_a_cut_and_a_lost_file_is_said_to_be_lost(tmp_path: Path):
    store = await open_uploads(tmp_path)
    slot = await slot_in(store, "a")
    other = await slot_in(store, "b")
    kept = await put(store, other.token, b"data")
    reception = await store.receive(slot.token)
    await store.update("a", kind="security")  # written while it is receiving
    await reception.abort()
    await store.close()
    assert '"receiving"' in (tmp_path / "uploads.json").read_text()
    (tmp_path / "files" / kept.path_name).unlink()
    store = await open_uploads(tmp_path)
    assert store.slots["a"].state == "open"
    assert store.slots["b"].state == "failed"
    assert store.path_of("b") is None
    await store.close()


async def test_a_damaged_index_is_put_aside_and_the_files_stay_for_the_technician(tmp_path: Path):
    store = await open_uploads(tmp_path)
    slot = await slot_in(store)
    kept = await put(store, slot.token, b"data")
    await store.close()
    index = tmp_path / "uploads.json"
    index.write_text(index.read_text()[:-20])
    store = await open_uploads(tmp_path)
    assert (tmp_path / "uploads.damaged").exists()
    (found,) = store.slots.values()
    assert (found.state, found.path_name, found.size_bytes) == ("kept", kept.path_name, 4)
    assert store.slot_of(slot.token) is None
    await store.close()


async def test_slots_that_are_opened_at_once_share_writes_and_are_all_on_disk(tmp_path: Path):
    store = await open_uploads(tmp_path)
    slots = await asyncio.gather(*(slot_in(store, f"o{n}", f"CP-{n}") for n in range(50)))
    on_disk = {entry["order"] for entry in json.loads((tmp_path / "uploads.json").read_text())}
    assert on_disk == {slot.order for slot in slots}
    await store.close()


async def test_a_name_that_no_file_can_hold_is_kept_as_far_as_it_can(tmp_path: Path):
    """A charger's answer may name its file in half a character."""
    store = await open_uploads(tmp_path)
    await store.open_slot("o-1", "CP-1", expires_at=NOW + 60)
    slot = await store.update("o-1", asked_name="log\ud800.txt")
    assert slot is not None
    assert slot.asked_name == "log?.txt"
    await store.close()
