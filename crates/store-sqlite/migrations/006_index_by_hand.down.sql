CREATE TRIGGER items_fts_insert AFTER INSERT ON items BEGIN
  INSERT INTO items_fts (rowid, title, words, kind)
  SELECT nr, title, words, kind FROM items_found_by WHERE nr = new.nr;
END;
