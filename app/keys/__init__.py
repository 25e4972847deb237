"""The keys with which a ledger signs: opened, changed, and handed out by their public halves."""
