CREATE TRIGGER items_fts_insert AFTER INSERT ON items BEGIN
  INSERT INTO items_fts (rowid, title, words, kind)
  SELECT nr, title, words, kind FROM items_found_by WHERE nr = new.nr;
END;

CREATE TABLE members_anew (
  entry    INTEGER NOT NULL REFERENCES entries (nr),
  position INTEGER NOT NULL,
  asked    TEXT,
  state    TEXT NOT NULL CHECK (state IN ('shown', 'absent', 'hidden')),
  item     INTEGER NOT NULL REFERENCES items (nr),
  PRIMARY KEY (entry, position)
) STRICT, WITHOUT ROWID;

INSERT INTO members_anew SELECT entry, position, asked, coalesce(state, 'shown'), item FROM members;
DROP TABLE members;
ALTER TABLE members_anew RENAME TO members;
CREATE INDEX members_by_item ON members (item, entry, state);
