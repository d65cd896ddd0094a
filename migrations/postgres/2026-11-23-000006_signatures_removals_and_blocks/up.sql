-- What a version's registry signatures are worth; NULL until they were judged.
ALTER TABLE versions ADD COLUMN signature TEXT;

-- Since when every answer of upstream about the package was "not there".
ALTER TABLE packages ADD COLUMN gone_at_ms BIGINT;

-- Signing keys ever listed by a registry: a list that flaps takes none away.
CREATE TABLE registry_keys (
    registry TEXT COLLATE "C" NOT NULL,
    keyid TEXT COLLATE "C" NOT NULL,
    keytype TEXT NOT NULL,
    scheme TEXT NOT NULL,
    key TEXT NOT NULL,
    expires TEXT,
    first_seen_at_ms BIGINT NOT NULL,
    PRIMARY KEY (registry, keyid)
);

-- Small answers of an upstream's API; without a body: upstream does not have it.
CREATE TABLE kept_answers (
    registry TEXT COLLATE "C" NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    body BYTEA,
    checked_at_ms BIGINT NOT NULL,
    PRIMARY KEY (registry, path)
);

-- Withheld versions; version '*' is the whole package.
CREATE TABLE blocks (
    name TEXT COLLATE "C" NOT NULL,
    version TEXT COLLATE "C" NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    PRIMARY KEY (name, version)
);
