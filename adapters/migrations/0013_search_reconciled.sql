-- When what a hosted index holds was last compared with what it should hold: once a day somebody does.
ALTER TABLE search_project ADD COLUMN reconciled_at timestamptz NOT NULL DEFAULT now();
