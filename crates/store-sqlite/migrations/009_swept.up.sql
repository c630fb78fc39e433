-- When a sweep last began, in milliseconds: many processes may think of one, and a store of a million
-- entries is not to be walked through by each of them.
ALTER TABLE meta ADD COLUMN swept_at INTEGER NOT NULL DEFAULT 0;
