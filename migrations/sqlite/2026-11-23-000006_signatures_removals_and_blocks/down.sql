DROP TABLE blocks;
DROP TABLE kept_answers;
DROP TABLE registry_keys;
ALTER TABLE packages DROP COLUMN gone_at_ms;
ALTER TABLE versions DROP COLUMN signature;
