"""What waits for the cloud: by charger, and message by message. Pure."""

from __future__ import annotations

from rich.text import Text

from edgegw.control.models import ChargerQueue, QueueRow, QueueView
from edgegw.redaction import plain
from edgegw.tui.json_text import pretty
from edgegw.tui.table import Column, Row
from edgegw.tui.words import age, number

COLUMNS = (
    Column("", 1),
    Column("CHARGER", 12, 2),
    Column("STORED", 8, right=True),
    Column("SENT", 6, right=True),
    Column("PARKED", 8, right=True),
    Column("OLDEST", 7, right=True),
    Column("", 20, 3, rank=1),
)
ROW_COLUMNS = (
    Column("", 1),
    Column("SEQ", 6, right=True),
    Column("RECEIVED", 14),
    Column("ACTION", 19, 1),
    Column("STATE", 9),
    Column("WHY", 12, 3),
    Column("TRANSACTION", 11, 1, rank=2),
)
_STATES = {
    "stored": ("waits", ""),
    "in_flight": ("sent", "cyan"),
    "parked": ("PARKED", "bold yellow"),
    "delivered": ("delivered", "green"),
    "recorded": ("recorded", ""),
}
_STATES_IN_WORDS = {
    "stored": "waits for its turn to the cloud",
    "in_flight": "was sent to the cloud, which has not answered yet",
    "parked": "the cloud refused it for good; r sends it once more",
    "delivered": "the cloud has it",
    "recorded": "kept here; this box has no cloud",
}


def row_of(queue: ChargerQueue, now: str) -> Row:
    sign = ("!", "bold yellow") if queue.parked else " "
    cells = (
        sign,
        plain(queue.charger),
        str(queue.stored),
        str(queue.in_flight),
        (str(queue.parked), "bold yellow" if queue.parked else "dim"),
        age(queue.oldest_unsent_at, now),
        ("refused by the cloud: enter shows why" if queue.parked else "", "yellow"),
    )
    return Row(queue.charger, cells)


def about_queue(queue: ChargerQueue, now: str) -> Text:
    text = Text()
    text.append(f"{plain(queue.charger)}: ", "bold")
    text.append(f"{number(queue.stored, 'message')} wait, {queue.in_flight} sent and not answered yet")
    if queue.oldest_unsent_at:
        text.append(f"; the oldest has waited for {age(queue.oldest_unsent_at, now)}")
    if queue.parked:
        text.append(
            f"\n! {number(queue.parked, 'message')} the cloud refused for good. They are kept. When it is "
            "mended, r sends them once more; enter shows what it said.",
            "yellow",
        )
    return text


def site_words(queue: QueueView, mode: str) -> str:
    if mode == "standalone":
        return "this box has no cloud; nothing waits"
    return "nothing waits for the cloud"


def key_of(row: QueueRow) -> str:
    return str(row.seq)


def message_row(row: QueueRow) -> Row:
    word, style = _STATES[row.state]
    cells = (
        ("!", "bold yellow") if row.state == "parked" else " ",
        str(row.seq),
        f"{row.received_at[5:10]} {row.received_at[11:19]}",
        plain(row.action),
        (word, style),
        (why(row), style),
        plain(row.transaction),
    )
    return Row(key_of(row), cells)


# Why the box answered it itself and kept it: `core.uplink`.
_FLAGS = {
    "behind_queue": "others waited before it",
    "link_lost": "the line to the cloud was lost",
    "no_answer": "the cloud did not answer in time",
}


def why(row: QueueRow) -> str:
    refused = f"refused {number(row.attempts, 'time')}: {row.error}" if row.attempts else row.error
    flags = (_FLAGS.get(flag, flag) for flag in row.flags)
    return plain(", ".join(part for part in (refused, *flags) if part))


def about_message(row: QueueRow) -> Text:
    text = Text()
    text.append(f"{plain(row.action)}: {_STATES_IN_WORDS[row.state]}\n", "bold")
    if why(row):
        text.append(f"! {why(row)}\n", "yellow")
    clock = "" if row.clock_trusted else " (the clock of the box was not right)"
    transaction = f", transaction {plain(row.transaction)}" if row.transaction else ""
    text.append(f"message {plain(row.message_id)}{transaction}, received {row.received_at}{clock}\n", "dim")
    return text.append(pretty(row.raw)) if row.raw is not None else text
