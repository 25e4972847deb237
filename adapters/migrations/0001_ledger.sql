-- The whole schema of a ledger. Every primary and unique key starts with project_id, so that the
-- same tables spread over a distributed Postgres by project; ledger-wide tables are named as such.

-- Ledger-wide: one row of facts that never change, and the tokens.
CREATE TABLE ledger (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  host text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE token (
  token_id uuid PRIMARY KEY,
  token_sha256 bytea NOT NULL UNIQUE CHECK (octet_length(token_sha256) = 32),
  name text NOT NULL,
  last_four text NOT NULL,
  scopes text[] NOT NULL,
  projects text[],                              -- NULL: every project
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  last_used_at timestamptz
);

-- The log.
CREATE TABLE project_log (
  project_id text COLLATE "C" PRIMARY KEY,
  origin text NOT NULL,
  size bigint NOT NULL DEFAULT 0,
  frontier bytea NOT NULL DEFAULT '',
  last_time timestamptz NOT NULL DEFAULT 'epoch'
) WITH (fillfactor = 50);                       -- updated by every append, in place

CREATE TABLE event (
  project_id text COLLATE "C" NOT NULL,
  position bigint NOT NULL,
  stream text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  type text COLLATE "C" NOT NULL,
  id uuid NOT NULL,
  actor text COLLATE "C" NOT NULL,
  time timestamptz NOT NULL,
  line bytea NOT NULL CHECK (octet_length(line) < 65536),
  leaf bytea NOT NULL CHECK (octet_length(leaf) = 32),
  PRIMARY KEY (project_id, position),
  UNIQUE (project_id, stream, version),
  UNIQUE (project_id, id)
);

CREATE TABLE blob (
  project_id text COLLATE "C" NOT NULL,
  sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
  size_bytes bigint NOT NULL,
  crc32 bigint NOT NULL,                        -- of the plain content; overflows a signed integer
  encoding smallint NOT NULL DEFAULT 0,         -- 0: as it is
  content bytea NOT NULL,
  PRIMARY KEY (project_id, sha256)
);
ALTER TABLE blob ALTER content SET STORAGE EXTERNAL;  -- slices must not be decompressed from the start

CREATE UNLOGGED TABLE upload (                  -- contents on their way; a crash empties it, the upload is repeated
  project_id text COLLATE "C" NOT NULL,
  sha256 bytea NOT NULL,
  size_bytes bigint NOT NULL,
  crc32 bigint NOT NULL,
  content bytea NOT NULL,
  uploaded_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project_id, sha256)
);
ALTER TABLE upload ALTER content SET STORAGE EXTERNAL;

CREATE TABLE idempotency (
  project_id text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  request_sha256 bytea NOT NULL,
  position bigint NOT NULL,
  count int NOT NULL,
  PRIMARY KEY (project_id, key)
);

CREATE TABLE tracking (
  project_id text COLLATE "C" NOT NULL,
  projection text COLLATE "C" NOT NULL,
  position bigint NOT NULL,
  PRIMARY KEY (project_id, projection)
);

-- Core views: written in the append transaction, rebuilt by the same folds. Rows are only ever added
-- (artifact_latest apart), so a read at a position is a filter.
CREATE TABLE project_view (
  project_id text COLLATE "C" NOT NULL,
  position bigint NOT NULL,
  title text,
  description text,
  PRIMARY KEY (project_id, position)
);

CREATE TABLE artifact_version (
  project_id text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  position bigint NOT NULL,
  sha256 bytea NOT NULL,
  size_bytes bigint NOT NULL,
  media_type text NOT NULL,
  title text,
  actor text NOT NULL,
  time timestamptz NOT NULL,
  citations int NOT NULL,
  PRIMARY KEY (project_id, kind, key, version)
);

CREATE TABLE artifact_latest (
  project_id text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  PRIMARY KEY (project_id, kind, key)
) WITH (fillfactor = 80);

CREATE TABLE citation (
  project_id text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  index int NOT NULL,
  position bigint NOT NULL,
  url text NOT NULL,
  citation bytea NOT NULL,                      -- canonical JSON of the whole citation
  PRIMARY KEY (project_id, kind, key, version, index)
);

CREATE TABLE run_change (
  project_id text COLLATE "C" NOT NULL,
  run_id text COLLATE "C" NOT NULL,
  position bigint NOT NULL,
  version bigint NOT NULL,
  phase text NOT NULL,
  title text,                                   -- of the first row of a run
  time timestamptz NOT NULL,
  PRIMARY KEY (project_id, run_id, position)
);

CREATE TABLE erasure (
  project_id text COLLATE "C" NOT NULL,
  position bigint NOT NULL,
  artifact text COLLATE "C" NOT NULL,
  artifact_version bigint NOT NULL,
  sha256 bytea NOT NULL,
  PRIMARY KEY (project_id, position),
  UNIQUE (project_id, sha256, artifact, artifact_version)
);

-- Exports: the export row and its manifest are the record for audit, the rows per file a cache.
CREATE TABLE export (
  project_id text COLLATE "C" NOT NULL,
  position bigint NOT NULL,
  scope text COLLATE "C" NOT NULL,
  format_version int NOT NULL,
  folder text COLLATE "C" NOT NULL,
  entries bigint NOT NULL,
  zip_size_bytes bigint NOT NULL,
  manifest_sha256 bytea NOT NULL,
  layout_id bytea NOT NULL,
  zip_sha256 bytea,                             -- known after the first whole pass
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project_id, position, scope, format_version)
);

CREATE TABLE export_file (
  project_id text COLLATE "C" NOT NULL,
  position bigint NOT NULL,
  scope text COLLATE "C" NOT NULL,
  format_version int NOT NULL,
  ordinal bigint NOT NULL,
  path text COLLATE "C" NOT NULL,
  size_bytes bigint NOT NULL,
  crc32 bigint NOT NULL,
  sha256 bytea NOT NULL,
  source smallint NOT NULL,                     -- 0 blob, 1 kept here, 2 events, 3 leaves
  content bytea,
  zip_offset bigint NOT NULL,
  PRIMARY KEY (project_id, position, scope, format_version, ordinal)
);
ALTER TABLE export_file ALTER content SET STORAGE EXTERNAL;

-- Append-only, even for the owner and for a replica role.
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the % table is append-only: % is refused', TG_TABLE_NAME, TG_OP
    USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER refuse_row BEFORE UPDATE OR DELETE ON event FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON event EXECUTE FUNCTION refuse();
ALTER TABLE event ENABLE ALWAYS TRIGGER refuse_row, ENABLE ALWAYS TRIGGER refuse_truncate;

-- The service's role: what it needs and no more.
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'deedbook_service') THEN
    CREATE ROLE deedbook_service NOLOGIN;
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
  NULL;                                         -- another database of this server made it meanwhile
END $$;
GRANT SELECT, INSERT ON ledger, event, idempotency, project_view, artifact_version, citation,
  run_change, erasure TO deedbook_service;
GRANT SELECT, INSERT, UPDATE ON project_log, artifact_latest, tracking, token, export TO deedbook_service;
GRANT SELECT, INSERT, DELETE ON blob, upload, export_file TO deedbook_service;
GRANT UPDATE ON upload TO deedbook_service;
