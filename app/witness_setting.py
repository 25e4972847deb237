"""The witness policy that an operator's settings name."""

from pathlib import Path
from urllib.parse import urlsplit

from domain.errors import Malformed
from domain.witness_policy import MAX_POLICY_BYTES, Policy, PolicyWitness, parse_policy

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def read_policy(file: str | None) -> Policy | None:
    """The policy in a file, fit for asking its witnesses; None for no file.

    Raises:
        Malformed: `invalid-parameter`: it cannot be read; `witness-policy-malformed`: it is no policy, an
            address in it cannot be used, or those that have one could never meet its quorum.
    """
    if file is None:
        return None
    try:
        with Path(file).expanduser().open("rb") as opened:
            raw = opened.read(MAX_POLICY_BYTES + 1)
    except OSError as error:
        raise Malformed(
            "invalid-parameter", f"DEEDBOOK_WITNESS_POLICY cannot be read: {error}."
        ) from None
    policy = parse_policy(raw)
    for witness in policy.witnesses:
        _check_address(witness)
    asked = frozenset(one.key for one in policy.witnesses if one.url is not None)
    if not policy.met_by(asked):
        raise _bad("the witnesses that have an address are too few for its quorum")
    return policy


def _check_address(witness: PolicyWitness) -> None:
    """Answers by 409 and 422 are not signed: only TLS says that they are the witness's."""
    if witness.url is None:
        return
    parts = urlsplit(witness.url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if (
        not host
        or port == 0
        or not witness.url.isascii()
        or parts.query
        or parts.fragment
        or parts.username is not None
        or not (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK))
    ):
        raise _bad(f"the address of {witness.name} is not a plain https:// one")


def _bad(why: str) -> Malformed:
    return Malformed("witness-policy-malformed", f"This witness policy is of no use here: {why}.")
