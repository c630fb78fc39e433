-- Tags, sources and everything are invalidated by a marker that reads compare, so the feed has lines
-- about more than one entry; and items have titles, which searches rank first.

ALTER TABLE changes RENAME COLUMN key TO name;
ALTER TABLE changes ADD COLUMN about TEXT NOT NULL DEFAULT 'entry'
  CHECK (about IN ('entry', 'tag', 'source', 'all'));

-- A marker stays while a fetch is under way that began before it.
CREATE INDEX entries_leased ON entries (lease_seq) WHERE lease_seq NOT NULL;

DROP TRIGGER items_fts_insert;
DROP TRIGGER items_fts_delete;
DROP TRIGGER items_fts_update;
DROP TABLE items_fts;

ALTER TABLE items ADD COLUMN title TEXT NOT NULL DEFAULT '';

-- Full text over titles and words, which it does not store a second time. The kind is in it so that a
-- search for what very many items of another kind have does not look at those.
CREATE VIRTUAL TABLE items_fts USING fts5 (
  title, search, kind, content = 'items', content_rowid = 'nr', prefix = '2 3',
  tokenize = 'unicode61 remove_diacritics 2'
);
INSERT INTO items_fts (items_fts) VALUES ('rebuild');

CREATE TRIGGER items_fts_insert AFTER INSERT ON items BEGIN
  INSERT INTO items_fts (rowid, title, search, kind) VALUES (new.nr, new.title, new.search, new.kind);
END;

CREATE TRIGGER items_fts_delete AFTER DELETE ON items BEGIN
  INSERT INTO items_fts (items_fts, rowid, title, search, kind)
  VALUES ('delete', old.nr, old.title, old.search, old.kind);
END;

CREATE TRIGGER items_fts_update AFTER UPDATE OF title, search ON items
WHEN old.title <> new.title OR old.search <> new.search BEGIN
  INSERT INTO items_fts (items_fts, rowid, title, search, kind)
  VALUES ('delete', old.nr, old.title, old.search, old.kind);
  INSERT INTO items_fts (rowid, title, search, kind) VALUES (new.nr, new.title, new.search, new.kind);
END;

-- The entries as people read them, with what the markers say of them.
DROP VIEW cache;
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
