-- The flight recorder: frames and decisions' inputs of the last hours, in compressed blocks. The oldest go
-- when they are more than the quota. Passwords and card ids went before they were written.

-- body: zlib of records (core.flight_block) of any chargers, in order of their numbers; first_n to last_n.
CREATE TABLE flight (
    block    INTEGER PRIMARY KEY,
    first_n  INTEGER NOT NULL,
    last_n   INTEGER NOT NULL,
    last_at  REAL    NOT NULL,
    size     INTEGER NOT NULL,
    body     BLOB    NOT NULL
);

-- Which blocks hold a line of a charger.
CREATE TABLE flight_charger (
    block   INTEGER NOT NULL,
    charger TEXT    NOT NULL,
    PRIMARY KEY (block, charger)
) WITHOUT ROWID;
CREATE INDEX flight_by_charger ON flight_charger (charger, block);

REPLACE INTO meta VALUES ('schema', '2');
