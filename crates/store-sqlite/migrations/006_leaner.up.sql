-- Before a trigger's work FTS5 writes down what it gathered, so that every new item became a segment of its
-- own. Whoever puts an item now enters it in the index.
DROP TRIGGER items_fts_insert;

-- Nearly every member is shown.
CREATE TABLE members_anew (
  entry    INTEGER NOT NULL REFERENCES entries (nr),
  position INTEGER NOT NULL,
  -- NULL = by its item's identity.
  asked    TEXT,
  -- NULL = shown.
  state    TEXT CHECK (state IN ('absent', 'hidden')),
  item     INTEGER NOT NULL REFERENCES items (nr),
  PRIMARY KEY (entry, position)
) STRICT, WITHOUT ROWID;

INSERT INTO members_anew SELECT entry, position, asked, nullif(state, 'shown'), item FROM members;
DROP TABLE members;
ALTER TABLE members_anew RENAME TO members;
CREATE INDEX members_by_item ON members (item, entry, state);
