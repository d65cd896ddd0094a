ALTER TABLE blocks DROP COLUMN operator;
