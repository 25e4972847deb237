"""What can be found, and how its text is cut and read."""
