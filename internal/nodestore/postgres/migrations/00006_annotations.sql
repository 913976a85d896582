-- What agents tell later of times when they could not. Times are nanoseconds since 1970 UTC.

-- +goose Up
CREATE TABLE annotations (
	node_id   text COLLATE "C" NOT NULL,
	partition integer NOT NULL,
	at        bigint  NOT NULL, -- by the agent's clock
	status    text COLLATE "C" NOT NULL,
	reason    text    NOT NULL,
	evidence  text    NOT NULL,
	heard     bigint  NOT NULL, -- the stamp of the message that brought it
	found     bigint  NOT NULL, -- when it was committed
	PRIMARY KEY (node_id, at, status)
);
CREATE INDEX annotations_by_age ON annotations (partition, found);
