-- How much is here, kept as rows come and go: nobody counts whole tables. PostgreSQL has a row for
-- each writing connection, so that nodes do not wait for each other; here is one.
CREATE TABLE totals (
    shard BIGINT NOT NULL PRIMARY KEY,
    packages BIGINT NOT NULL,
    versions BIGINT NOT NULL,
    held BIGINT NOT NULL,
    bytes BIGINT NOT NULL
) WITHOUT ROWID;
INSERT INTO totals (shard, packages, versions, held, bytes) VALUES (
    0,
    (SELECT COUNT(*) FROM packages),
    (SELECT COUNT(*) FROM versions),
    (SELECT COUNT(*) FROM versions WHERE state = 'held'),
    (SELECT COALESCE(SUM(length_bytes), 0) FROM blobs)
);

CREATE TRIGGER totals_package_added AFTER INSERT ON packages BEGIN
    UPDATE totals SET packages = packages + 1 WHERE shard = 0;
END;
CREATE TRIGGER totals_package_deleted AFTER DELETE ON packages BEGIN
    UPDATE totals SET packages = packages - 1 WHERE shard = 0;
END;
CREATE TRIGGER totals_version_added AFTER INSERT ON versions BEGIN
    UPDATE totals SET versions = versions + 1, held = held + (NEW.state = 'held') WHERE shard = 0;
END;
CREATE TRIGGER totals_version_deleted AFTER DELETE ON versions BEGIN
    UPDATE totals SET versions = versions - 1, held = held - (OLD.state = 'held') WHERE shard = 0;
END;
CREATE TRIGGER totals_version_changed AFTER UPDATE OF state ON versions
WHEN (OLD.state = 'held') <> (NEW.state = 'held') BEGIN
    UPDATE totals SET held = held + (NEW.state = 'held') - (OLD.state = 'held') WHERE shard = 0;
END;
CREATE TRIGGER totals_blob_added AFTER INSERT ON blobs BEGIN
    UPDATE totals SET bytes = bytes + NEW.length_bytes WHERE shard = 0;
END;
CREATE TRIGGER totals_blob_deleted AFTER DELETE ON blobs BEGIN
    UPDATE totals SET bytes = bytes - OLD.length_bytes WHERE shard = 0;
END;
CREATE TRIGGER totals_blob_changed AFTER UPDATE OF length_bytes ON blobs BEGIN
    UPDATE totals SET bytes = bytes + NEW.length_bytes - OLD.length_bytes WHERE shard = 0;
END;
