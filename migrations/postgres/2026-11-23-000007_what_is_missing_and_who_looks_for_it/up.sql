-- How far the list of all names of an upstream was compared with what is here.
CREATE TABLE reconciliations (
    registry TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    url TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    after_name TEXT COLLATE "C",
    began_at_ms BIGINT NOT NULL,
    ended_at_ms BIGINT,
    names BIGINT NOT NULL,
    missing BIGINT NOT NULL,
    absent BIGINT NOT NULL
);

-- Names that an upstream lists and that are wanted and not here.
CREATE TABLE missing_names (
    registry TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    seen_at_ms BIGINT NOT NULL,
    queued_at_ms BIGINT,
    reason TEXT,
    PRIMARY KEY (registry, name)
);
CREATE INDEX missing_names_to_queue ON missing_names (registry, name)
    WHERE queued_at_ms IS NULL;
CREATE INDEX missing_names_failed ON missing_names (registry, name) WHERE reason IS NOT NULL;

-- How far each round over the packages here has come.
CREATE TABLE sweeps (
    registry TEXT COLLATE "C" NOT NULL,
    lane TEXT NOT NULL,
    after_id BIGINT NOT NULL,
    began_at_ms BIGINT NOT NULL,
    total BIGINT NOT NULL,
    done BIGINT NOT NULL,
    PRIMARY KEY (registry, lane)
);

-- Counting and listing what is not here looks at nothing else. The first holds the versions of
-- packages that are only cached, too; a mirrored package brings its versions in as held.
CREATE INDEX versions_not_held ON versions (state, package_id, version)
    WHERE state <> 'held' AND removed_at_ms IS NULL;
CREATE INDEX versions_gone ON versions (package_id, version) WHERE removed_at_ms IS NOT NULL;
CREATE INDEX packages_not_live ON packages (name) WHERE status <> 'live';
