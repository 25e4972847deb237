"""Search in Postgres and in a hosted index, and the model that gives texts their vectors."""
