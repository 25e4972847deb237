-- Text still being written. No part of the log: what becomes of a draft that is committed is an ordinary
-- event. The text is here, so that any process shows it to any reader.
CREATE TABLE draft (
  project_id text COLLATE "C" NOT NULL,
  draft_id uuid NOT NULL,
  kind text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  media_type text NOT NULL,
  title text,
  actor text NOT NULL,
  state text NOT NULL CHECK (state IN ('open', 'committing', 'committed', 'discarded')),
  size_bytes bigint NOT NULL DEFAULT 0,
  unfinished bytea NOT NULL DEFAULT '',         -- of a character at the end that is not whole yet
  event_id uuid NOT NULL,                       -- of the event of its commit: a repeat records it once
  sha256 bytea,                                 -- of the text, from the commit on
  version bigint,                               -- of the artifact, once committed
  opened_at timestamptz NOT NULL DEFAULT now(),
  changed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project_id, draft_id)
);
CREATE UNIQUE INDEX draft_open ON draft (project_id, kind, key) WHERE state IN ('open', 'committing');
CREATE INDEX draft_changed ON draft (changed_at);  -- the sweep looks for the oldest of all projects
GRANT SELECT, INSERT, UPDATE, DELETE ON draft TO deedbook_service;

CREATE TABLE draft_text (
  project_id text COLLATE "C" NOT NULL,
  draft_id uuid NOT NULL,
  start_byte bigint NOT NULL,
  piece bytea NOT NULL,
  PRIMARY KEY (project_id, draft_id, start_byte)
);
GRANT SELECT, INSERT, DELETE ON draft_text TO deedbook_service;

-- Whoever closes a draft need not think of its text.
CREATE FUNCTION forget_draft_text() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM draft_text WHERE project_id = NEW.project_id AND draft_id = NEW.draft_id;
  RETURN NULL;
END $$;
CREATE TRIGGER forget AFTER UPDATE ON draft FOR EACH ROW
  WHEN (NEW.state IN ('committed', 'discarded')) EXECUTE FUNCTION forget_draft_text();
