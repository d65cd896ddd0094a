ALTER TABLE users ADD COLUMN email TEXT;
ALTER TABLE users ADD COLUMN password TEXT;
ALTER TABLE users ADD COLUMN disabled BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE users ADD COLUMN updated_at_ms BIGINT NOT NULL DEFAULT 0;
UPDATE users SET updated_at_ms = created_at_ms;

ALTER TABLE tokens ADD COLUMN kind TEXT NOT NULL DEFAULT 'classic';
ALTER TABLE tokens ADD COLUMN name TEXT COLLATE "C";
ALTER TABLE tokens ADD COLUMN description TEXT;
ALTER TABLE tokens ADD COLUMN packages TEXT NOT NULL DEFAULT '[]';
ALTER TABLE tokens ADD COLUMN scopes TEXT NOT NULL DEFAULT '[]';
-- tokens without a name do not collide: NULL differs from NULL
CREATE UNIQUE INDEX tokens_of_users ON tokens (user_name, name);

CREATE TABLE login_sessions (
    done_key BYTEA NOT NULL PRIMARY KEY,
    login_key BYTEA NOT NULL,
    hostname TEXT,
    address TEXT,
    user_name TEXT COLLATE "C",
    expires_at_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX login_sessions_by_page ON login_sessions (login_key);
CREATE INDEX login_sessions_by_end ON login_sessions (expires_at_ms);

CREATE TABLE sign_in_links (
    key BYTEA NOT NULL PRIMARY KEY,
    user_name TEXT COLLATE "C" NOT NULL,
    expires_at_ms BIGINT NOT NULL
);
