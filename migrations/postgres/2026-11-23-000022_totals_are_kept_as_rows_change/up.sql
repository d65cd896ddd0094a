-- How much is here, kept as rows come and go: nobody counts whole tables. Each writing connection
-- has a row of its own, so that nodes do not wait for each other: one shared row would be locked
-- until the commit.
CREATE TABLE totals (
    shard BIGINT NOT NULL PRIMARY KEY,
    packages BIGINT NOT NULL,
    versions BIGINT NOT NULL,
    held BIGINT NOT NULL,
    bytes BIGINT NOT NULL
);
INSERT INTO totals (shard, packages, versions, held, bytes) VALUES (
    0,
    (SELECT COUNT(*) FROM packages),
    (SELECT COUNT(*) FROM versions),
    (SELECT COUNT(*) FROM versions WHERE state = 'held'),
    (SELECT COALESCE(SUM(length_bytes), 0) FROM blobs)
);

CREATE FUNCTION add_to_totals(BIGINT, BIGINT, BIGINT, BIGINT) RETURNS void LANGUAGE sql AS $$
    INSERT INTO totals AS kept (shard, packages, versions, held, bytes)
    SELECT pg_backend_pid(), $1, $2, $3, $4 WHERE $1 <> 0 OR $2 <> 0 OR $3 <> 0 OR $4 <> 0
    ON CONFLICT (shard) DO UPDATE SET packages = kept.packages + excluded.packages,
        versions = kept.versions + excluded.versions, held = kept.held + excluded.held,
        bytes = kept.bytes + excluded.bytes
$$;

-- A trigger on transition tables runs once for a statement, however many rows it has.
CREATE FUNCTION totals_of_packages() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM add_to_totals((SELECT COUNT(*) FROM added), 0, 0, 0);
    ELSE
        PERFORM add_to_totals(-(SELECT COUNT(*) FROM gone), 0, 0, 0);
    END IF;
    RETURN NULL;
END
$$;
CREATE FUNCTION totals_of_versions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM add_to_totals(0, COUNT(*), COUNT(*) FILTER (WHERE state = 'held'), 0) FROM added;
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM add_to_totals(0, -COUNT(*), -COUNT(*) FILTER (WHERE state = 'held'), 0) FROM gone;
    ELSE
        PERFORM add_to_totals(0, 0, (SELECT COUNT(*) FROM added WHERE state = 'held')
            - (SELECT COUNT(*) FROM gone WHERE state = 'held'), 0);
    END IF;
    RETURN NULL;
END
$$;
CREATE FUNCTION totals_of_blobs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM add_to_totals(0, 0, 0, (SELECT COALESCE(SUM(length_bytes), 0) FROM added)::bigint);
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM add_to_totals(0, 0, 0, -(SELECT COALESCE(SUM(length_bytes), 0) FROM gone)::bigint);
    ELSE
        PERFORM add_to_totals(0, 0, 0, (SELECT COALESCE(SUM(length_bytes), 0) FROM added)::bigint
            - (SELECT COALESCE(SUM(length_bytes), 0) FROM gone)::bigint);
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER totals_package_added AFTER INSERT ON packages
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION totals_of_packages();
CREATE TRIGGER totals_package_deleted AFTER DELETE ON packages
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION totals_of_packages();
CREATE TRIGGER totals_version_added AFTER INSERT ON versions
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION totals_of_versions();
CREATE TRIGGER totals_version_deleted AFTER DELETE ON versions
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION totals_of_versions();
CREATE TRIGGER totals_version_changed AFTER UPDATE ON versions
    REFERENCING OLD TABLE AS gone NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION totals_of_versions();
CREATE TRIGGER totals_blob_added AFTER INSERT ON blobs
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION totals_of_blobs();
CREATE TRIGGER totals_blob_deleted AFTER DELETE ON blobs
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION totals_of_blobs();
CREATE TRIGGER totals_blob_changed AFTER UPDATE ON blobs
    REFERENCING OLD TABLE AS gone NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION totals_of_blobs();
