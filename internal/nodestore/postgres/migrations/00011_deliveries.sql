-- A mass failure writes a delivery for each node and chat, twice, and most of what that cost was its keys. This one begins
-- with the event, as an index of its own did, and those of told ones need no entry for the others.

-- +goose Up
ALTER TABLE deliveries DROP CONSTRAINT deliveries_pkey, ADD PRIMARY KEY (event_id, chat);
DROP INDEX deliveries_of_event;
DROP INDEX deliveries_of_notification;
CREATE INDEX deliveries_of_notification ON deliveries (notification) WHERE notification IS NOT NULL;
