DROP TRIGGER items_fts_insert;
DROP TRIGGER items_fts_delete;
DROP TABLE items_fts;

ALTER TABLE items ADD COLUMN search TEXT NOT NULL DEFAULT '';
ALTER TABLE items ADD COLUMN title TEXT NOT NULL DEFAULT '';
UPDATE items SET title = f.title, search = f.words FROM items_found_by f WHERE f.nr = items.nr;
DROP VIEW items_found_by;

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

CREATE TABLE members_anew (
  entry    INTEGER NOT NULL REFERENCES entries (nr),
  position INTEGER NOT NULL,
  asked    TEXT NOT NULL,
  state    TEXT NOT NULL CHECK (state IN ('shown', 'absent', 'hidden')),
  item     INTEGER NOT NULL REFERENCES items (nr),
  PRIMARY KEY (entry, position)
) STRICT, WITHOUT ROWID;

INSERT INTO members_anew
SELECT entry, position, coalesce(asked, (SELECT id FROM items WHERE nr = item)), state, item FROM members;
DROP TABLE members;
ALTER TABLE members_anew RENAME TO members;
CREATE INDEX members_by_item ON members (item, entry, state);
