-- The seal log, one for the ledger. Its project_id is '', which is no project's slug: so its nodes,
-- checkpoints and Tracking lie in the tables of the projects' logs.
CREATE TABLE seal_log (
  project_id text COLLATE "C" PRIMARY KEY CHECK (project_id = ''),
  origin text COLLATE "C" NOT NULL,             -- the ledger's host
  size bigint NOT NULL DEFAULT 0 CHECK (size >= 0),
  frontier bytea NOT NULL DEFAULT ''
) WITH (fillfactor = 50);                       -- updated by every seal, in place

-- The public halves of the keys that seal; the last one seals now. No secret is ever here.
CREATE TABLE seal_key (
  ordinal int PRIMARY KEY,
  spki bytea NOT NULL UNIQUE CHECK (octet_length(spki) = 91)
);

-- Its leaves: seals of exports, and changes of keys.
CREATE TABLE seal_entry (
  project_id text COLLATE "C" NOT NULL CHECK (project_id = ''),
  position bigint NOT NULL CHECK (position > 0),  -- the leaf's index, and one
  line bytea NOT NULL CHECK (octet_length(line) < 65536),  -- the leaf's data
  leaf bytea NOT NULL CHECK (octet_length(leaf) = 32),
  statement bytea NOT NULL,
  statement_sha256 bytea NOT NULL CHECK (octet_length(statement_sha256) = 32),
  signature bytea NOT NULL,
  key_ordinal int NOT NULL REFERENCES seal_key,
  sidecar bytea NOT NULL,                       -- as it is handed out
  of_project text COLLATE "C",                  -- which export was sealed; NULL: a change of keys
  of_position bigint,
  scope text COLLATE "C",
  PRIMARY KEY (project_id, position),
  UNIQUE (project_id, statement_sha256, key_ordinal)
);
ALTER TABLE seal_entry ALTER statement SET STORAGE EXTERNAL;
CREATE INDEX seal_entry_of ON seal_entry (of_project, of_position, scope);

CREATE TRIGGER refuse_row BEFORE UPDATE OR DELETE ON seal_entry FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON seal_entry EXECUTE FUNCTION refuse();
ALTER TABLE seal_entry ENABLE ALWAYS TRIGGER refuse_row, ENABLE ALWAYS TRIGGER refuse_truncate;
CREATE TRIGGER refuse_row BEFORE UPDATE OR DELETE ON seal_key FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON seal_key EXECUTE FUNCTION refuse();
ALTER TABLE seal_key ENABLE ALWAYS TRIGGER refuse_row, ENABLE ALWAYS TRIGGER refuse_truncate;
GRANT SELECT, INSERT, UPDATE ON seal_log TO deedbook_service;
GRANT SELECT, INSERT ON seal_key, seal_entry TO deedbook_service;

-- As before, and the leaves of the seal log lie in its entries.
CREATE OR REPLACE FUNCTION tree_runs(
  of_project text, levels bigint[], firsts bigint[], stops bigint[]  -- a stop is behind the last
) RETURNS bytea[]
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
AS $$
DECLARE
  runs bytea[] := '{}';
  run bytea;
BEGIN
  FOR at IN 1 .. cardinality(levels) LOOP
    IF levels[at] > 0 THEN
      SELECT string_agg(hash, ''::bytea ORDER BY index) INTO run FROM tree_node
      WHERE project_id = of_project AND level = levels[at]::smallint
        AND index BETWEEN firsts[at] AND stops[at] - 1;
    ELSIF of_project = '' THEN
      SELECT string_agg(leaf, ''::bytea ORDER BY position) INTO run FROM seal_entry
      WHERE project_id = '' AND position BETWEEN firsts[at] + 1 AND stops[at];
    ELSE
      SELECT string_agg(leaf, ''::bytea ORDER BY position) INTO run FROM event
      WHERE project_id = of_project AND position BETWEEN firsts[at] + 1 AND stops[at];
    END IF;
    runs := array_append(runs, coalesce(run, ''::bytea));
  END LOOP;
  RETURN runs;
END $$;
