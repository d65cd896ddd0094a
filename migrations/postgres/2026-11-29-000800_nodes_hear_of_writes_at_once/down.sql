DROP TRIGGER tell_nodes_of_epochs ON settings;
DROP TRIGGER tell_nodes_of_changes ON changes;
DROP TRIGGER tell_nodes_of_users ON users;
DROP TRIGGER tell_nodes_of_tokens ON tokens;
DROP FUNCTION tell_nodes();
