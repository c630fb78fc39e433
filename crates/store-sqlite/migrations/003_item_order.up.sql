-- Of two answers about one item the one that was asked for later stands. Clocks are set back; the
-- sequence is not: the number at which the fetch that brought it began, 0 = before any.
ALTER TABLE items ADD COLUMN began INTEGER NOT NULL DEFAULT 0;
