ALTER TABLE hook_deliveries ADD COLUMN reason TEXT;
