-- Who is signed in, tokens of agents, notes, and what was done by whom. Times are nanoseconds since 1970 UTC; 0 is none.

-- +goose Up
CREATE TABLE sessions (
	hash       TEXT NOT NULL PRIMARY KEY, -- of the cookie
	name       TEXT   NOT NULL,
	via        TEXT   NOT NULL,
	proof      TEXT   NOT NULL,
	address    TEXT   NOT NULL,
	created_at INTEGER NOT NULL,
	seen_at    INTEGER NOT NULL,
	until_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_until ON sessions (until_at);

CREATE TABLE tokens (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	hash       TEXT NOT NULL UNIQUE,
	node_id    TEXT NOT NULL, -- '' for any node
	note       TEXT   NOT NULL,
	by_whom    TEXT   NOT NULL,
	created_at INTEGER NOT NULL,
	revoked_at INTEGER NOT NULL DEFAULT 0,
	revoked_by TEXT   NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE notes (
	node_id TEXT NOT NULL PRIMARY KEY,
	text    TEXT   NOT NULL,
	by_whom TEXT   NOT NULL,
	at      INTEGER NOT NULL
) STRICT;

CREATE TABLE actions (
	id      INTEGER PRIMARY KEY AUTOINCREMENT,
	at      INTEGER NOT NULL,
	by_whom TEXT   NOT NULL,
	via     TEXT   NOT NULL,
	address TEXT   NOT NULL,
	kind    TEXT   NOT NULL,
	node_id TEXT NOT NULL,
	detail  TEXT   NOT NULL,
	outcome TEXT   NOT NULL DEFAULT '' -- '' while it is not known
) STRICT;
CREATE INDEX actions_of_node ON actions (node_id, id) WHERE node_id <> '';
CREATE INDEX actions_by_age ON actions (at);
