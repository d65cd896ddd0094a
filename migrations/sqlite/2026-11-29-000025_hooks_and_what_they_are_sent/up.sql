-- Who is told of what. A row is also the lease on all its deliveries, and the place of the sweep
-- over those that wait.
CREATE TABLE hooks (
    id TEXT NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    secret TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    paused TEXT,
    failures BIGINT NOT NULL DEFAULT 0,
    failing_since_ms BIGINT,
    not_before_ms BIGINT NOT NULL DEFAULT 0,
    swept_seq BIGINT NOT NULL DEFAULT 0,
    rest_until_ms BIGINT NOT NULL DEFAULT 0,
    leased_by TEXT,
    lease_until_ms BIGINT,
    last_delivery_ms BIGINT,
    last_code BIGINT,
    delivered BOOLEAN NOT NULL DEFAULT FALSE
) WITHOUT ROWID;
CREATE UNIQUE INDEX hooks_by_target ON hooks (kind, name, owner);
CREATE INDEX hooks_by_owner ON hooks (owner, id);

-- The outbox and the history: a row for each event and hook, written with the fact itself.
CREATE TABLE hook_deliveries (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    hook_id TEXT NOT NULL,
    package TEXT NOT NULL,
    event TEXT NOT NULL,
    change TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    base_attempts BIGINT NOT NULL DEFAULT 0,
    not_before_ms BIGINT NOT NULL DEFAULT 0,
    ended_at_ms BIGINT
);
CREATE INDEX hook_deliveries_of_hook ON hook_deliveries (hook_id, seq);
CREATE INDEX hook_deliveries_waiting ON hook_deliveries (hook_id, seq) WHERE state = 'waiting';
CREATE INDEX hook_deliveries_ended ON hook_deliveries (ended_at_ms) WHERE ended_at_ms IS NOT NULL;

CREATE TABLE hook_attempts (
    seq BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    endpoint TEXT NOT NULL,
    request_bytes BIGINT NOT NULL,
    code BIGINT,
    answer TEXT,
    error TEXT,
    PRIMARY KEY (seq, attempt)
) WITHOUT ROWID;

-- Hooks that are gone and whose deliveries are not yet.
CREATE TABLE hook_remains (
    hook_id TEXT NOT NULL PRIMARY KEY
) WITHOUT ROWID;
