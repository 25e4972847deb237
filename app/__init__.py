"""The use cases and their faces: HTTP, command line, settings and wiring."""
