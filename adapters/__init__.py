"""One outside thing per file: Postgres, git, the file that `verify` reads."""
