"""Search, the pure part: what of a source is indexed, in which terms, and what of it is shown."""
