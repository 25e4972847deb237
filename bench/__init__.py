"""How fast it is: each figure a ratio against a floor or a peer, measured in the same run."""
