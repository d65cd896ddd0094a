-- What other nodes of a cluster keep in memory and have to read again is told to them when the
-- transaction commits, whoever wrote: the schema and what was written, on one channel. Those of one
-- transaction are sent once.
CREATE FUNCTION tell_nodes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('espejo', TG_TABLE_SCHEMA || ' ' || TG_ARGV[0]);
    RETURN NULL;
END
$$;

-- When a token was used last is for people: its column tells nobody.
CREATE TRIGGER tell_nodes_of_tokens
    AFTER DELETE OR UPDATE OF user_name, kind, readonly, automation, cidr, packages, scopes, expires_at_ms
    ON tokens FOR EACH STATEMENT EXECUTE FUNCTION tell_nodes('accounts');
CREATE TRIGGER tell_nodes_of_users
    AFTER DELETE OR UPDATE OF name, admin, disabled
    ON users FOR EACH STATEMENT EXECUTE FUNCTION tell_nodes('accounts');
CREATE TRIGGER tell_nodes_of_changes
    AFTER INSERT OR UPDATE
    ON changes FOR EACH STATEMENT EXECUTE FUNCTION tell_nodes('changes');
CREATE TRIGGER tell_nodes_of_epochs
    AFTER INSERT OR UPDATE
    ON settings FOR EACH ROW WHEN (NEW.key LIKE 'epoch.%') EXECUTE FUNCTION tell_nodes('changes');
