ALTER TABLE entries ADD COLUMN lease_owner TEXT;
ALTER TABLE entries ADD COLUMN lease_until INTEGER;
ALTER TABLE entries ADD COLUMN lease_length INTEGER;
ALTER TABLE entries ADD COLUMN lease_epoch INTEGER;
ALTER TABLE entries ADD COLUMN lease_seq INTEGER;

UPDATE entries SET
  lease_owner = l.owner, lease_until = l.until, lease_length = l.length, lease_epoch = l.epoch,
  lease_seq = l.seq
FROM leases AS l
WHERE l.entry = entries.nr;

DROP TABLE leases;

-- A marker stays while a fetch is under way that began before it.
CREATE INDEX entries_leased ON entries (lease_seq) WHERE lease_seq NOT NULL;
