"""The rules by which secrets are known: gitleaks' own set, kept as data, and the ledger's token.

The file is gitleaks' `config/gitleaks.toml` as published (commit b58d3f1, July 2026), its licence beside
it: to renew it, replace it. It is read when the first text is looked at, not before: it takes about a twentieth of a second.
"""

import tomllib
from functools import lru_cache
from pathlib import Path

from domain.secret_rule import Rule, RuleSet, read_rule_set

FILE = Path(__file__).parent / "gitleaks" / "gitleaks.toml"

_OWN = Rule(
    id="deedbook-token",
    description="An API token of a Deedbook ledger.",
    pattern=r"\b(dbk_[0-9A-Za-z]{36})\b",
    group=1,
    entropy=2.0,
    keywords=frozenset({b"dbk_"}),
    named=False,
    allowances=(),
)


@lru_cache(maxsize=1)
def secret_rules() -> RuleSet:
    """The rules, read once."""
    with FILE.open("rb") as opened:
        return read_rule_set(tomllib.load(opened), (_OWN,))
