-- The first schema. Everything is named with its schema, since nobody's search_path is relied on.
-- Text sorts and compares by bytes (`COLLATE "C"`), as in every other store.

-- One row: the store's life (`epoch`), how far the feed was swept, and the highest version among
-- removed entries (a new row goes on from there, so that an ETag never names two different things).
CREATE TABLE larder.meta (
  one           boolean PRIMARY KEY CHECK (one),
  epoch         bigint NOT NULL,
  feed_swept    bigint NOT NULL,
  version_floor bigint NOT NULL,
  views         text NOT NULL,
  view_names    jsonb NOT NULL,
  -- When a sweep last began: many processes may think of one.
  swept_at      timestamptz
);

-- 53 bits, so that the number survives a JSON reader that knows doubles alone.
INSERT INTO larder.meta VALUES (true, floor(random() * 9007199254740991)::bigint, 0, 0, '', '[]');

-- By which transaction this row was written, in which it says so itself: whatever brings it from a copy writes it
-- in another, and so a restored store is told from what it is a copy of (see life.rs). But servers that are set up
-- alike begin to count transactions alike, and one that is restored at once may have the same number: the table's
-- own is a second witness, for a restore makes the tables in another order. By its name it comes last of all tables
-- into a restored database.
CREATE TABLE larder.written (
  one      boolean PRIMARY KEY CHECK (one),
  by       xid NOT NULL,
  in_table oid NOT NULL
);

INSERT INTO larder.written VALUES (true, pg_current_xact_id()::xid, 'larder.written'::regclass);

-- The number that orders leases, invalidations and the feed. Whoever takes one need not wait for
-- others; lines of the feed take theirs under a lock that is held until they are committed.
CREATE SEQUENCE larder.sequence AS bigint;

CREATE TABLE larder.entries (
  nr                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  key                text COLLATE "C" NOT NULL UNIQUE,
  source             text COLLATE "C" NOT NULL,
  definition         text COLLATE "C" NOT NULL,
  tried              text COLLATE "C" NOT NULL,
  body               jsonb,
  validators         jsonb NOT NULL,
  cursor             text,
  complete           boolean NOT NULL,
  pending            jsonb NOT NULL,
  warnings           jsonb NOT NULL,
  version            bigint NOT NULL,
  began              bigint NOT NULL,
  invalidated        bigint NOT NULL,
  fetched_at         timestamptz,
  absent_at          timestamptz,
  fresh_until        timestamptz,
  due_at             timestamptz NOT NULL,
  -- The number at which a trigger asked for a refresh; 0 = none did.
  marked             bigint NOT NULL,
  marked_by          text,
  attempts           bigint NOT NULL,
  faults             bigint NOT NULL,
  last_error         jsonb,
  lease_owner        text COLLATE "C",
  lease_until        timestamptz,
  -- In milliseconds.
  lease_length       bigint,
  lease_epoch        bigint,
  lease_seq          bigint,
  touched_at         timestamptz NOT NULL,
  unconfigured_since timestamptz,
  -- Of the members as they were last written; NULL = not known.
  members_digest     uuid
) WITH (fillfactor = 70);

CREATE INDEX entries_by_source ON larder.entries (source);
CREATE INDEX entries_due ON larder.entries (due_at)
  WHERE marked > 0 OR attempts > 0 OR pending <> '[]'::jsonb;
CREATE INDEX entries_leased ON larder.entries (lease_seq) WHERE lease_seq IS NOT NULL;

-- Items in three tables, by how often what is in them changes. A refresh that brings nothing new writes
-- the first alone, whose rows are small, have no index on what changes and room beside them for their
-- next version; one that brings other documents leaves the words and their index alone.
CREATE SEQUENCE larder.item_numbers AS bigint;

CREATE TABLE larder.items (
  nr           bigint PRIMARY KEY,
  kind         text COLLATE "C" NOT NULL,
  id           text COLLATE "C" NOT NULL,
  scope        text COLLATE "C" NOT NULL,
  fetched_at   timestamptz NOT NULL,
  -- Of two answers about one item the one that was asked for later stands: the number at which the
  -- fetch that brought it began, 0 = before any.
  began        bigint NOT NULL,
  -- Of scope and document, and of title and words, as they were last sent: who brings the same need not
  -- send them again. NULL = not known.
  doc_digest   uuid,
  words_digest uuid,
  derived      jsonb,
  UNIQUE (id, kind)
) WITH (fillfactor = 45);

-- Kind and identity stand here too, for the indexes that lists walk (see views.rs).
CREATE TABLE larder.docs (
  nr   bigint PRIMARY KEY,
  kind text COLLATE "C" NOT NULL,
  id   text COLLATE "C" NOT NULL,
  doc  jsonb NOT NULL
);

CREATE TABLE larder.words (
  nr     bigint PRIMARY KEY,
  kind   text COLLATE "C" NOT NULL,
  title  text NOT NULL,
  search text NOT NULL,
  -- What title and search say, cut into words by Larder itself, so that every store finds the same.
  words  tsvector NOT NULL
);

-- What a commit brings waits in a list beside the index; a sweep sorts it in.
CREATE INDEX words_by_words ON larder.words USING gin (words) WITH (gin_pending_list_limit = 16384);

-- No foreign keys: a commit of ten thousand members would look every one of them up once more.
-- Items that members name are locked while they are (see commit.rs), which keeps the same promise.
CREATE TABLE larder.members (
  entry    bigint NOT NULL,
  position bigint NOT NULL,
  asked    text COLLATE "C" NOT NULL,
  state    text COLLATE "C" NOT NULL CHECK (state IN ('shown', 'absent', 'hidden')),
  item     bigint NOT NULL,
  PRIMARY KEY (entry, position)
);

