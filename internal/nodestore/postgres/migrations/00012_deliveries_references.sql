-- Looked up for every delivery, and never needed: nobody deletes chats, and notifications go only when no delivery names
-- them. Apart from what takes long, since it locks chats and notifications too, and a notifier must renew and note.

-- +goose Up
ALTER TABLE deliveries DROP CONSTRAINT deliveries_chat_fkey, DROP CONSTRAINT deliveries_notification_fkey;
