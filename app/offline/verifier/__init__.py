"""The verifier as one file: what is packed, how, and what stands in for what cannot be packed."""
