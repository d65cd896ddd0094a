DROP TABLE scopes;
ALTER TABLE registries DROP COLUMN created_at_ms;
ALTER TABLE registries DROP COLUMN rate;
ALTER TABLE registries DROP COLUMN token;
ALTER TABLE registries DROP COLUMN change_stream;
ALTER TABLE registries DROP COLUMN user_prefix;
ALTER TABLE registries DROP COLUMN kind;
