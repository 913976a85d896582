-- The database's clock may step, so a lease must be told from its renewal without it. ttl is how long the lease was
-- granted for (0: by a program that did not write it), hence expires_at - ttl is when. renewals grows at every grant
-- and renewal.

-- +goose Up
ALTER TABLE partitions ADD COLUMN ttl INTEGER NOT NULL DEFAULT 0;
ALTER TABLE partitions ADD COLUMN renewals INTEGER NOT NULL DEFAULT 0;
