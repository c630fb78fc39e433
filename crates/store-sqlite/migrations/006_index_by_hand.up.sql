-- Before a trigger's work FTS5 writes down what it gathered, so that every new item became a segment of its
-- own. Whoever puts an item now enters it in the index.
DROP TRIGGER items_fts_insert;
