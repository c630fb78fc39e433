-- What a search finds an item by is said by its document: nothing else says it once more. The views'
-- specs decide which of its fields those are, so the view of them is made with the others; until then
-- nothing is found by anything.

DROP TRIGGER items_fts_insert;
DROP TRIGGER items_fts_delete;
DROP TRIGGER items_fts_update;
DROP TABLE items_fts;
ALTER TABLE items DROP COLUMN search;
ALTER TABLE items DROP COLUMN title;

CREATE VIEW items_found_by AS SELECT nr, '' AS title, '' AS words, kind FROM items;

-- Full text over what that view says. The kind is in it so that a search for what very many items of
-- another kind have does not look at those. Only beginnings of two letters have lists of their own: there
-- are few words that begin with the same three.
CREATE VIRTUAL TABLE items_fts USING fts5 (
  title, words, kind, content = 'items_found_by', content_rowid = 'nr', prefix = '2',
  tokenize = 'unicode61 remove_diacritics 2'
);

CREATE TRIGGER items_fts_insert AFTER INSERT ON items BEGIN
  INSERT INTO items_fts (rowid, title, words, kind)
  SELECT nr, title, words, kind FROM items_found_by WHERE nr = new.nr;
END;

CREATE TRIGGER items_fts_delete BEFORE DELETE ON items BEGIN
  INSERT INTO items_fts (items_fts, rowid, title, words, kind)
  SELECT 'delete', nr, title, words, kind FROM items_found_by WHERE nr = old.nr;
END;

-- Nearly every member is asked for by its item's own identity, which then is not written twice.
CREATE TABLE members_anew (
  entry    INTEGER NOT NULL REFERENCES entries (nr),
  position INTEGER NOT NULL,
  -- NULL = by its item's identity.
  asked    TEXT,
  state    TEXT NOT NULL CHECK (state IN ('shown', 'absent', 'hidden')),
  item     INTEGER NOT NULL REFERENCES items (nr),
  PRIMARY KEY (entry, position)
) STRICT, WITHOUT ROWID;

INSERT INTO members_anew
SELECT entry, position, nullif(asked, (SELECT id FROM items WHERE nr = item)), state, item FROM members;
DROP TABLE members;
ALTER TABLE members_anew RENAME TO members;
CREATE INDEX members_by_item ON members (item, entry, state);
