-- What a node remembers of several senders: JSON, empty while there is one.

-- +goose Up
ALTER TABLE nodes ADD COLUMN senders text NOT NULL DEFAULT '';
