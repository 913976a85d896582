-- What agents tell later of times when they could not. Times are nanoseconds since 1970 UTC.

-- +goose Up
CREATE TABLE annotations (
	node_id   TEXT    NOT NULL,
	partition INTEGER NOT NULL,
	at        INTEGER NOT NULL, -- by the agent's clock
	status    TEXT    NOT NULL,
	reason    TEXT    NOT NULL,
	evidence  TEXT    NOT NULL,
	heard     INTEGER NOT NULL, -- the stamp of the message that brought it
	found     INTEGER NOT NULL, -- when it was committed
	PRIMARY KEY (node_id, at, status)
) STRICT;
CREATE INDEX annotations_by_age ON annotations (partition, found);
