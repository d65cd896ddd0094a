-- most tokens never end
CREATE INDEX tokens_by_end ON tokens (expires_at_ms) WHERE expires_at_ms IS NOT NULL;
CREATE INDEX audit_log_by_action ON audit_log (action, id);
