-- Who is signed in, tokens of agents, notes, and what was done by whom. Times are nanoseconds since 1970 UTC; 0 is none.

-- +goose Up
CREATE TABLE sessions (
	hash       text COLLATE "C" PRIMARY KEY, -- of the cookie
	name       text   NOT NULL,
	via        text   NOT NULL,
	proof      text   NOT NULL,
	address    text   NOT NULL,
	created_at bigint NOT NULL,
	seen_at    bigint NOT NULL,
	until_at   bigint NOT NULL
);
CREATE INDEX sessions_until ON sessions (until_at);

CREATE TABLE tokens (
	id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	hash       text COLLATE "C" NOT NULL UNIQUE,
	node_id    text COLLATE "C" NOT NULL, -- '' for any node
	note       text   NOT NULL,
	by_whom    text   NOT NULL,
	created_at bigint NOT NULL,
	revoked_at bigint NOT NULL DEFAULT 0,
	revoked_by text   NOT NULL DEFAULT ''
);

CREATE TABLE notes (
	node_id text COLLATE "C" PRIMARY KEY,
	text    text   NOT NULL,
	by_whom text   NOT NULL,
	at      bigint NOT NULL
);

CREATE TABLE actions (
	id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at      bigint NOT NULL,
	by_whom text   NOT NULL,
	via     text   NOT NULL,
	address text   NOT NULL,
	kind    text   NOT NULL,
	node_id text COLLATE "C" NOT NULL,
	detail  text   NOT NULL,
	outcome text   NOT NULL DEFAULT '' -- '' while it is not known
);
CREATE INDEX actions_of_node ON actions (node_id, id) WHERE node_id <> '';
CREATE INDEX actions_by_age ON actions (at);
