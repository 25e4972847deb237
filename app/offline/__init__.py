"""What needs no ledger: verification of exports, proofs and forks."""
