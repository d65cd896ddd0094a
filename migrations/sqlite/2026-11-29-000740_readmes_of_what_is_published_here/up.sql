-- The text for people of each version that was published here; documents have that of the newest.
CREATE TABLE readmes (
    package_id BIGINT NOT NULL,
    version TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (package_id, version)
);
