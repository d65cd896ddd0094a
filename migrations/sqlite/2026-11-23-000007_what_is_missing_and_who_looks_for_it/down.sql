DROP INDEX packages_not_live;
DROP INDEX versions_gone;
DROP INDEX versions_not_held;
DROP TABLE sweeps;
DROP TABLE missing_names;
DROP TABLE reconciliations;
