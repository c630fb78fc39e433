-- The first schema knows markers only for fetches under way: what they say of rows is written through.
UPDATE entries SET
  due_at = CASE WHEN m.seq > invalidated THEN min(due_at, m.at) ELSE due_at END,
  invalidated = max(invalidated, m.seq)
FROM (
  SELECT nr, max(seq) AS seq, at FROM (
    SELECT e.nr, m.seq, m.at FROM entries e JOIN markers m ON m.name IN ('all', 'source:' || e.source)
    UNION ALL
    SELECT t.entry, m.seq, m.at FROM tags t JOIN markers m ON m.name = 'tag:' || t.tag
  ) GROUP BY nr
) AS m
WHERE m.nr = entries.nr;

-- Its feed knows lines about one entry alone; whoever reads behind the last of the others starts over.
UPDATE meta SET feed_swept = max(
  feed_swept, coalesce((SELECT max(seq) FROM changes WHERE about <> 'entry'), 0)
);
DELETE FROM changes WHERE seq <= (SELECT feed_swept FROM meta);
ALTER TABLE changes DROP COLUMN about;
ALTER TABLE changes RENAME COLUMN name TO key;

DROP INDEX entries_leased;

DROP VIEW cache;
DROP TRIGGER items_fts_insert;
DROP TRIGGER items_fts_delete;
DROP TRIGGER items_fts_update;
DROP TABLE items_fts;
UPDATE items SET search = trim(title || ' ' || search) WHERE title <> '';
ALTER TABLE items DROP COLUMN title;

CREATE VIRTUAL TABLE items_fts USING fts5 (
  search, content = 'items', content_rowid = 'nr', prefix = '2 3',
  tokenize = 'unicode61 remove_diacritics 2'
);
INSERT INTO items_fts (items_fts) VALUES ('rebuild');

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

CREATE VIEW cache AS
SELECT
  key, source, version, complete, attempts,
  strftime('%Y-%m-%dT%H:%M:%SZ', fetched_at / 1000, 'unixepoch') AS fetched_at,
  strftime('%Y-%m-%dT%H:%M:%SZ', fresh_until / 1000, 'unixepoch') AS fresh_until,
  strftime('%Y-%m-%dT%H:%M:%SZ', due_at / 1000, 'unixepoch') AS due_at,
  json_extract(last_error, '$.message') AS last_error,
  warnings, body
FROM entries;
