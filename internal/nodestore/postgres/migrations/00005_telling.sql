-- Whom to tell what, and what is held back. All times are nanoseconds since 1970 UTC; 0 is none.

-- +goose Up
-- The node's labels when it happened, k=v,k=v: alerts are routed by them.
ALTER TABLE events ADD COLUMN meta text NOT NULL DEFAULT '';

-- A delivery waits while it is in no notification, not held and not untold. held says why it is not told for now
-- (silenced, flapping), untold why it never will be, mark what is to be said of it besides.
ALTER TABLE deliveries ADD COLUMN node_id text COLLATE "C" NOT NULL DEFAULT '',
	ADD COLUMN held text NOT NULL DEFAULT '', ADD COLUMN untold text NOT NULL DEFAULT '',
	ADD COLUMN mark text NOT NULL DEFAULT '';
UPDATE deliveries SET node_id = e.node_id FROM events e WHERE e.id = deliveries.event_id AND notification IS NULL;
DROP INDEX deliveries_waiting;
CREATE INDEX deliveries_waiting ON deliveries (chat, partition, epoch, seq, ordinal)
	WHERE notification IS NULL AND held = '' AND untold = '';
CREATE INDEX deliveries_held ON deliveries (chat, held, node_id) WHERE held <> '';

-- How many alerts it tells, and the node and incident when it tells a failure of one node alone.
ALTER TABLE notifications ADD COLUMN alerts bigint NOT NULL DEFAULT 0,
	ADD COLUMN node_id text NOT NULL DEFAULT '', ADD COLUMN incident bigint NOT NULL DEFAULT 0;
CREATE INDEX notifications_told ON notifications (chat, told_at);

-- Where a chat went, as Telegram says when a group becomes a supergroup.
ALTER TABLE chats ADD COLUMN moved_to text NOT NULL DEFAULT '';

CREATE TABLE silences (
	id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	scope      text   NOT NULL, -- node, label or all
	value      text   NOT NULL, -- the node's id, or k=v
	from_at    bigint NOT NULL,
	until_at   bigint NOT NULL,
	by_whom    text   NOT NULL,
	note       text   NOT NULL,
	created_at bigint NOT NULL,
	ended_at   bigint NOT NULL DEFAULT 0, -- when it was ended before its time
	ended_by   text   NOT NULL DEFAULT ''
);
CREATE INDEX silences_until ON silences (until_at);

CREATE TABLE acknowledgements (
	node_id  text COLLATE "C" NOT NULL,
	incident bigint NOT NULL, -- when it began
	by_whom  text   NOT NULL,
	at       bigint NOT NULL,
	PRIMARY KEY (node_id, incident)
);

-- Nodes that change so often that a chat is not told of each change.
CREATE TABLE flaps (
	chat     text COLLATE "C" NOT NULL REFERENCES chats (chat) ON DELETE CASCADE,
	node_id  text COLLATE "C" NOT NULL,
	since_at bigint NOT NULL, -- of the change at which it was told, or of the last sum
	last_at  bigint NOT NULL, -- of the last change
	PRIMARY KEY (chat, node_id)
);

CREATE TABLE reminders (
	chat         text COLLATE "C" NOT NULL REFERENCES chats (chat) ON DELETE CASCADE,
	node_id      text COLLATE "C" NOT NULL,
	incident     bigint NOT NULL,
	nth          bigint NOT NULL, -- from 1
	notification bigint NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
	PRIMARY KEY (chat, node_id, incident, nth)
);
CREATE INDEX reminders_of_notification ON reminders (notification);

CREATE TABLE summaries (
	chat         text COLLATE "C" NOT NULL REFERENCES chats (chat) ON DELETE CASCADE,
	day          text   NOT NULL, -- yyyy-mm-dd, in the zone of those who are told
	notification bigint NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
	PRIMARY KEY (chat, day)
);
CREATE INDEX summaries_of_notification ON summaries (notification);

-- Who asks Telegram for a bot's updates, and the first update not handled yet.
CREATE TABLE bots (
	bot         text COLLATE "C" PRIMARY KEY,
	owner       text   NOT NULL,
	term        bigint NOT NULL,
	expires_at  bigint NOT NULL,
	ttl         bigint NOT NULL,
	renewals    bigint NOT NULL,
	next_update bigint NOT NULL
) WITH (fillfactor = 20);
