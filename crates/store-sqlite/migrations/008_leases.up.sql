-- Leases are taken and left all the time, entries are large: a lease among an entry's columns moved the
-- rest of them, so that each of its pages was written once for taking it and once for leaving it.
CREATE TABLE leases (
  entry  INTEGER PRIMARY KEY REFERENCES entries (nr),
  owner  TEXT NOT NULL,
  until  INTEGER NOT NULL,
  length INTEGER NOT NULL,
  epoch  INTEGER NOT NULL,
  seq    INTEGER NOT NULL
) STRICT;

INSERT INTO leases
SELECT nr, lease_owner, lease_until, lease_length, lease_epoch, lease_seq FROM entries
WHERE lease_owner NOT NULL;

DROP INDEX entries_leased;
ALTER TABLE entries DROP COLUMN lease_owner;
ALTER TABLE entries DROP COLUMN lease_until;
ALTER TABLE entries DROP COLUMN lease_length;
ALTER TABLE entries DROP COLUMN lease_epoch;
ALTER TABLE entries DROP COLUMN lease_seq;
