-- An org is a scope without its @.
CREATE TABLE orgs (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    description TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL
);

CREATE TABLE org_members (
    org TEXT COLLATE "C" NOT NULL,
    user_name TEXT COLLATE "C" NOT NULL,
    role TEXT NOT NULL,
    PRIMARY KEY (org, user_name)
);

CREATE TABLE teams (
    org TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    description TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (org, name)
);

CREATE TABLE team_members (
    org TEXT COLLATE "C" NOT NULL,
    team TEXT COLLATE "C" NOT NULL,
    user_name TEXT COLLATE "C" NOT NULL,
    role TEXT NOT NULL,
    PRIMARY KEY (org, team, user_name)
);
CREATE INDEX team_members_by_user ON team_members (user_name, org, team);

-- What a team may do with a package.
CREATE TABLE grants (
    org TEXT COLLATE "C" NOT NULL,
    team TEXT COLLATE "C" NOT NULL,
    package TEXT COLLATE "C" NOT NULL,
    permission TEXT NOT NULL,
    PRIMARY KEY (org, team, package)
);
CREATE INDEX grants_by_package ON grants (package, org, team);

-- What somebody said about who may read a package; without a row its grants decide.
CREATE TABLE visibilities (
    package TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    visibility TEXT NOT NULL
);

CREATE TABLE stars (
    user_name TEXT COLLATE "C" NOT NULL,
    package TEXT COLLATE "C" NOT NULL,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (user_name, package)
);
