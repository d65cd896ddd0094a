CREATE TABLE feeds (
    registry TEXT NOT NULL PRIMARY KEY,
    url TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    seq BIGINT,
    head BIGINT,
    row_at_ms BIGINT NOT NULL,
    caught_up_at_ms BIGINT NOT NULL,
    recheck_after TEXT,
    alarm TEXT,
    held_by TEXT,
    held_until_ms BIGINT NOT NULL
) WITHOUT ROWID;
