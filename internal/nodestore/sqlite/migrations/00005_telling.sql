-- Whom to tell what, and what is held back. All times are nanoseconds since 1970 UTC; 0 is none.

-- +goose Up
-- The node's labels when it happened, k=v,k=v: alerts are routed by them.
ALTER TABLE events ADD COLUMN meta TEXT NOT NULL DEFAULT '';

-- A delivery waits while it is in no notification, not held and not untold. held says why it is not told for now
-- (silenced, flapping), untold why it never will be, mark what is to be said of it besides.
ALTER TABLE deliveries ADD COLUMN node_id TEXT NOT NULL DEFAULT '';
ALTER TABLE deliveries ADD COLUMN held TEXT NOT NULL DEFAULT '';
ALTER TABLE deliveries ADD COLUMN untold TEXT NOT NULL DEFAULT '';
ALTER TABLE deliveries ADD COLUMN mark TEXT NOT NULL DEFAULT '';
UPDATE deliveries SET node_id = e.node_id FROM events e WHERE e.id = deliveries.event_id AND notification IS NULL;
DROP INDEX deliveries_waiting;
CREATE INDEX deliveries_waiting ON deliveries (chat, partition, epoch, seq, ordinal)
	WHERE notification IS NULL AND held = '' AND untold = '';
CREATE INDEX deliveries_held ON deliveries (chat, held, node_id) WHERE held <> '';

-- How many alerts it tells, and the node and incident when it tells a failure of one node alone.
ALTER TABLE notifications ADD COLUMN alerts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE notifications ADD COLUMN node_id TEXT NOT NULL DEFAULT '';
ALTER TABLE notifications ADD COLUMN incident INTEGER NOT NULL DEFAULT 0;
CREATE INDEX notifications_told ON notifications (chat, told_at);

-- Where a chat went, as Telegram says when a group becomes a supergroup.
ALTER TABLE chats ADD COLUMN moved_to TEXT NOT NULL DEFAULT '';

CREATE TABLE silences (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	scope      TEXT   NOT NULL, -- node, label or all
	value      TEXT   NOT NULL, -- the node's id, or k=v
	from_at    INTEGER NOT NULL,
	until_at   INTEGER NOT NULL,
	by_whom    TEXT   NOT NULL,
	note       TEXT   NOT NULL,
	created_at INTEGER NOT NULL,
	ended_at   INTEGER NOT NULL DEFAULT 0, -- when it was ended before its time
	ended_by   TEXT   NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX silences_until ON silences (until_at);

CREATE TABLE acknowledgements (
	node_id  TEXT NOT NULL,
	incident INTEGER NOT NULL, -- when it began
	by_whom  TEXT   NOT NULL,
	at       INTEGER NOT NULL,
	PRIMARY KEY (node_id, incident)
) STRICT;

-- Nodes that change so often that a chat is not told of each change.
CREATE TABLE flaps (
	chat     TEXT NOT NULL REFERENCES chats (chat) ON DELETE CASCADE,
	node_id  TEXT NOT NULL,
	since_at INTEGER NOT NULL, -- of the change at which it was told, or of the last sum
	last_at  INTEGER NOT NULL, -- of the last change
	PRIMARY KEY (chat, node_id)
) STRICT;

CREATE TABLE reminders (
	chat         TEXT NOT NULL REFERENCES chats (chat) ON DELETE CASCADE,
	node_id      TEXT NOT NULL,
	incident     INTEGER NOT NULL,
	nth          INTEGER NOT NULL, -- from 1
	notification INTEGER NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
	PRIMARY KEY (chat, node_id, incident, nth)
) STRICT;
CREATE INDEX reminders_of_notification ON reminders (notification);

CREATE TABLE summaries (
	chat         TEXT NOT NULL REFERENCES chats (chat) ON DELETE CASCADE,
	day          TEXT   NOT NULL, -- yyyy-mm-dd, in the zone of those who are told
	notification INTEGER NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
	PRIMARY KEY (chat, day)
) STRICT;
CREATE INDEX summaries_of_notification ON summaries (notification);

-- Who asks Telegram for a bot's updates, and the first update not handled yet.
CREATE TABLE bots (
	bot         TEXT    NOT NULL PRIMARY KEY,
	owner       TEXT   NOT NULL,
	term        INTEGER NOT NULL,
	expires_at  INTEGER NOT NULL,
	ttl         INTEGER NOT NULL,
	renewals    INTEGER NOT NULL,
	next_update INTEGER NOT NULL
) STRICT;
