"""Every SQL statement that touches rows. The schema itself is in schema/NNNN_*.sql.

The states that partial indexes are made for stand in the text as literals: with a parameter in their
place SQLite could not use the index. Nothing in this file ever contains a value from outside.
"""

from __future__ import annotations

from typing import Final

from edgegw.store.rows import JOURNAL_COLUMNS

_COLUMNS_COUNT = JOURNAL_COLUMNS.count(",") + 1

# --- the writer -----------------------------------------------------------------------------------

INSERT: Final = f"INSERT INTO journal ({JOURNAL_COLUMNS}) VALUES ({', '.join('?' * _COLUMNS_COUNT)})"  # noqa: S608
SETTLE: Final = (
    "UPDATE journal SET state = ?, attempts = ?, error = ?, settled_at = ?, state_crc = ?"
    " WHERE charger = ? AND seq = ?"
)
MARK_DISCARDED: Final = (
    "INSERT INTO charger_mark (charger, seq, epoch)"
    " SELECT charger, seq, epoch FROM journal WHERE charger = ? AND seq = ?"
    " ON CONFLICT (charger) DO UPDATE SET seq = max(seq, excluded.seq), epoch = max(epoch, excluded.epoch)"
)
DISCARD: Final = "DELETE FROM journal WHERE charger = ? AND seq = ?"
SAVE_DOCUMENT: Final = (
    "INSERT INTO document (kind, charger, key, value, crc) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (charger, kind, key) DO UPDATE SET value = excluded.value, crc = excluded.crc"
)
DELETE_DOCUMENT: Final = "DELETE FROM document WHERE kind = ? AND charger = ? AND key = ?"
SAVE_TRANSACTION: Final = (
    "INSERT INTO transaction_record (charger, transaction_id, running, saved_at, body, crc)"
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (charger, transaction_id) DO UPDATE SET"
    " running = excluded.running, saved_at = excluded.saved_at, body = excluded.body, crc = excluded.crc"
)
SAME_MESSAGE: Final = "SELECT raw FROM journal WHERE charger = ? AND epoch = ? AND message_id = ?"
SAME_SEQ: Final = "SELECT epoch, message_id, raw FROM journal WHERE charger = ? AND seq = ?"

# A damaged file may show one row twice.
INSERT_SALVAGED: Final = INSERT.replace("INSERT", "INSERT OR IGNORE", 1)

MISSING_DOCUMENT: Final = SAVE_DOCUMENT.split(" ON CONFLICT")[0] + " ON CONFLICT DO NOTHING"
MISSING_TRANSACTION: Final = SAVE_TRANSACTION.split(" ON CONFLICT")[0] + " ON CONFLICT DO NOTHING"

# --- readers --------------------------------------------------------------------------------------

_SELECT_JOURNAL = f"SELECT id, {JOURNAL_COLUMNS} FROM journal"  # noqa: S608

