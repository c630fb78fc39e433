-- To take an item out of the index of words, what it had been found by had to be said once more. Now the
-- index marks it as gone. So what finds an item need be no view, which every connection would read before
-- anything else: it stands here, as JSON, by kind, and whoever writes the file goes by it.
ALTER TABLE meta ADD COLUMN found_by TEXT NOT NULL DEFAULT '';

DROP TRIGGER items_fts_delete;
DROP TABLE items_fts;
DROP VIEW items_found_by;

-- The kind is in it so that a search for what very many items of another kind have does not look at those.
-- Only beginnings of two letters have lists of their own: there are few words that begin with the same three.
CREATE VIRTUAL TABLE items_fts USING fts5 (
  title, words, kind, content = '', contentless_delete = 1, prefix = '2',
  tokenize = 'unicode61 remove_diacritics 2'
);

CREATE TRIGGER items_fts_delete AFTER DELETE ON items BEGIN
  DELETE FROM items_fts WHERE rowid = old.nr;
END;

-- What the views of all kinds have in common, said once.
CREATE VIEW shown_items AS
SELECT kind, doc, strftime('%Y-%m-%dT%H:%M:%SZ', fetched_at / 1000, 'unixepoch') AS fetched_at
FROM items
WHERE EXISTS (SELECT 1 FROM members WHERE item = nr AND state IS NOT 'hidden');

-- The same as before, with less to read.
DROP VIEW cache;
CREATE VIEW cache AS
SELECT
  key, source, version, complete, attempts,
  max(invalidated, coalesce(m.seq, 0)) > began AS invalidated,
  strftime('%Y-%m-%dT%H:%M:%SZ', fetched_at / 1000, 'unixepoch') AS fetched_at,
  strftime('%Y-%m-%dT%H:%M:%SZ', fresh_until / 1000, 'unixepoch') AS fresh_until,
  strftime(
    '%Y-%m-%dT%H:%M:%SZ',
    CASE WHEN m.seq > invalidated THEN min(due_at, m.at) ELSE due_at END / 1000,
    'unixepoch'
  ) AS due_at,
  last_error ->> '$.message' AS last_error,
  warnings, body
FROM entries e
LEFT JOIN markers m ON m.name = (
  SELECT name FROM markers WHERE name IN ('all', 'source:' || e.source)
    OR name IN (SELECT 'tag:' || tag FROM tags WHERE entry = e.nr)
  ORDER BY seq DESC LIMIT 1
);
