-- The search index: derived from the log, and made again from it by `deedbook search reindex`. Nothing here
-- is evidence, and no append waits for it.

-- How far a backend's index has taken note of a log, and how many chunks it holds of it.
CREATE TABLE search_project (
  project_id text COLLATE "C" NOT NULL,
  backend text COLLATE "C" NOT NULL,            -- local, upstash
  position bigint NOT NULL DEFAULT 0,
  chunks bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (project_id, backend)
);

-- What the index of a backend should hold of each source: a desired state, not a queue. A position is that
-- of the newest event that concerns the source: of its own stream, or of the erasure of a content of it.
CREATE TABLE search_state (
  project_id text COLLATE "C" NOT NULL,
  backend text COLLATE "C" NOT NULL,
  source text COLLATE "C" NOT NULL,             -- a stream: artifact/{kind}/{key}, run/{id}
  wanted bigint NOT NULL,
  indexed bigint NOT NULL DEFAULT 0,            -- 0: nothing is
  state text NOT NULL CHECK (state IN ('pending', 'synced', 'failed')),
  chunks int NOT NULL DEFAULT 0,
  cut boolean NOT NULL DEFAULT false,           -- it has more chunks than are indexed
  model text,                                   -- whose vectors the chunks have
  attempts int NOT NULL DEFAULT 0,
  due_at timestamptz NOT NULL,
  lease uuid,
  leased_until timestamptz,
  problem text,
  PRIMARY KEY (project_id, backend, source)
);
CREATE INDEX search_state_due ON search_state (backend, due_at) WHERE state = 'pending';
CREATE INDEX search_state_behind ON search_state (project_id, backend, wanted) WHERE state <> 'synced';
CREATE INDEX search_state_without_vectors ON search_state (backend, project_id, indexed DESC)
  WHERE state = 'synced' AND model IS NULL AND chunks > 0;

CREATE TABLE search_chunk (
  project_id text COLLATE "C" NOT NULL,
  chunk_id bigint GENERATED ALWAYS AS IDENTITY,
  source text COLLATE "C" NOT NULL,
  ordinal int NOT NULL,
  position bigint NOT NULL,                     -- as the source was at this position,
  version bigint NOT NULL,                      -- when its stream had this version
  kind text COLLATE "C" NOT NULL,
  heading text[] NOT NULL,                      -- the way to it, the title first
  body text NOT NULL,
  first int NOT NULL,                           -- characters of the stored text, from the first to before the stop
  stop int NOT NULL,
  PRIMARY KEY (project_id, chunk_id),
  UNIQUE (project_id, source, ordinal)
);

CREATE TABLE search_posting (
  project_id text COLLATE "C" NOT NULL,
  term int NOT NULL,                            -- 31 bits of BLAKE2b
  chunk_id bigint NOT NULL,
  weight real NOT NULL,
  PRIMARY KEY (project_id, term, chunk_id) INCLUDE (weight)
);
CREATE INDEX search_posting_chunk ON search_posting (project_id, chunk_id);

-- Messages of the queue whose work is done: a signature is good once.
CREATE TABLE search_job (
  id text COLLATE "C" PRIMARY KEY,
  until timestamptz NOT NULL                    -- then it has expired anyway
);
CREATE INDEX search_job_until ON search_job (until);

GRANT SELECT, INSERT, UPDATE, DELETE ON search_project, search_state, search_chunk, search_posting, search_job
  TO deedbook_service;

-- What an index holds of sources is gone; the table of vectors is there only where pgvector is.
CREATE FUNCTION search_forget(of_project text, sources text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  gone bigint[];
BEGIN
  gone := ARRAY(SELECT chunk_id FROM search_chunk WHERE project_id = of_project AND source = ANY (sources));
  IF cardinality(gone) = 0 THEN
    RETURN;
  END IF;
  IF to_regclass('search_embedding') IS NOT NULL THEN
    DELETE FROM search_embedding WHERE project_id = of_project AND chunk_id = ANY (gone);
  END IF;
  DELETE FROM search_posting WHERE project_id = of_project AND chunk_id = ANY (gone);
  DELETE FROM search_chunk WHERE project_id = of_project AND chunk_id = ANY (gone);
END $$;
REVOKE ALL ON FUNCTION search_forget FROM PUBLIC;
GRANT EXECUTE ON FUNCTION search_forget TO deedbook_service;
