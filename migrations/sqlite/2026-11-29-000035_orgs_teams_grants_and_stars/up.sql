-- An org is a scope without its @.
CREATE TABLE orgs (
    name TEXT NOT NULL PRIMARY KEY,
    description TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE org_members (
    org TEXT NOT NULL,
    user_name TEXT NOT NULL,
    role TEXT NOT NULL,
    PRIMARY KEY (org, user_name)
) WITHOUT ROWID;

CREATE TABLE teams (
    org TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (org, name)
) WITHOUT ROWID;

CREATE TABLE team_members (
    org TEXT NOT NULL,
    team TEXT NOT NULL,
    user_name TEXT NOT NULL,
    role TEXT NOT NULL,
    PRIMARY KEY (org, team, user_name)
) WITHOUT ROWID;
CREATE INDEX team_members_by_user ON team_members (user_name, org, team);

-- What a team may do with a package.
CREATE TABLE grants (
    org TEXT NOT NULL,
    team TEXT NOT NULL,
    package TEXT NOT NULL,
    permission TEXT NOT NULL,
    PRIMARY KEY (org, team, package)
) WITHOUT ROWID;
CREATE INDEX grants_by_package ON grants (package, org, team);

-- What somebody said about who may read a package; without a row its grants decide.
CREATE TABLE visibilities (
    package TEXT NOT NULL PRIMARY KEY,
    visibility TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE stars (
    user_name TEXT NOT NULL,
    package TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (user_name, package)
) WITHOUT ROWID;
