-- The schema before went by `fetched_at`, which is still there.
ALTER TABLE items DROP COLUMN began;
