-- Who may change the packages that are published here.
CREATE TABLE maintainers (
    name TEXT COLLATE "C" NOT NULL,
    user_name TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (name, user_name)
);
CREATE INDEX maintainers_by_user ON maintainers (user_name, name);