WAITING: Final = (
    _SELECT_JOURNAL + " INDEXED BY journal_stored"
    " WHERE state = 'stored' AND charger = ? AND lane = 3 AND seq > ? ORDER BY seq LIMIT ?"
)
WAITING_HEAD: Final = (
    _SELECT_JOURNAL + " INDEXED BY journal_stored"
    " WHERE state = 'stored' AND charger = ? AND lane < 3 ORDER BY lane, seq LIMIT ?"
)
RECENT: Final = (
    _SELECT_JOURNAL + " INDEXED BY journal_seq WHERE charger = ? AND lane = 3 ORDER BY seq DESC LIMIT ?"
)
LISTING: Final = {  # by (state given, charger given)
    (False, False): _SELECT_JOURNAL + " WHERE id < ? ORDER BY id DESC LIMIT ?",
    (True, False): _SELECT_JOURNAL + " WHERE state = ? AND id < ? ORDER BY id DESC LIMIT ?",
    (False, True): _SELECT_JOURNAL + " WHERE charger = ? AND id < ? ORDER BY id DESC LIMIT ?",
    (True, True): _SELECT_JOURNAL + " WHERE state = ? AND charger = ? AND id < ? ORDER BY id DESC LIMIT ?",
}
SCAN_JOURNAL: Final = _SELECT_JOURNAL + " NOT INDEXED WHERE id > ? ORDER BY id LIMIT ?"
SCAN_DOCUMENTS: Final = (
    "SELECT id, kind, charger, key, value, crc FROM document NOT INDEXED WHERE id > ? ORDER BY id LIMIT ?"
)
DOCUMENTS_OF: Final = (
    "SELECT id, kind, charger, key, value, crc FROM document INDEXED BY document_key WHERE charger = ?"
)
SCAN_TRANSACTIONS: Final = (
    "SELECT id, charger, transaction_id, running, saved_at, body, crc FROM transaction_record NOT INDEXED"
    " WHERE id > ? ORDER BY id LIMIT ?"
)
SCAN_QUARANTINE: Final = (
    "SELECT id, found_at, origin, row_id, reason, body FROM quarantine NOT INDEXED"
    " WHERE id > ? ORDER BY id LIMIT ?"
)
_SELECT_TRANSACTION = (
    "SELECT id, charger, transaction_id, running, saved_at, body, crc FROM transaction_record"
)
TRANSACTIONS: Final = {  # by (charger given, running given)
    (False, False): _SELECT_TRANSACTION + " WHERE id < ? ORDER BY id DESC LIMIT ?",
    (True, False): _SELECT_TRANSACTION + " WHERE charger = ? AND id < ? ORDER BY id DESC LIMIT ?",
    (False, True): _SELECT_TRANSACTION + " WHERE running = ? AND id < ? ORDER BY id DESC LIMIT ?",
    (True, True): _SELECT_TRANSACTION + " WHERE charger = ? AND running = ? AND id < ?"
    " ORDER BY id DESC LIMIT ?",
}
RUNNING: Final = _SELECT_TRANSACTION + " WHERE running = 1 ORDER BY id"
RUNNING_OF: Final = (
    _SELECT_TRANSACTION + " INDEXED BY transaction_charger WHERE charger = ? AND running = 1 ORDER BY id"
)
ENDED: Final = (
    _SELECT_TRANSACTION + " INDEXED BY transaction_charger WHERE charger = ? AND running = 0"
    " ORDER BY id DESC LIMIT ?"
)

# Hops from charger to charger through the index: the cost grows with chargers and not with rows.
CHARGERS: Final = (
    "WITH RECURSIVE c (charger) AS (SELECT min(charger) FROM journal UNION ALL"
    " SELECT (SELECT min(charger) FROM journal WHERE charger > c.charger) FROM c WHERE c.charger IS NOT NULL)"
    " SELECT charger, (SELECT max(seq) FROM journal j WHERE j.charger = c.charger),"
    " (SELECT max(epoch) FROM journal j WHERE j.charger = c.charger) FROM c WHERE charger IS NOT NULL"
)
MARKS: Final = "SELECT charger, seq, epoch FROM charger_mark"
COUNT_STORED: Final = (
    "SELECT charger, lane, count(*), min(received_at) FROM journal INDEXED BY journal_stored"
    " WHERE state = 'stored' GROUP BY charger, lane"
)
COUNT_PARKED: Final = (
    "SELECT charger, count(*) FROM journal INDEXED BY journal_parked WHERE state = 'parked' GROUP BY charger"
)
COUNTS: Final = (
    "SELECT (SELECT count(*) FROM journal INDEXED BY journal_stored WHERE state = 'stored'),"
    " (SELECT count(*) FROM journal INDEXED BY journal_parked WHERE state = 'parked'),"
    " (SELECT count(*) FROM journal INDEXED BY journal_settled WHERE state IN ('delivered', 'recorded')),"
    " (SELECT count(*) FROM quarantine),"
    " (SELECT min(received_at) FROM journal INDEXED BY journal_stored WHERE state = 'stored')"
)
PARKED_SEQS: Final = (
    "SELECT seq FROM journal INDEXED BY journal_parked WHERE state = 'parked' AND charger = ? ORDER BY seq"
)

