-- What may be lost: events on their way to the building's broker, and who ordered what of the box.
-- Nothing billed depends on it, so a damaged file is moved aside and begun anew.

-- Waits for the broker; goes when the broker has it. seq never comes twice, see meta.
CREATE TABLE event (
    seq  INTEGER PRIMARY KEY,
    body BLOB    NOT NULL
);

CREATE TABLE audit (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    body BLOB    NOT NULL
);

-- schema; stream: names this file in the ids of events; last_seq; dropped: events that never went out,
-- since the file was begun.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

REPLACE INTO meta VALUES ('schema', '1');
