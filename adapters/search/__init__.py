"""Search: the index in Postgres, what it should hold, and what makes vectors of texts."""