# --- retention ------------------------------------------------------------------------------------

# An untrusted or impossible clock must not make a row old: its age begins at the first sane prune.
UNDATED: Final = (
    _SELECT_JOURNAL + " INDEXED BY journal_settled"
    " WHERE state IN ('delivered', 'recorded') AND settled_at < ? ORDER BY settled_at LIMIT ?"
)
PRUNE_JOURNAL: Final = (
    "DELETE FROM journal WHERE id IN (SELECT j.id FROM journal j INDEXED BY journal_settled"
    " WHERE j.state IN ('delivered', 'recorded') AND j.settled_at < ?"
    " AND j.seq < (SELECT max(seq) FROM journal k WHERE k.charger = j.charger) LIMIT ?)"
)
UNDATED_TRANSACTIONS: Final = (
    _SELECT_TRANSACTION + " INDEXED BY transaction_running WHERE running = 0 AND saved_at < ? LIMIT ?"
)
PRUNE_TRANSACTIONS: Final = (
    "DELETE FROM transaction_record WHERE id IN (SELECT id FROM transaction_record"
    " WHERE running = 0 AND saved_at < ? AND (charger, transaction_id) NOT IN"
    " (SELECT charger, transaction_id FROM journal INDEXED BY journal_stored WHERE state = 'stored'"
    " UNION SELECT charger, transaction_id FROM journal INDEXED BY journal_parked WHERE state = 'parked')"
    " LIMIT ?)"
)

# --- rows that are no longer themselves -----------------------------------------------------------

QUARANTINE: Final = "INSERT INTO quarantine (found_at, origin, row_id, reason, body) VALUES (?, ?, ?, ?, ?)"
DELETE_BAD: Final = {
    "journal": "DELETE FROM journal WHERE id = ?",
    "document": "DELETE FROM document WHERE id = ?",
    "transaction_record": "DELETE FROM transaction_record WHERE id = ?",
}
# The range of row ids as an index knows it, for tables whose own pages are damaged.
ID_RANGE: Final = {
    "journal": "SELECT min(id), max(id) FROM journal INDEXED BY journal_state WHERE state > ''",
    "document": "SELECT min(id), max(id) FROM document INDEXED BY document_key WHERE charger >= ''",
    "transaction_record": (
        "SELECT min(id), max(id) FROM transaction_record INDEXED BY transaction_running WHERE running >= 0"
    ),
}
NOT_INDEXED: Final = (
    "SELECT j.id FROM journal j NOT INDEXED WHERE j.id > ? AND j.id <= ? AND (NOT EXISTS"
    " (SELECT 1 FROM journal k INDEXED BY journal_seq"
    " WHERE k.charger = j.charger AND k.seq = j.seq AND k.id = j.id)"
    " OR j.state = 'stored' AND NOT EXISTS (SELECT 1 FROM journal k INDEXED BY journal_stored"
    " WHERE k.state = 'stored' AND k.charger = j.charger AND k.lane = j.lane AND k.seq = j.seq"
    " AND k.id = j.id)"
    " OR j.state = 'parked' AND NOT EXISTS (SELECT 1 FROM journal k INDEXED BY journal_parked"
    " WHERE k.state = 'parked' AND k.charger = j.charger AND k.seq = j.seq AND k.id = j.id)) LIMIT 1"
)
EXISTS: Final = {
    "journal": "SELECT 1 FROM journal WHERE id = ?",
    "document": "SELECT 1 FROM document WHERE id = ?",
    "transaction_record": "SELECT 1 FROM transaction_record WHERE id = ?",
}
SET_META: Final = (
    "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)
GET_META: Final = "SELECT value FROM meta WHERE key = ?"

NEWEST_SETTLED: Final = (
    "SELECT max(settled_at) FROM journal INDEXED BY journal_settled WHERE state IN ('delivered', 'recorded')"
)
