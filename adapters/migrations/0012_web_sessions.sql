-- Who is signed in with a browser. A session has the rights of the token with which it was begun, and ends
-- with it. Of the secrets in cookies and links only the SHA-256 is kept.
CREATE TABLE web_session (
  session_id uuid PRIMARY KEY,
  secret_sha256 bytea NOT NULL UNIQUE CHECK (octet_length(secret_sha256) = 32),
  token_id uuid NOT NULL REFERENCES token ON DELETE CASCADE,
  browser text NOT NULL,                        -- as it calls itself, cut short
  begun_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  seen_at timestamptz NOT NULL,
  ended_at timestamptz
);
CREATE INDEX web_session_token ON web_session (token_id);
CREATE INDEX web_session_over ON web_session (expires_at);
GRANT SELECT, INSERT, DELETE ON web_session TO deedbook_service;
GRANT UPDATE (seen_at, ended_at) ON web_session TO deedbook_service;

-- Links that sign in once.
CREATE TABLE sign_in_link (
  secret_sha256 bytea PRIMARY KEY CHECK (octet_length(secret_sha256) = 32),
  token_id uuid NOT NULL REFERENCES token ON DELETE CASCADE,
  expires_at timestamptz NOT NULL
);
CREATE INDEX sign_in_link_token ON sign_in_link (token_id);
CREATE INDEX sign_in_link_over ON sign_in_link (expires_at);
GRANT SELECT, INSERT, DELETE ON sign_in_link TO deedbook_service;
