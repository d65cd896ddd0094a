-- Tables that are only reached by their key have no rowid: one tree instead of two.
-- Partial indexes hold the few rows that a worker looks for, not the history.

CREATE TABLE packages (
    id INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    registry TEXT NOT NULL,
    keep TEXT NOT NULL,
    status TEXT NOT NULL,
    revision BIGINT NOT NULL,
    etag TEXT,
    last_modified TEXT,
    document_digest BLOB,
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
    version TEXT NOT NULL,
    manifest BLOB NOT NULL,
    tarball_url TEXT,
    tarball_file TEXT NOT NULL,
    expected TEXT,
    state TEXT NOT NULL,
    blob BLOB,
    size_bytes BIGINT,
    reason TEXT,
    removed_at_ms BIGINT,
    PRIMARY KEY (package_id, version)
) WITHOUT ROWID;

CREATE TABLE dist_tags (
    package_id BIGINT NOT NULL,
    tag TEXT NOT NULL,
    version TEXT NOT NULL,
    PRIMARY KEY (package_id, tag)
) WITHOUT ROWID;

CREATE TABLE blobs (
    digest BLOB NOT NULL PRIMARY KEY,
    segment BIGINT NOT NULL,
    start_bytes BIGINT NOT NULL,
    length_bytes BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE segments (
    id BIGINT NOT NULL PRIMARY KEY,
    durable_bytes BIGINT NOT NULL,
    sealed BOOLEAN NOT NULL
) WITHOUT ROWID;

CREATE TABLE renderings (
    package_id BIGINT NOT NULL,
    form TEXT NOT NULL,
    encoding TEXT NOT NULL,
    base TEXT NOT NULL,
    revision BIGINT NOT NULL,
    policy_epoch BIGINT NOT NULL,
    digest BLOB NOT NULL,
    etag TEXT NOT NULL,
    body_bytes BIGINT NOT NULL,
    PRIMARY KEY (package_id, form, encoding, base)
) WITHOUT ROWID;

CREATE TABLE tasks (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    registry TEXT NOT NULL,
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
) WITHOUT ROWID;
CREATE UNIQUE INDEX tasks_waiting_once ON tasks (registry, name) WHERE state = 'waiting';
CREATE INDEX tasks_due ON tasks (registry, priority, id) WHERE state = 'waiting';
CREATE INDEX tasks_processing ON tasks (registry, name) WHERE state = 'processing';
CREATE INDEX tasks_finished ON tasks (updated_at_ms) WHERE state IN ('success', 'error');

CREATE TABLE task_logs (
    id INTEGER NOT NULL PRIMARY KEY,
    task_id TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX task_logs_of_task ON task_logs (task_id, id);

CREATE TABLE local_seq (
    id BIGINT NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
) WITHOUT ROWID;
INSERT INTO local_seq (id, value) VALUES (1, 0);

CREATE TABLE changes (
    seq INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    at_ms BIGINT NOT NULL
);
CREATE INDEX changes_of_name ON changes (name, seq);

CREATE TABLE alarms (
    id INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    message TEXT NOT NULL,
    at_ms BIGINT NOT NULL
);

CREATE TABLE registries (
    name TEXT NOT NULL PRIMARY KEY,
    host TEXT NOT NULL,
    source TEXT NOT NULL,
    stored_at_ms BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE settings (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE users (
    name TEXT NOT NULL PRIMARY KEY,
    admin BOOLEAN NOT NULL,
    created_at_ms BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE tokens (
    key BLOB NOT NULL PRIMARY KEY,
    user_name TEXT NOT NULL,
    mark TEXT NOT NULL,
    readonly BOOLEAN NOT NULL,
    automation BOOLEAN NOT NULL,
    cidr TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    expires_at_ms BIGINT,
    last_used_at_ms BIGINT
) WITHOUT ROWID;
