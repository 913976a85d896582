-- All times and durations are nanoseconds; times count from 1970 UTC.

-- +goose Up
CREATE TABLE partitions (
	partition    integer PRIMARY KEY,
	owner        text   NOT NULL,
	term         bigint NOT NULL,
	expires_at   bigint NOT NULL,
	epoch        bigint NOT NULL,
	created      bigint NOT NULL,
	seq          bigint NOT NULL,
	stamp        bigint NOT NULL,
	committed_at bigint NOT NULL,
	clock        text   NOT NULL
) WITH (fillfactor = 20);

-- No index, and no index predicate, on a column that a heartbeat changes: so every update is a HOT update.
CREATE TABLE nodes (
	id              text COLLATE "C" PRIMARY KEY,
	partition       integer NOT NULL,
	name            text    NOT NULL,
	ip              text    NOT NULL,
	meta            text    NOT NULL,
	state           text    NOT NULL,
	reason          text    NOT NULL,
	evidence        text    NOT NULL,
	told            text    NOT NULL,
	since           bigint  NOT NULL,
	incident        bigint  NOT NULL,
	joined          bigint  NOT NULL,
	heard           bigint  NOT NULL,
	heard_w         bigint  NOT NULL,
	threshold       bigint  NOT NULL,
	report_interval bigint  NOT NULL,
	boot_id         text    NOT NULL,
	seq             bigint  NOT NULL,
	agent_version   text    NOT NULL,
	os              text    NOT NULL,
	arch            text    NOT NULL,
	metrics         text    NOT NULL,
	workload        text    NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE deleted_nodes (
	id        text COLLATE "C" PRIMARY KEY,
	partition integer NOT NULL,
	at        bigint  NOT NULL
);

CREATE TABLE events (
	id         text COLLATE "C" PRIMARY KEY,
	partition  integer NOT NULL,
	epoch      bigint  NOT NULL,
	seq        bigint  NOT NULL,
	ordinal    bigint  NOT NULL,
	kind       text    NOT NULL,
	node_id    text COLLATE "C" NOT NULL,
	name       text    NOT NULL,
	ip         text    NOT NULL,
	from_state text    NOT NULL,
	to_state   text    NOT NULL,
	reason     text    NOT NULL,
	evidence   text    NOT NULL,
	at         bigint  NOT NULL,
	since      bigint  NOT NULL,
	lasted     bigint  NOT NULL,
	quiet      boolean NOT NULL,
	nodes      bigint  NOT NULL,
	refused    text    NOT NULL, -- JSON object, status to count, or ''
	by_whom    text    NOT NULL,
	found      bigint  NOT NULL  -- when it was committed
);
CREATE UNIQUE INDEX events_in_order ON events (partition, epoch, seq, ordinal);
CREATE INDEX events_of_node ON events (node_id, partition, epoch, seq, ordinal);

CREATE TABLE chats (
	chat       text COLLATE "C" PRIMARY KEY,
	owner      text   NOT NULL,
	term       bigint NOT NULL,
	expires_at bigint NOT NULL,
	last_told  bigint NOT NULL -- 0 for never
) WITH (fillfactor = 20);

-- How far each chat has turned events into deliveries.
CREATE TABLE cursors (
	chat      text COLLATE "C" NOT NULL REFERENCES chats (chat) ON DELETE CASCADE,
	partition integer NOT NULL,
	epoch     bigint  NOT NULL,
	seq       bigint  NOT NULL,
	ordinal   bigint  NOT NULL,
	PRIMARY KEY (chat, partition)
);

CREATE TABLE notifications (
	id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	chat       text COLLATE "C" NOT NULL REFERENCES chats (chat) ON DELETE CASCADE,
	html       text    NOT NULL,
	reply_to   bigint  NOT NULL,
	attempts   integer NOT NULL DEFAULT 0,
	last_error text    NOT NULL DEFAULT '',
	frozen_at  bigint  NOT NULL,
	told_at    bigint,
	message_id bigint
);
-- At most one notification of a chat waits to be told.
CREATE UNIQUE INDEX notifications_frozen ON notifications (chat) WHERE told_at IS NULL;

-- An event that a chat is to be told. It waits until it is in a notification, and is told when that is.
CREATE TABLE deliveries (
	chat         text COLLATE "C" NOT NULL REFERENCES chats (chat) ON DELETE CASCADE,
	event_id     text COLLATE "C" NOT NULL REFERENCES events (id) ON DELETE CASCADE,
	partition    integer NOT NULL,
	epoch        bigint  NOT NULL,
	seq          bigint  NOT NULL,
	ordinal      bigint  NOT NULL,
	notification bigint REFERENCES notifications (id),
	PRIMARY KEY (chat, event_id)
);
CREATE INDEX deliveries_of_event ON deliveries (event_id);
CREATE INDEX deliveries_of_notification ON deliveries (notification);
CREATE INDEX deliveries_waiting ON deliveries (chat, partition, epoch, seq, ordinal) WHERE notification IS NULL;
