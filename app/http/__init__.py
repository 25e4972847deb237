"""The API: what HTTP asks of the use cases, and how it is answered. Nothing is decided here."""