CREATE INDEX members_by_item ON larder.members (item, entry);

CREATE TABLE larder.tags (
  entry bigint NOT NULL,
  tag   text COLLATE "C" NOT NULL,
  PRIMARY KEY (entry, tag)
);

CREATE INDEX tags_by_tag ON larder.tags (tag, entry);

-- What was invalidated as a whole: one row, however many entries it means.
CREATE TABLE larder.markers (
  about text COLLATE "C" NOT NULL CHECK (about IN ('tag', 'source', 'all')),
  name  text COLLATE "C" NOT NULL,
  seq   bigint NOT NULL,
  at    timestamptz NOT NULL,
  PRIMARY KEY (about, name)
);

CREATE TABLE larder.changes (
  seq     bigint PRIMARY KEY,
  about   text COLLATE "C" NOT NULL CHECK (about IN ('entry', 'tag', 'source', 'all')),
  name    text COLLATE "C" NOT NULL,
  what    text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  at      timestamptz NOT NULL
);

CREATE TABLE larder.refresh_log (
  nr            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  key           text COLLATE "C" NOT NULL,
  triggered_by  text COLLATE "C" NOT NULL,
  started_at    timestamptz NOT NULL,
  duration_ms   bigint NOT NULL,
  outcome       text COLLATE "C" NOT NULL,
  items_seen    bigint NOT NULL,
  items_added   bigint NOT NULL,
  items_changed bigint NOT NULL,
  items_removed bigint NOT NULL,
  calls         bigint NOT NULL,
  cost          bigint NOT NULL,
  error         text
);

CREATE INDEX refresh_log_by_key ON larder.refresh_log (key, nr);
CREATE INDEX refresh_log_by_time ON larder.refresh_log (started_at);

CREATE TABLE larder.budgets (
  host          text COLLATE "C" NOT NULL,
  actor         text COLLATE "C" NOT NULL,
  resource      text COLLATE "C" NOT NULL,
  points_limit  bigint,
  remaining     bigint,
  reset_at      timestamptz,
  blocked_until timestamptz,
  minute_start  timestamptz NOT NULL,
  minute_points bigint NOT NULL,
  PRIMARY KEY (host, actor, resource)
);

CREATE TABLE larder.reservations (
  nr       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  host     text COLLATE "C" NOT NULL,
  actor    text COLLATE "C" NOT NULL,
  resource text COLLATE "C" NOT NULL,
  points   bigint NOT NULL,
  owner    text COLLATE "C" NOT NULL,
  taken_at timestamptz NOT NULL,
  until    timestamptz NOT NULL
);

CREATE INDEX reservations_by_resource ON larder.reservations (host, actor, resource);

CREATE TABLE larder.actors (
  host       text COLLATE "C" NOT NULL,
  credential text COLLATE "C" NOT NULL,
  actor      text COLLATE "C" NOT NULL,
  PRIMARY KEY (host, credential)
);

-- A text as an instant, for the views: one that is none is NULL, never an error. What the pattern lets pass
-- can be cast, since to catch an error is a transaction within the transaction, which parallel workers may not
-- begin. The offset is part of the text, so that the session's time zone decides nothing; and there is no
-- backslash, which some sessions read otherwise.
CREATE FUNCTION larder.instant(said text) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  IF said ~ ('^([0-9]{4}-((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)'
      || '|([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)-02-29)'
      || '[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]([.][0-9]{1,9})?|60)'
      || '([Zz]|[+-](0[0-9]|1[0-5]):[0-5][0-9])$')
    -- Before the year 1 it writes years otherwise.
    AND left(said, 4) <> '0000' THEN
    RETURN said::timestamptz;
  END IF;
  RETURN NULL;
END
$$;

-- A JSON number as a whole one; what is none, or too large, is NULL.
CREATE FUNCTION larder.whole(said jsonb) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT CASE WHEN jsonb_typeof(said) = 'number'
    AND said::numeric BETWEEN -9223372036854775808 AND 9223372036854775807
    THEN trunc(said::numeric)::bigint END
$$;

-- A JSON array's texts; what is no array is NULL.
CREATE FUNCTION larder.texts(said jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT CASE WHEN jsonb_typeof(said) = 'array'
    THEN ARRAY(SELECT jsonb_array_elements_text(said)) END
$$;

-- The entries as people read them, with what the markers say of them.
CREATE VIEW larder.cache AS
SELECT
  e.key, e.source, e.version, e.complete, e.attempts,
  greatest(e.invalidated, k.seq) > e.began AS invalidated,
  date_trunc('second', e.fetched_at) AS fetched_at,
  date_trunc('second', e.fresh_until) AS fresh_until,
  date_trunc('second', CASE WHEN k.seq > e.invalidated THEN least(e.due_at, k.at) ELSE e.due_at END) AS due_at,
  e.last_error ->> 'message' AS last_error,
  e.warnings, e.body
FROM larder.entries e LEFT JOIN LATERAL (
  SELECT m.seq, m.at FROM larder.markers m WHERE m.about = 'all' AND m.name = ''
  UNION ALL
  SELECT m.seq, m.at FROM larder.markers m WHERE m.about = 'source' AND m.name = e.source
  UNION ALL
  SELECT m.seq, m.at FROM larder.tags t JOIN larder.markers m ON m.about = 'tag' AND m.name = t.tag
  WHERE t.entry = e.nr
  ORDER BY seq DESC LIMIT 1
) k ON true;
