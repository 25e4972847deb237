-- The objects outside of what was erased are doomed at once. Every upload asks whether there are any left.
CREATE INDEX loose_object_doomed ON loose_object (project_id, address) WHERE doomed;
