-- Lists of tasks by package and of failed ones do not walk through millions of waiting rows.
CREATE INDEX tasks_of_name ON tasks (name, id);
CREATE INDEX tasks_failed ON tasks (id) WHERE state = 'error';
