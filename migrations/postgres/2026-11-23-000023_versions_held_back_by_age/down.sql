DROP TABLE releases;
ALTER TABLE versions DROP COLUMN published_at_ms;
