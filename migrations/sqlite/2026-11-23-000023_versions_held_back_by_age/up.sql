-- When it was published, as the first document with it said; else when that came.
ALTER TABLE versions ADD COLUMN published_at_ms BIGINT;

-- Versions that an admin gave out before their time.
CREATE TABLE releases (
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    operator TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (name, version)
) WITHOUT ROWID;
