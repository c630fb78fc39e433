DROP TRIGGER items_fts_delete;
DROP TABLE items_fts;
DROP VIEW shown_items;

-- By the fields that the last to write knew of, until the next makes its own view; they are kept where that
-- one keeps what it made, which is nothing now.
UPDATE meta SET view_names = iif(found_by = '', '{}', found_by);
ALTER TABLE meta DROP COLUMN found_by;

CREATE VIEW items_found_by AS
SELECT
  nr,
  coalesce((SELECT doc ->> ('$.' || (view_names ->> ('$.' || kind || '.title'))) FROM meta), '') AS title,
  coalesce((
    SELECT group_concat(CASE json_type(doc, '$.' || field.value)
      WHEN 'text' THEN doc ->> ('$.' || field.value)
      WHEN 'array' THEN (SELECT group_concat(one.value, ' ') FROM json_each(doc, '$.' || field.value) one)
    END, ' ')
    FROM meta, json_each(meta.view_names, '$.' || kind || '.words') field
  ), '') AS words,
  kind
FROM items;

CREATE VIRTUAL TABLE items_fts USING fts5 (
  title, words, kind, content = 'items_found_by', content_rowid = 'nr', prefix = '2',
  tokenize = 'unicode61 remove_diacritics 2'
);
INSERT INTO items_fts (rowid, title, words, kind) SELECT nr, title, words, kind FROM items_found_by;

CREATE TRIGGER items_fts_delete BEFORE DELETE ON items BEGIN
  INSERT INTO items_fts (items_fts, rowid, title, words, kind)
  SELECT 'delete', nr, title, words, kind FROM items_found_by WHERE nr = old.nr;
END;

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
