DROP INDEX hook_deliveries_lines;
