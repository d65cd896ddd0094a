-- A follower needs the newest change of a name and no other, so a name has one row. The seq stays
-- the key: a page of the feed is one stretch of the table.

CREATE TABLE changes_by_name (
    seq INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    rev TEXT NOT NULL,
    version TEXT,
    deleted BOOLEAN NOT NULL,
    at_ms BIGINT NOT NULL
);
INSERT INTO changes_by_name (seq, name, kind, rev, version, deleted, at_ms)
    SELECT changes.seq, changes.name, changes.kind,
        COALESCE(packages.upstream_rev, packages.revision || '-0', '0-0'), NULL,
        COALESCE(packages.status, 'unpublished') = 'unpublished', changes.at_ms
    FROM changes LEFT JOIN packages ON packages.name = changes.name
    WHERE changes.seq = (SELECT MAX(newest.seq) FROM changes AS newest
        WHERE newest.name = changes.name)
    ORDER BY changes.seq;
DROP TABLE changes;
ALTER TABLE changes_by_name RENAME TO changes;
-- Names that are gone are few; everything else is counted without them.
CREATE INDEX changes_deleted ON changes (name) WHERE deleted;
