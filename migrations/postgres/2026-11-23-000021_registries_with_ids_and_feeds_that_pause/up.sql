ALTER TABLE registries ADD COLUMN id TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE registries ADD COLUMN updated_at_ms BIGINT NOT NULL DEFAULT 0;
UPDATE registries SET id = name, updated_at_ms = stored_at_ms;
ALTER TABLE scopes ADD COLUMN id TEXT COLLATE "C" NOT NULL DEFAULT '';
UPDATE scopes SET id = scope;
ALTER TABLE feeds ADD COLUMN paused_by TEXT COLLATE "C";
ALTER TABLE feeds ADD COLUMN paused_at_ms BIGINT;
