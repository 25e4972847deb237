"""The pages that a browser shows: server-rendered, and readable without a script."""
