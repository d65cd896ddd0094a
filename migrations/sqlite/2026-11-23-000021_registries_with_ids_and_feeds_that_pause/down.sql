ALTER TABLE feeds DROP COLUMN paused_at_ms;
ALTER TABLE feeds DROP COLUMN paused_by;
ALTER TABLE scopes DROP COLUMN id;
ALTER TABLE registries DROP COLUMN updated_at_ms;
ALTER TABLE registries DROP COLUMN id;
