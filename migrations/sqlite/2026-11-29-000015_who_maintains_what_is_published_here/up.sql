-- Who may change the packages that are published here.
CREATE TABLE maintainers (
    name TEXT NOT NULL,
    user_name TEXT NOT NULL,
    PRIMARY KEY (name, user_name)
) WITHOUT ROWID;
CREATE INDEX maintainers_by_user ON maintainers (user_name, name);
