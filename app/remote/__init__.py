"""What the command line does against a ledger that is elsewhere: everything here speaks HTTP, or prepares it."""
