-- The oldest delivery of each package that waits, whatever waits behind it.
CREATE INDEX hook_deliveries_lines ON hook_deliveries (hook_id, package, seq) WHERE state = 'waiting';
