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

-- All of it is written once, and not once for each column that goes. What may be large stands last: whoever
-- wants to know how an entry is need not read past it.
DROP VIEW cache;
CREATE TABLE entries_anew (
  nr                 INTEGER PRIMARY KEY,
  key                TEXT NOT NULL UNIQUE,
  source             TEXT NOT NULL,
  definition         TEXT NOT NULL,
  tried              TEXT NOT NULL,
  validators         TEXT NOT NULL,
  complete           INTEGER NOT NULL,
  version            INTEGER NOT NULL,
  began              INTEGER NOT NULL,
  invalidated        INTEGER NOT NULL,
  fetched_at         INTEGER,
  absent_at          INTEGER,
  fresh_until        INTEGER,
  due_at             INTEGER NOT NULL,
  -- The sequence number at which a trigger asked for a refresh; 0 = none did.
  marked             INTEGER NOT NULL,
  marked_by          TEXT,
  attempts           INTEGER NOT NULL,
  faults             INTEGER NOT NULL,
  last_error         TEXT,
  touched_at         INTEGER NOT NULL,
  unconfigured_since INTEGER,
  pending            TEXT NOT NULL,
  warnings           TEXT NOT NULL,
  body               TEXT,
  cursor             TEXT
) STRICT;

INSERT INTO entries_anew
SELECT
  nr, key, source, definition, tried, validators, complete, version, began, invalidated, fetched_at, absent_at,
  fresh_until, due_at, marked, marked_by, attempts, faults, last_error, touched_at, unconfigured_since, pending,
  warnings, body, cursor
FROM entries;
DROP TABLE entries;
ALTER TABLE entries_anew RENAME TO entries;
CREATE INDEX entries_by_source ON entries (source);
CREATE INDEX entries_due ON entries (due_at) WHERE marked > 0 OR attempts > 0 OR pending <> '[]';

CREATE VIEW cache AS
SELECT
  key, source, version, complete, attempts, max(invalidated, marker) > began AS invalidated,
  strftime('%Y-%m-%dT%H:%M:%SZ', fetched_at / 1000, 'unixepoch') AS fetched_at,
  strftime('%Y-%m-%dT%H:%M:%SZ', fresh_until / 1000, 'unixepoch') AS fresh_until,
  strftime(
    '%Y-%m-%dT%H:%M:%SZ',
    CASE WHEN marker > invalidated THEN min(due_at, marker_at) ELSE due_at END / 1000,
    'unixepoch'
  ) AS due_at,
  json_extract(last_error, '$.message') AS last_error,
  warnings, body
FROM (
  SELECT
    e.*,
    coalesce((
      SELECT max(seq) FROM markers WHERE name IN ('all', 'source:' || e.source)
        OR name IN (SELECT 'tag:' || tag FROM tags WHERE entry = e.nr)
    ), 0) AS marker,
    (
      SELECT at FROM markers WHERE name IN ('all', 'source:' || e.source)
        OR name IN (SELECT 'tag:' || tag FROM tags WHERE entry = e.nr)
      ORDER BY seq DESC LIMIT 1
    ) AS marker_at
  FROM entries e
);
