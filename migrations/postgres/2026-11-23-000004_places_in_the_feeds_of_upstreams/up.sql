CREATE TABLE feeds (
    registry TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    url TEXT COLLATE "C" NOT NULL,
    epoch BIGINT NOT NULL,
    seq BIGINT,
    head BIGINT,
    row_at_ms BIGINT NOT NULL,
    caught_up_at_ms BIGINT NOT NULL,
    recheck_after TEXT COLLATE "C",
    alarm TEXT COLLATE "C",
    held_by TEXT COLLATE "C",
    held_until_ms BIGINT NOT NULL
);
