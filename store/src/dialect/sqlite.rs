//! SQLite: one writer at a time, so nothing has to be locked row by row.

use super::RowsStatement;

pub(super) const PACKAGES_FOR_CHANGE: RowsStatement = RowsStatement {
    head: "SELECT id, name, registry, keep, status, revision, etag, last_modified, \
           document_digest, document_encoding, document_stored_bytes, document_body_bytes, \
           upstream_rev, modified, checked_at_ms, changed_at_ms, gone_at_ms FROM packages \
           WHERE name IN (",
    columns: 1,
    tail: ")",
};

pub(super) const BLOBS_FOR_REUSE: RowsStatement =
    RowsStatement { head: "SELECT digest FROM blobs WHERE digest IN (", columns: 1, tail: ")" };

pub(super) const WAITING_FOR_MERGE: RowsStatement = RowsStatement {
    head: "WITH wanted(registry, name) AS (VALUES ",
    columns: 2,
    tail: ") SELECT id, tasks.name, tasks.registry, state, priority, options, attempts, error, \
           author, author_ip, created_at_ms, updated_at_ms, not_before_ms, leased_by, \
           lease_until_ms, failure FROM wanted CROSS JOIN tasks ON tasks.registry = wanted.registry \
           AND tasks.name = wanted.name WHERE tasks.state = 'waiting'",
};

pub(super) const CLAIM_TASKS: RowsStatement = RowsStatement {
    head: "WITH input(registry, worker, lease_ms, wanted) AS (VALUES ",
    columns: 4,
    tail: "), clock(now) AS (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)), \
           due AS (SELECT id, priority FROM tasks \
           WHERE registry = (SELECT registry FROM input) AND state = 'waiting' \
           AND not_before_ms <= (SELECT now FROM clock) \
           AND NOT EXISTS (SELECT 1 FROM tasks AS other WHERE other.registry = tasks.registry \
           AND other.name = tasks.name AND other.state = 'processing') \
           ORDER BY priority, id LIMIT (SELECT wanted FROM input)), \
           expired AS (SELECT id, priority FROM tasks \
           WHERE registry = (SELECT registry FROM input) AND state = 'processing' \
           AND lease_until_ms < (SELECT now FROM clock) \
           ORDER BY priority, id LIMIT (SELECT wanted FROM input)) \
           UPDATE tasks SET state = 'processing', attempts = attempts + 1, \
           leased_by = (SELECT worker FROM input), \
           lease_until_ms = (SELECT now FROM clock) + (SELECT lease_ms FROM input), \
           updated_at_ms = (SELECT now FROM clock) \
           WHERE id IN (SELECT id FROM (SELECT id, priority FROM due \
           UNION ALL SELECT id, priority FROM expired) AS found \
           ORDER BY priority, id LIMIT (SELECT wanted FROM input)) \
           RETURNING id, name, registry, state, priority, options, attempts, error, author, \
           author_ip, created_at_ms, updated_at_ms, not_before_ms, leased_by, \
           lease_until_ms, failure",
};

pub(super) const CLAIM_THESE: RowsStatement = RowsStatement {
    head: "UPDATE tasks SET state = 'processing', attempts = attempts + 1, \
           leased_by = wanted.column2, \
           lease_until_ms = CAST(unixepoch('subsec') * 1000 AS INTEGER) + wanted.column3, \
           updated_at_ms = CAST(unixepoch('subsec') * 1000 AS INTEGER) FROM (VALUES ",
    columns: 3,
    tail: ") AS wanted WHERE tasks.id = wanted.column1 AND tasks.state = 'waiting' \
           AND NOT EXISTS (SELECT 1 FROM tasks AS other WHERE other.registry = tasks.registry \
           AND other.name = tasks.name AND other.state = 'processing') \
           RETURNING id, name, registry, state, priority, options, attempts, error, author, \
           author_ip, created_at_ms, updated_at_ms, not_before_ms, leased_by, \
           lease_until_ms, failure",
};

pub(super) const RENEW_TASKS: RowsStatement = RowsStatement {
    head: "UPDATE tasks SET lease_until_ms = \
           CAST(unixepoch('subsec') * 1000 AS INTEGER) + held.column3 FROM (VALUES ",
    columns: 3,
    tail: ") AS held WHERE tasks.id = held.column1 AND tasks.leased_by = held.column2 \
           AND tasks.state = 'processing' RETURNING tasks.id",
};

pub(super) const CLAIM_HOOKS: RowsStatement = RowsStatement {
    head: "WITH input(worker, now, lease_ms, wanted) AS (VALUES ",
    columns: 4,
    tail: ") UPDATE hooks SET leased_by = (SELECT worker FROM input), \
           lease_until_ms = (SELECT now + lease_ms FROM input) WHERE id IN (SELECT id FROM hooks \
           WHERE paused IS NULL AND not_before_ms <= (SELECT now FROM input) \
           AND (leased_by IS NULL OR lease_until_ms < (SELECT now FROM input)) \
           AND (EXISTS (SELECT 1 FROM hook_deliveries WHERE hook_id = hooks.id \
           AND state = 'waiting' AND seq > hooks.swept_seq) \
           OR (rest_until_ms <= (SELECT now FROM input) AND EXISTS (SELECT 1 \
           FROM hook_deliveries WHERE hook_id = hooks.id AND state = 'waiting'))) \
           ORDER BY rest_until_ms, id LIMIT (SELECT wanted FROM input)) RETURNING id",
};

pub(super) const BEGINNINGS_OF_LINES: RowsStatement = RowsStatement {
    head: "WITH wanted(hook, package, most) AS (VALUES ",
    columns: 3,
    tail: ") SELECT d.seq, d.package, d.event, d.change, d.at_ms, d.attempts, d.base_attempts, \
           d.not_before_ms FROM wanted CROSS JOIN hook_deliveries AS d ON d.seq IN \
           (SELECT e.seq FROM hook_deliveries AS e WHERE e.hook_id = wanted.hook \
           AND e.state = 'waiting' AND e.package = wanted.package \
           ORDER BY e.seq LIMIT (SELECT most FROM wanted LIMIT 1))",
};
