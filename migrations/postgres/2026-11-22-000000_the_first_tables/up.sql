-- Keys compare by bytes (COLLATE "C"), as in SQLite and in the public feeds.
-- Partial indexes hold the few rows that a worker looks for, not the history.

CREATE TABLE packages (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    registry TEXT COLLATE "C" NOT NULL,
    keep TEXT NOT NULL,
    status TEXT NOT NULL,
    revision BIGINT NOT NULL,
    etag TEXT,
    last_modified TEXT,
    document_digest BYTEA,
    document_encoding TEXT,
    document_stored_bytes BIGINT,
    document_body_bytes BIGINT,
    upstream_rev TEXT,
    modified TEXT,
    checked_at_ms BIGINT NOT NULL,
    changed_at_ms BIGINT NOT NULL
);

CREATE TABLE versions (
    package_id BIGINT NOT NULL,
    version TEXT COLLATE "C" NOT NULL,
    manifest BYTEA NOT NULL,
    tarball_url TEXT,
    tarball_file TEXT COLLATE "C" NOT NULL,
    expected TEXT,
    state TEXT NOT NULL,
    blob BYTEA,
    size_bytes BIGINT,
    reason TEXT,
    removed_at_ms BIGINT,
    PRIMARY KEY (package_id, version)
);

CREATE TABLE dist_tags (
    package_id BIGINT NOT NULL,
    tag TEXT COLLATE "C" NOT NULL,
    version TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (package_id, tag)
);

CREATE TABLE blobs (
    digest BYTEA NOT NULL PRIMARY KEY,
    segment BIGINT NOT NULL,
    start_bytes BIGINT NOT NULL,
    length_bytes BIGINT NOT NULL
);

CREATE TABLE segments (
    id BIGINT NOT NULL PRIMARY KEY,
    durable_bytes BIGINT NOT NULL,
    sealed BOOLEAN NOT NULL
);

CREATE TABLE renderings (
    package_id BIGINT NOT NULL,
    form TEXT COLLATE "C" NOT NULL,
    encoding TEXT COLLATE "C" NOT NULL,
    base TEXT COLLATE "C" NOT NULL,
    revision BIGINT NOT NULL,
    policy_epoch BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    etag TEXT NOT NULL,
    body_bytes BIGINT NOT NULL,
    PRIMARY KEY (package_id, form, encoding, base)
);

CREATE TABLE tasks (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    registry TEXT COLLATE "C" NOT NULL,
    state TEXT NOT NULL,
    priority INTEGER NOT NULL,
    options TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    error TEXT,
    author TEXT,
    author_ip TEXT,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    not_before_ms BIGINT NOT NULL,
    leased_by TEXT,
    lease_until_ms BIGINT
);
CREATE UNIQUE INDEX tasks_waiting_once ON tasks (registry, name) WHERE state = 'waiting';
CREATE INDEX tasks_due ON tasks (registry, priority, id) WHERE state = 'waiting';
CREATE INDEX tasks_processing ON tasks (registry, name) WHERE state = 'processing';
CREATE INDEX tasks_finished ON tasks (updated_at_ms) WHERE state IN ('success', 'error');

CREATE TABLE task_logs (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task_id TEXT COLLATE "C" NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX task_logs_of_task ON task_logs (task_id, id);

CREATE TABLE local_seq (
    id BIGINT NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO local_seq (id, value) VALUES (1, 0);

CREATE TABLE changes (
    seq BIGINT NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    kind TEXT NOT NULL,
    at_ms BIGINT NOT NULL
);
CREATE INDEX changes_of_name ON changes (name, seq);

CREATE TABLE alarms (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    message TEXT NOT NULL,
    at_ms BIGINT NOT NULL
);

CREATE TABLE registries (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    host TEXT NOT NULL,
    source TEXT NOT NULL,
    stored_at_ms BIGINT NOT NULL
);

CREATE TABLE settings (
    key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE users (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    admin BOOLEAN NOT NULL,
    created_at_ms BIGINT NOT NULL
);

CREATE TABLE tokens (
    key BYTEA NOT NULL PRIMARY KEY,
    user_name TEXT COLLATE "C" NOT NULL,
    mark TEXT NOT NULL,
    readonly BOOLEAN NOT NULL,
    automation BOOLEAN NOT NULL,
    cidr TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    expires_at_ms BIGINT,
    last_used_at_ms BIGINT
);
