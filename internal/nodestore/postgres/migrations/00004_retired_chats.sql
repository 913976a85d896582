-- +goose Up
-- When it was found that nobody is configured to tell the chat; 0 while somebody is.
ALTER TABLE chats ADD COLUMN retired_at bigint NOT NULL DEFAULT 0;

-- It was never told: its chat had been retired for long. told_at is then when that was decided, and message_id is null.
ALTER TABLE notifications ADD COLUMN given_up boolean NOT NULL DEFAULT false;
