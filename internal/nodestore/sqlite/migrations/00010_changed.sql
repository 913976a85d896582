-- The sequence of the commit that last wrote a node, so that a reader of all can ask for what is new. No index: every
-- heartbeat changes it.

-- +goose Up
ALTER TABLE nodes ADD COLUMN changed INTEGER NOT NULL DEFAULT 0;
