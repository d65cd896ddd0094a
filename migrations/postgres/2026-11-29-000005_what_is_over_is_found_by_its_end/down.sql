DROP INDEX audit_log_by_action;
DROP INDEX tokens_by_end;
