"""The version of this program; a test holds it to the one in pyproject.toml."""

VERSION = "0.1.0"
