ALTER TABLE registries ADD COLUMN kind TEXT NOT NULL DEFAULT 'npm';
ALTER TABLE registries ADD COLUMN user_prefix TEXT NOT NULL DEFAULT '';
ALTER TABLE registries ADD COLUMN change_stream TEXT NOT NULL DEFAULT 'auto';
ALTER TABLE registries ADD COLUMN token TEXT;
ALTER TABLE registries ADD COLUMN rate BIGINT NOT NULL DEFAULT 0;
ALTER TABLE registries ADD COLUMN created_at_ms BIGINT NOT NULL DEFAULT 0;
UPDATE registries SET created_at_ms = stored_at_ms;

CREATE TABLE scopes (
    scope TEXT NOT NULL PRIMARY KEY,
    registry TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL
) WITHOUT ROWID;
