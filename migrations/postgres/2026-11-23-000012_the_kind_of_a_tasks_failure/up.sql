-- What a person can do about a failed task; none in rows of before and while a task may succeed.
ALTER TABLE tasks ADD COLUMN failure TEXT;
