-- Downloads of a UTC day, counted in days since 1970. The subject is a package, an `@scope`, or `*`
-- for everything; the version of a package, else `*`.
CREATE TABLE downloads (
    subject TEXT NOT NULL,
    day BIGINT NOT NULL,
    version TEXT NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (subject, day, version)
) WITHOUT ROWID;
CREATE INDEX downloads_of_versions ON downloads (day) WHERE version <> '*';
