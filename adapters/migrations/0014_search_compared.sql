-- When an index was last compared with what it should hold: null until it was. And from when on somebody is to
-- compare it: who does moves that on by an hour, so that it is done again soon where it could not be finished.
ALTER TABLE search_project
  ALTER COLUMN reconciled_at DROP NOT NULL,
  ALTER COLUMN reconciled_at DROP DEFAULT,
  ADD COLUMN reconcile_due_at timestamptz NOT NULL DEFAULT now() + interval '1 day';
UPDATE search_project SET reconciled_at = NULL;   -- until now it began with the time of the row

-- What is filled with the vectors of which model: looked for before every search of a hosted index.
CREATE INDEX search_state_model ON search_state (backend, model) WHERE chunks > 0;
