-- Ledger-wide: whose identity tokens (OpenID Connect) are exchanged for a token of the ledger. An entry
-- is never changed; a removed one stays, since exchanges name it.
CREATE TABLE trusted_issuer (
  trust_id uuid PRIMARY KEY,
  name text NOT NULL,
  issuer text COLLATE "C" NOT NULL,
  audience text COLLATE "C" NOT NULL,
  claims jsonb NOT NULL,                        -- name → value; each of them must be equal
  projects text[] NOT NULL CHECK (cardinality(projects) > 0),
  scopes text[] NOT NULL CHECK (cardinality(scopes) > 0 AND 'admin' <> ALL (scopes)),
  lifetime_seconds int NOT NULL CHECK (lifetime_seconds BETWEEN 60 AND 3600),
  created_at timestamptz NOT NULL,
  created_by text NOT NULL,
  removed_at timestamptz
);
CREATE INDEX trusted_issuer_asked ON trusted_issuer (issuer, audience) WHERE removed_at IS NULL;
GRANT SELECT, INSERT ON trusted_issuer TO deedbook_service;
GRANT UPDATE (removed_at) ON trusted_issuer TO deedbook_service;

-- What was exchanged, and by whom: kept after its token is gone, so that an actor can be looked up.
CREATE TABLE token_exchange (
  ordinal bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  token_id uuid NOT NULL UNIQUE,
  exchanged_at timestamptz NOT NULL,
  identity text NOT NULL,                       -- the actor of its events
  project text COLLATE "C" NOT NULL,
  trust_ids uuid[] NOT NULL,                    -- the entries that gave it its scopes
  claims text NOT NULL                          -- of the identity token, as canonical JSON
);
CREATE INDEX token_exchange_recent ON token_exchange (project, exchanged_at);
CREATE TRIGGER refuse_row BEFORE UPDATE OR DELETE ON token_exchange FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON token_exchange EXECUTE FUNCTION refuse();
ALTER TABLE token_exchange ENABLE ALWAYS TRIGGER refuse_row, ENABLE ALWAYS TRIGGER refuse_truncate;
GRANT SELECT, INSERT ON token_exchange TO deedbook_service;

-- Identity tokens that were exchanged, until they expire: each is good for one exchange.
CREATE TABLE used_identity (
  sha256 bytea PRIMARY KEY CHECK (octet_length(sha256) = 32),  -- of issuer and jti
  keep_until timestamptz NOT NULL
);
CREATE INDEX used_identity_over ON used_identity (keep_until);
GRANT SELECT, INSERT, UPDATE, DELETE ON used_identity TO deedbook_service;

-- As whom a token's bearer is recorded, when not as `token:<name>`: an exchanged one has its job's identity.
ALTER TABLE token ADD COLUMN identity text;
CREATE INDEX token_exchanged ON token (expires_at) WHERE identity IS NOT NULL;
GRANT DELETE ON token TO deedbook_service;      -- exchanged ones are cleared away when they have expired
