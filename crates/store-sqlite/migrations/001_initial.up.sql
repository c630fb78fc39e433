-- The first schema. Times are milliseconds since 1970 in UTC; the views made beside it show text.

-- One row: the store's life (`epoch`), the number that orders everything in it (`seq`), how far the
-- feed was swept, and the highest version among removed entries (a new row goes on from there, so
-- that an ETag never names two different things).
CREATE TABLE meta (
  one           INTEGER PRIMARY KEY CHECK (one = 1),
  epoch         INTEGER NOT NULL,
  seq           INTEGER NOT NULL,
  feed_swept    INTEGER NOT NULL,
  version_floor INTEGER NOT NULL,
  views         TEXT NOT NULL,
  view_names    TEXT NOT NULL
) STRICT;

-- 53 bits, so that the number survives a JSON reader that knows doubles alone.
INSERT INTO meta VALUES (1, random() & 0x1fffffffffffff, 0, 0, 0, '', '[]');

CREATE TABLE entries (
  nr                 INTEGER PRIMARY KEY,
  key                TEXT NOT NULL UNIQUE,
  source             TEXT NOT NULL,
  definition         TEXT NOT NULL,
  tried              TEXT NOT NULL,
  body               TEXT,
  validators         TEXT NOT NULL,
  cursor             TEXT,
  complete           INTEGER NOT NULL,
  pending            TEXT NOT NULL,
  warnings           TEXT NOT NULL,
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
  lease_owner        TEXT,
  lease_until        INTEGER,
  lease_length       INTEGER,
  lease_epoch        INTEGER,
  lease_seq          INTEGER,
  touched_at         INTEGER NOT NULL,
  unconfigured_since INTEGER
) STRICT;

CREATE INDEX entries_by_source ON entries (source);
CREATE INDEX entries_due ON entries (due_at) WHERE marked > 0 OR attempts > 0 OR pending <> '[]';

CREATE TABLE items (
  nr         INTEGER PRIMARY KEY,
  kind       TEXT NOT NULL,
  id         TEXT NOT NULL,
  scope      TEXT NOT NULL,
  doc        TEXT NOT NULL,
  derived    TEXT,
  search     TEXT NOT NULL,
  fetched_at INTEGER NOT NULL,
  -- The identity first: an index that begins with the kind would tempt the planner to read a whole
  -- kind and sort it where it should walk the index of the order asked for.
  UNIQUE (id, kind)
) STRICT;

CREATE TABLE members (
  entry    INTEGER NOT NULL REFERENCES entries (nr),
  position INTEGER NOT NULL,
  asked    TEXT NOT NULL,
  state    TEXT NOT NULL CHECK (state IN ('shown', 'absent', 'hidden')),
  item     INTEGER NOT NULL REFERENCES items (nr),
  PRIMARY KEY (entry, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX members_by_item ON members (item, entry, state);

CREATE TABLE tags (
  entry INTEGER NOT NULL REFERENCES entries (nr),
  tag   TEXT NOT NULL,
  PRIMARY KEY (entry, tag)
) STRICT, WITHOUT ROWID;

CREATE INDEX tags_by_tag ON tags (tag, entry);

-- What was invalidated as a whole, so that a fetch under way that brings the tag is stale too.
CREATE TABLE markers (
  name TEXT PRIMARY KEY,
  seq  INTEGER NOT NULL,
  at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE changes (
  seq     INTEGER PRIMARY KEY,
  key     TEXT NOT NULL,
  what    TEXT NOT NULL,
  version INTEGER NOT NULL,
  at      INTEGER NOT NULL
) STRICT;

CREATE TABLE refresh_log (
  nr            INTEGER PRIMARY KEY,
  key           TEXT NOT NULL,
  triggered_by  TEXT NOT NULL,
  started_at    INTEGER NOT NULL,
  duration_ms   INTEGER NOT NULL,
  outcome       TEXT NOT NULL,
  items_seen    INTEGER NOT NULL,
  items_added   INTEGER NOT NULL,
  items_changed INTEGER NOT NULL,
  items_removed INTEGER NOT NULL,
  calls         INTEGER NOT NULL,
  cost          INTEGER NOT NULL,
  error         TEXT
) STRICT;

CREATE INDEX refresh_log_by_key ON refresh_log (key, nr);
CREATE INDEX refresh_log_by_time ON refresh_log (started_at);

CREATE TABLE budgets (
  host          TEXT NOT NULL,
  actor         TEXT NOT NULL,
  resource      TEXT NOT NULL,
  points_limit  INTEGER,
  remaining     INTEGER,
  reset_at      INTEGER,
  blocked_until INTEGER,
  minute_start  INTEGER NOT NULL,
  minute_points INTEGER NOT NULL,
  PRIMARY KEY (host, actor, resource)
) STRICT, WITHOUT ROWID;

-- AUTOINCREMENT: the number of one that ended must never name another.
CREATE TABLE reservations (
  nr       INTEGER PRIMARY KEY AUTOINCREMENT,
  host     TEXT NOT NULL,
  actor    TEXT NOT NULL,
  resource TEXT NOT NULL,
  points   INTEGER NOT NULL,
  owner    TEXT NOT NULL,
  taken_at INTEGER NOT NULL,
  until    INTEGER NOT NULL
) STRICT;

CREATE INDEX reservations_by_resource ON reservations (host, actor, resource);

CREATE TABLE actors (
  host       TEXT NOT NULL,
  credential TEXT NOT NULL,
  actor      TEXT NOT NULL,
  PRIMARY KEY (host, credential)
) STRICT, WITHOUT ROWID;

-- Full text over `items.search`, which it does not store a second time.
CREATE VIRTUAL TABLE items_fts USING fts5 (
  search, content = 'items', content_rowid = 'nr', prefix = '2 3',
  tokenize = 'unicode61 remove_diacritics 2'
);

CREATE TRIGGER items_fts_insert AFTER INSERT ON items BEGIN
  INSERT INTO items_fts (rowid, search) VALUES (new.nr, new.search);
END;

CREATE TRIGGER items_fts_delete AFTER DELETE ON items BEGIN
  INSERT INTO items_fts (items_fts, rowid, search) VALUES ('delete', old.nr, old.search);
END;

CREATE TRIGGER items_fts_update AFTER UPDATE OF search ON items WHEN old.search <> new.search BEGIN
  INSERT INTO items_fts (items_fts, rowid, search) VALUES ('delete', old.nr, old.search);
  INSERT INTO items_fts (rowid, search) VALUES (new.nr, new.search);
END;

-- The entries as people read them.
CREATE VIEW cache AS
SELECT
  key, source, version, complete, attempts,
  strftime('%Y-%m-%dT%H:%M:%SZ', fetched_at / 1000, 'unixepoch') AS fetched_at,
  strftime('%Y-%m-%dT%H:%M:%SZ', fresh_until / 1000, 'unixepoch') AS fresh_until,
  strftime('%Y-%m-%dT%H:%M:%SZ', due_at / 1000, 'unixepoch') AS due_at,
  json_extract(last_error, '$.message') AS last_error,
  warnings, body
FROM entries;
