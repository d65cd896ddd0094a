-- What local security advisories say of packages; a record that names several has a row for each.
CREATE TABLE advisories (
    name TEXT COLLATE "C" NOT NULL,
    record TEXT COLLATE "C" NOT NULL,
    body TEXT NOT NULL,
    loaded_at_ms BIGINT NOT NULL,
    PRIMARY KEY (name, record)
);
CREATE INDEX advisories_of_record ON advisories (record);
