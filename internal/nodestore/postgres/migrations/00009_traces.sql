-- Which trace of OpenTelemetry brought an event, for those that are traced. It stands beside the events, so that they are
-- the same whether anybody traces or not.

-- +goose Up
CREATE TABLE traces (
	event_id text COLLATE "C" PRIMARY KEY REFERENCES events (id) ON DELETE CASCADE,
	parent   text NOT NULL -- W3C's traceparent
);
