-- A follower needs the newest change of a name and no other, so a name has one row. The seq stays
-- the key: a page of the feed is one stretch of its index.

DELETE FROM changes AS older USING changes AS newer
    WHERE newer.name = older.name AND newer.seq > older.seq;
ALTER TABLE changes ADD COLUMN rev TEXT;
ALTER TABLE changes ADD COLUMN version TEXT;
ALTER TABLE changes ADD COLUMN deleted BOOLEAN;
UPDATE changes SET
    rev = COALESCE((SELECT COALESCE(packages.upstream_rev, packages.revision || '-0')
        FROM packages WHERE packages.name = changes.name), '0-0'),
    deleted = COALESCE((SELECT packages.status FROM packages
        WHERE packages.name = changes.name), 'unpublished') = 'unpublished';
ALTER TABLE changes ALTER COLUMN rev SET NOT NULL;
ALTER TABLE changes ALTER COLUMN deleted SET NOT NULL;
DROP INDEX changes_of_name;
ALTER TABLE changes ADD CONSTRAINT changes_once_a_name UNIQUE (name);
-- Names that are gone are few; everything else is counted without them.
CREATE INDEX changes_deleted ON changes (name) WHERE deleted;
