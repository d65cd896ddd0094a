-- What local security advisories say of packages; a record that names several has a row for each.
CREATE TABLE advisories (
    name TEXT NOT NULL,
    record TEXT NOT NULL,
    body TEXT NOT NULL,
    loaded_at_ms BIGINT NOT NULL,
    PRIMARY KEY (name, record)
) WITHOUT ROWID;
CREATE INDEX advisories_of_record ON advisories (record);
