-- What the page reads of the past, and in which orders it reads nodes.

-- +goose Up
-- What a node was is read from this index alone.
DROP INDEX events_of_node;
CREATE INDEX events_of_node ON events (node_id, partition, epoch, seq, ordinal, kind, from_state, to_state, at);
-- Events that end an incident.
CREATE INDEX events_ending ON events (partition, epoch, seq, ordinal)
	WHERE (kind = 'changed' AND to_state = 'up') OR (kind = 'deleted' AND from_state <> 'up');

-- No heartbeat changes these columns. The expression is that of nodestore.Rank.
CREATE INDEX nodes_worst ON nodes ((CASE state WHEN 'down' THEN 1 WHEN 'lost' THEN 2 WHEN 'degraded' THEN 3 WHEN 'up' THEN 4 ELSE 0 END), id);
CREATE INDEX nodes_since ON nodes (since, id);
CREATE INDEX nodes_incident ON nodes (incident, id) WHERE incident <> 0;

-- One row for each node in each slot of ten minutes. All that is written at a time, and all that is deleted at a time, lies
-- together. Measures are tenths; null is not known.
CREATE TABLE samples (
	slot       INTEGER NOT NULL,
	node_id    TEXT    NOT NULL,
	at         INTEGER  NOT NULL,
	round      INTEGER,
	cpu        INTEGER,
	memory     INTEGER,
	disk       INTEGER,
	gpu_use    INTEGER,
	gpu_memory INTEGER,
	gpu_temp   INTEGER,
	PRIMARY KEY (slot, node_id)
) STRICT, WITHOUT ROWID;
