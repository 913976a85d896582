-- A mass failure writes a delivery for each node and chat, twice, and most of what that cost was the keys: nobody deletes
-- chats, notifications go only when no delivery names them, and one index begins with the event for its own key as well.

-- +goose Up
ALTER TABLE deliveries DROP CONSTRAINT deliveries_chat_fkey, DROP CONSTRAINT deliveries_notification_fkey,
	DROP CONSTRAINT deliveries_pkey, ADD PRIMARY KEY (event_id, chat);
DROP INDEX deliveries_of_event;
DROP INDEX deliveries_of_notification;
CREATE INDEX deliveries_of_notification ON deliveries (notification) WHERE notification IS NOT NULL;
