DROP INDEX tasks_failed;
DROP INDEX tasks_of_name;
