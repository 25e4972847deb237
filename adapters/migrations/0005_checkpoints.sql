-- Nodes of the tree above its leaves, at every fourth height: level 1 are the roots of 16 leaves each,
-- level 2 of 256, and so on, as soon as such a subtree is full. Written by whoever signs checkpoints, never
-- by an append; how far they reach is the Tracking `checkpoint`. The leaves lie in the event rows.
CREATE TABLE tree_node (
  project_id text COLLATE "C" NOT NULL,
  level smallint NOT NULL CHECK (level BETWEEN 1 AND 15),
  index bigint NOT NULL CHECK (index >= 0),
  hash bytea NOT NULL CHECK (octet_length(hash) = 32),
  PRIMARY KEY (project_id, level, index)
);

-- What was signed: of one size there is one root, for ever.
CREATE TABLE checkpoint (
  project_id text COLLATE "C" NOT NULL,
  size bigint NOT NULL CHECK (size > 0),
  root bytea NOT NULL CHECK (octet_length(root) = 32),
  note text COLLATE "C" NOT NULL,               -- the signed note, as it is handed out
  ordinal bigint NOT NULL,                      -- 1, 2, 3 …, so that one taken out leaves a gap
  PRIMARY KEY (project_id, size),
  UNIQUE (project_id, ordinal)
);

-- The public halves of the keys that sign checkpoints; the last one signs now. No secret is ever here.
CREATE TABLE log_key (
  ordinal int PRIMARY KEY,
  ed25519 bytea NOT NULL UNIQUE CHECK (octet_length(ed25519) = 32)
);

CREATE TRIGGER refuse_row BEFORE UPDATE OR DELETE ON checkpoint FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON checkpoint EXECUTE FUNCTION refuse();
ALTER TABLE checkpoint ENABLE ALWAYS TRIGGER refuse_row, ENABLE ALWAYS TRIGGER refuse_truncate;
CREATE TRIGGER refuse_row BEFORE UPDATE OR DELETE ON log_key FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON log_key EXECUTE FUNCTION refuse();
ALTER TABLE log_key ENABLE ALWAYS TRIGGER refuse_row, ENABLE ALWAYS TRIGGER refuse_truncate;
GRANT SELECT, INSERT ON tree_node, checkpoint, log_key TO deedbook_service;

-- Runs of nodes, each one behind the other, in one call. A plan is made once, since planning anew takes
-- longer than reading; so it must not read tables whole that were small then.
CREATE FUNCTION tree_runs(
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
    IF levels[at] = 0 THEN
      SELECT string_agg(leaf, ''::bytea ORDER BY position) INTO run FROM event
      WHERE project_id = of_project AND position BETWEEN firsts[at] + 1 AND stops[at];
    ELSE
      SELECT string_agg(hash, ''::bytea ORDER BY index) INTO run FROM tree_node
      WHERE project_id = of_project AND level = levels[at]::smallint
        AND index BETWEEN firsts[at] AND stops[at] - 1;
    END IF;
    runs := array_append(runs, coalesce(run, ''::bytea));
  END LOOP;
  RETURN runs;
END $$;
REVOKE ALL ON FUNCTION tree_runs FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tree_runs TO deedbook_service;
