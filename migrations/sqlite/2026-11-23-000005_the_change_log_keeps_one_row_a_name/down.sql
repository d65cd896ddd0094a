CREATE TABLE changes_by_seq (
    seq INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    at_ms BIGINT NOT NULL
);
INSERT INTO changes_by_seq (seq, name, kind, at_ms)
    SELECT seq, name, kind, at_ms FROM changes ORDER BY seq;
DROP TABLE changes;
ALTER TABLE changes_by_seq RENAME TO changes;
CREATE INDEX changes_of_name ON changes (name, seq);
