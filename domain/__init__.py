"""What Deedbook means: events, rules, hashes and errors. Pure: no IO, clock or randomness."""
