-- All times and durations are nanoseconds; times count from 1970 UTC.

-- +goose Up
CREATE TABLE partitions (
	partition    INTEGER PRIMARY KEY,
	owner        TEXT    NOT NULL,
	term         INTEGER NOT NULL,
	expires_at   INTEGER NOT NULL,
	epoch        INTEGER NOT NULL,
	created      INTEGER NOT NULL,
	seq          INTEGER NOT NULL,
	stamp        INTEGER NOT NULL,
	committed_at INTEGER NOT NULL,
	clock        TEXT    NOT NULL
) STRICT;

CREATE TABLE nodes (
	id              TEXT    NOT NULL PRIMARY KEY,
	partition       INTEGER NOT NULL,
	name            TEXT    NOT NULL,
	ip              TEXT    NOT NULL,
	meta            TEXT    NOT NULL,
	state           TEXT    NOT NULL,
	reason          TEXT    NOT NULL,
	evidence        TEXT    NOT NULL,
	told            TEXT    NOT NULL,
	since           INTEGER NOT NULL,
	incident        INTEGER NOT NULL,
	joined          INTEGER NOT NULL,
	heard           INTEGER NOT NULL,
	heard_w         INTEGER NOT NULL,
	threshold       INTEGER NOT NULL,
	report_interval INTEGER NOT NULL,
	boot_id         TEXT    NOT NULL,
	seq             INTEGER NOT NULL,
	agent_version   TEXT    NOT NULL,
	os              TEXT    NOT NULL,
	arch            TEXT    NOT NULL,
	metrics         TEXT    NOT NULL,
	workload        TEXT    NOT NULL
) STRICT;

CREATE TABLE deleted_nodes (
	id        TEXT    NOT NULL PRIMARY KEY,
	partition INTEGER NOT NULL,
	at        INTEGER NOT NULL
) STRICT;

CREATE TABLE events (
	id         TEXT    NOT NULL PRIMARY KEY,
	partition  INTEGER NOT NULL,
	epoch      INTEGER NOT NULL,
	seq        INTEGER NOT NULL,
	ordinal    INTEGER NOT NULL,
	kind       TEXT    NOT NULL,
	node_id    TEXT    NOT NULL,
	name       TEXT    NOT NULL,
	ip         TEXT    NOT NULL,
	from_state TEXT    NOT NULL,
	to_state   TEXT    NOT NULL,
	reason     TEXT    NOT NULL,
	evidence   TEXT    NOT NULL,
	at         INTEGER NOT NULL,
	since      INTEGER NOT NULL,
	lasted     INTEGER NOT NULL,
	quiet      INTEGER NOT NULL,
	nodes      INTEGER NOT NULL,
	refused    TEXT    NOT NULL, -- JSON object, status to count, or ''
	by_whom    TEXT    NOT NULL,
	found      INTEGER NOT NULL  -- when it was committed
) STRICT;
CREATE UNIQUE INDEX events_in_order ON events (partition, epoch, seq, ordinal);
CREATE INDEX events_of_node ON events (node_id, partition, epoch, seq, ordinal);

CREATE TABLE chats (
	chat       TEXT    NOT NULL PRIMARY KEY,
	owner      TEXT    NOT NULL,
	term       INTEGER NOT NULL,
	expires_at INTEGER NOT NULL,
	last_told  INTEGER NOT NULL -- 0 for never
) STRICT;

-- How far each chat has turned events into deliveries.
CREATE TABLE cursors (
	chat      TEXT    NOT NULL REFERENCES chats (chat) ON DELETE CASCADE,
	partition INTEGER NOT NULL,
	epoch     INTEGER NOT NULL,
	seq       INTEGER NOT NULL,
	ordinal   INTEGER NOT NULL,
	PRIMARY KEY (chat, partition)
) STRICT;

CREATE TABLE notifications (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	chat       TEXT    NOT NULL REFERENCES chats (chat) ON DELETE CASCADE,
	html       TEXT    NOT NULL,
	reply_to   INTEGER NOT NULL,
	attempts   INTEGER NOT NULL DEFAULT 0,
	last_error TEXT    NOT NULL DEFAULT '',
	frozen_at  INTEGER NOT NULL,
	told_at    INTEGER,
	message_id INTEGER
) STRICT;
-- At most one notification of a chat waits to be told.
CREATE UNIQUE INDEX notifications_frozen ON notifications (chat) WHERE told_at IS NULL;

-- An event that a chat is to be told. It waits until it is in a notification, and is told when that is.
CREATE TABLE deliveries (
	chat         TEXT    NOT NULL REFERENCES chats (chat) ON DELETE CASCADE,
	event_id     TEXT    NOT NULL REFERENCES events (id) ON DELETE CASCADE,
	partition    INTEGER NOT NULL,
	epoch        INTEGER NOT NULL,
	seq          INTEGER NOT NULL,
	ordinal      INTEGER NOT NULL,
	notification INTEGER REFERENCES notifications (id),
	PRIMARY KEY (chat, event_id)
) STRICT;
CREATE INDEX deliveries_of_event ON deliveries (event_id);
CREATE INDEX deliveries_of_notification ON deliveries (notification);
CREATE INDEX deliveries_waiting ON deliveries (chat, partition, epoch, seq, ordinal) WHERE notification IS NULL;
