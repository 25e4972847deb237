"""What a project does with a secret that stands at its door."""

from typing import Literal

import msgspec


class SecretPolicy(msgspec.Struct, frozen=True):
    """A project's choice.

    Attributes:
        mode: `refuse` the append, or `replace` the secret and record the rest.
        allowed: Fingerprints (`domain.secret_finding.fingerprint`) of matches that were looked at and
            are no secrets.
    """

    mode: Literal["refuse", "replace"] = "refuse"
    allowed: frozenset[str] = frozenset()


REFUSE = SecretPolicy()
"""What holds where a project has chosen nothing."""
