-- Which logs were begun elsewhere: their origin names another ledger's host, and the contents that an
-- export does not carry (those of versions that were not the latest at `size`) may be absent.
CREATE TABLE imported_log (
  project_id text COLLATE "C" PRIMARY KEY,
  origin text NOT NULL,
  size bigint NOT NULL,
  imported_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT ON imported_log TO deedbook_service;
