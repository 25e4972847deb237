-- What witnesses said of checkpoints. A cosignature is a line of the checkpoint's note, kept for ever; the
-- first one of a witness for a size is enough.
CREATE TABLE cosignature (
  project_id text COLLATE "C" NOT NULL,
  size bigint NOT NULL,                         -- of the checkpoint
  witness text COLLATE "C" NOT NULL,            -- its verifier key
  line text COLLATE "C" NOT NULL,               -- the signature line, with its newline
  PRIMARY KEY (project_id, size, witness)
);

-- How far a witness is, as far as we know, and how it goes with it. Losing this costs a question.
CREATE TABLE witness_state (
  project_id text COLLATE "C" NOT NULL,
  witness text COLLATE "C" NOT NULL,
  size bigint NOT NULL,                         -- that the witness had, when it last said so
  asked_at timestamptz NOT NULL,
  retry_at timestamptz NOT NULL,                -- not asked before
  failures int NOT NULL,                        -- since it last cosigned
  problem text,                                 -- what went wrong the last time; null: nothing
  PRIMARY KEY (project_id, witness)
);

-- When a log's witnesses are asked again: all about one checkpoint, by one process.
CREATE TABLE witness_round (
  project_id text COLLATE "C" NOT NULL PRIMARY KEY,
  due_at timestamptz NOT NULL
);

-- A witness contradicts the log. Nothing of that log is signed while an alarm is not cleared.
CREATE TABLE witness_alarm (
  project_id text COLLATE "C" NOT NULL,
  ordinal int NOT NULL,
  raised_at timestamptz NOT NULL,
  witness text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL CHECK (kind IN ('not-consistent', 'rolled-back')),
  old_size bigint NOT NULL,                     -- what the witness has
  size bigint NOT NULL,                         -- of the checkpoint that was sent
  note text COLLATE "C" NOT NULL,               -- and the checkpoint itself
  PRIMARY KEY (project_id, ordinal)
);

-- An operator has looked into it. The service may not write here.
CREATE TABLE witness_alarm_cleared (
  project_id text COLLATE "C" NOT NULL,
  ordinal int NOT NULL,
  cleared_at timestamptz NOT NULL,
  reason text NOT NULL CHECK (reason <> ''),
  PRIMARY KEY (project_id, ordinal)
);

CREATE TRIGGER refuse_row BEFORE UPDATE OR DELETE ON cosignature FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON cosignature EXECUTE FUNCTION refuse();
ALTER TABLE cosignature ENABLE ALWAYS TRIGGER refuse_row, ENABLE ALWAYS TRIGGER refuse_truncate;
CREATE TRIGGER refuse_row BEFORE UPDATE OR DELETE ON witness_alarm FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON witness_alarm EXECUTE FUNCTION refuse();
ALTER TABLE witness_alarm ENABLE ALWAYS TRIGGER refuse_row, ENABLE ALWAYS TRIGGER refuse_truncate;
CREATE TRIGGER refuse_row BEFORE UPDATE OR DELETE ON witness_alarm_cleared
  FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON witness_alarm_cleared EXECUTE FUNCTION refuse();
ALTER TABLE witness_alarm_cleared ENABLE ALWAYS TRIGGER refuse_row, ENABLE ALWAYS TRIGGER refuse_truncate;

GRANT SELECT, INSERT ON cosignature, witness_alarm TO deedbook_service;
GRANT SELECT, INSERT, UPDATE ON witness_state, witness_round TO deedbook_service;
GRANT SELECT ON witness_alarm_cleared TO deedbook_service;
