DROP INDEX changes_deleted;
ALTER TABLE changes DROP CONSTRAINT changes_once_a_name;
CREATE INDEX changes_of_name ON changes (name, seq);
ALTER TABLE changes DROP COLUMN rev;
ALTER TABLE changes DROP COLUMN version;
ALTER TABLE changes DROP COLUMN deleted;
