-- What a list shows of an entry's members, ready made by whoever listed them. The version says whether it
-- still is what they show.
CREATE TABLE sheets (
  entry   INTEGER PRIMARY KEY REFERENCES entries (nr),
  version INTEGER NOT NULL,
  form    TEXT NOT NULL,
  text    TEXT NOT NULL
) STRICT;
