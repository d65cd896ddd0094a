ALTER TABLE hook_deliveries DROP COLUMN reason;
