-- The first schema. Columns are as small as they are plain: whoever repairs a box at night reads
-- this file. Two checksums per row, because what a row says never changes (crc) while what became
-- of it does (state_crc). See edgegw/store/rows.py for what each of them covers.

CREATE TABLE journal (
    id             INTEGER PRIMARY KEY,
    charger        TEXT    NOT NULL,
    seq            INTEGER NOT NULL,
    epoch          INTEGER NOT NULL,
    message_id     TEXT    NOT NULL,
    lane           INTEGER NOT NULL,
    version        TEXT    NOT NULL,
    action         TEXT    NOT NULL,
    received_at    REAL    NOT NULL,
    clock_trusted  INTEGER NOT NULL,
    transaction_id TEXT    NOT NULL,
    subject        TEXT    NOT NULL,
    flags          TEXT    NOT NULL,
    crc            INTEGER NOT NULL,
    state          TEXT    NOT NULL,
    attempts       INTEGER NOT NULL,
    error          TEXT    NOT NULL,
    settled_at     REAL    NOT NULL,
    state_crc      INTEGER NOT NULL,
    raw            BLOB    NOT NULL,
    answer         BLOB    NOT NULL
);
CREATE UNIQUE INDEX journal_seq ON journal (charger, seq);
CREATE UNIQUE INDEX journal_message ON journal (charger, epoch, message_id);
-- Covers replay, the counts at start and the ids of transactions that still have rows to send.
CREATE INDEX journal_stored ON journal (charger, lane, seq, transaction_id, received_at)
    WHERE state = 'stored';
CREATE INDEX journal_parked ON journal (charger, seq) WHERE state = 'parked';
CREATE INDEX journal_settled ON journal (settled_at) WHERE state IN ('delivered', 'recorded');
CREATE INDEX journal_state ON journal (state);

-- The highest seq and epoch among rows that were discarded, so that neither is given twice.
CREATE TABLE charger_mark (
    charger TEXT    PRIMARY KEY,
    seq     INTEGER NOT NULL,
    epoch   INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE document (
    id      INTEGER PRIMARY KEY,
    kind    TEXT    NOT NULL,
    charger TEXT    NOT NULL,
    key     TEXT    NOT NULL,
    crc     INTEGER NOT NULL,
    value   BLOB    NOT NULL
);
CREATE UNIQUE INDEX document_key ON document (charger, kind, key);

CREATE TABLE transaction_record (
    id             INTEGER PRIMARY KEY,
    charger        TEXT    NOT NULL,
    transaction_id TEXT    NOT NULL,
    running        INTEGER NOT NULL,
    saved_at       REAL    NOT NULL,
    crc            INTEGER NOT NULL,
    body           BLOB    NOT NULL
);
CREATE UNIQUE INDEX transaction_key ON transaction_record (charger, transaction_id);
CREATE INDEX transaction_running ON transaction_record (running);
CREATE INDEX transaction_charger ON transaction_record (charger);

-- Rows whose checksum did not fit: never sent, never lost. body is the row as read, MessagePack.
CREATE TABLE quarantine (
    id       INTEGER PRIMARY KEY,
    found_at REAL    NOT NULL,
    origin   TEXT    NOT NULL,
    row_id   INTEGER NOT NULL,
    reason   TEXT    NOT NULL,
    body     BLOB    NOT NULL
);

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

REPLACE INTO meta VALUES ('schema', '1');
