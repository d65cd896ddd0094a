DROP INDEX tasks_finished;
CREATE INDEX tasks_finished ON tasks (updated_at_ms) WHERE state IN ('success', 'error');
