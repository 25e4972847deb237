"""A change of keys: a Statement in the seal log, signed by the seal key that was current then.

It says which key ends where, and which follows. Positions decide, not dates: whoever stole a key can
write any date, and cannot take an index that others have seen.
"""

import hashlib
from collections.abc import Mapping
from typing import Literal

import msgspec

from domain import canonical
from domain.base64_text import decode64, encode64
from domain.errors import Damaged
from domain.seal import FORMAT_VERSION, STATEMENT_TYPE
from domain.trust import LogKey, SealKey, Trust

KEY_CHANGE_TYPE = "https://deedbook.example/key-change/v1"
MAX_REASON_CHARACTERS = 500

Role = Literal["log", "seal"]
Bound = int | Mapping[str, int]
"""Of a seal key an index of the seal log, of a log key a size for each origin."""


class KeyChange(msgspec.Struct, frozen=True, kw_only=True):
    """One key follows another.

    Attributes:
        ledger: Whose.
        role: What the key signs.
        retired: The key that ends, as `trust.json` has it.
        successor: The one that follows.
        until: Where the one ends: after theft, behind the last that is known to be good.
        since: Where the other begins.
        reason: Why, in a sentence.
    """

    ledger: str
    role: Role
    retired: bytes
    successor: bytes
    until: Bound
    since: Bound
    reason: str


def encode_key_change(change: KeyChange) -> bytes:
    """The Statement, canonical."""
    subject = {
        "digest": {"sha256": hashlib.sha256(change.successor).hexdigest()},
        "name": f"{change.ledger} {change.role} key",
    }
    predicate = {
        "formatVersion": FORMAT_VERSION,
        "from": change.since,
        "ledger": change.ledger,
        "reason": change.reason,
        "retired": encode64(change.retired),
        "role": change.role,
        "successor": encode64(change.successor),
        "until": change.until,
    }
    return canonical.write(
        {
            "_type": STATEMENT_TYPE,
            "predicate": predicate,
            "predicateType": KEY_CHANGE_TYPE,
            "subject": [subject],
        }
    )


def parse_key_change(raw: bytes) -> KeyChange:
    """What a Statement says, strictly: only what `encode_key_change` gives is taken.

    Raises:
        Damaged: `statement-malformed`.
    """
    try:
        given = msgspec.json.decode(raw, type=_Statement).predicate
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _bad(str(error)[:200]) from None
    retired, successor = decode64(given.retired), decode64(given.successor)
    if retired is None or successor is None:
        raise _bad("a key is no base64")
    change = KeyChange(
        ledger=given.ledger,
        role=given.role,
        retired=retired,
        successor=successor,
        until=given.until,
        since=given.since,
        reason=given.reason,
    )
    if encode_key_change(change) != raw:
        raise _bad("it is not as a change is written here")
    return change


def changed(trust: Trust, change: KeyChange) -> Trust:
    """The keys after a change.

    Raises:
        Damaged: `statement-malformed`: what it retires is not the current key.
    """
    if change.role == "seal":
        current = trust.seal_keys[-1]
        if current.spki != change.retired or not (
            isinstance(change.until, int) and isinstance(change.since, int)
        ):
            raise _bad("it does not retire the current seal key")
        ended = SealKey(current.spki, current.first, change.until)
        following = SealKey(change.successor, change.since)
        return Trust(trust.ledger, trust.log_keys, (*trust.seal_keys[:-1], ended, following))
    log_key = trust.log_keys[-1]
    if log_key.public_key != change.retired or not (
        isinstance(change.until, Mapping) and isinstance(change.since, Mapping)
    ):
        raise _bad("it does not retire the current log key")
    last = LogKey(log_key.public_key, log_key.since, change.until)
    new = LogKey(change.successor, change.since)
    return Trust(trust.ledger, (*trust.log_keys[:-1], last, new), trust.seal_keys)


class _Predicate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from"}):
    formatVersion: int  # noqa: N815 - as the Statement spells it
    since: int | dict[str, int]
    ledger: str
    reason: str
    retired: str
    role: Role
    successor: str
    until: int | dict[str, int]


class _Subject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    digest: dict[str, str]
    name: str


class _Statement(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    rename={"type": "_type", "predicate_type": "predicateType"},
):
    type: str
    predicate: _Predicate
    predicate_type: str
    subject: tuple[_Subject, ...]


def _bad(why: str) -> Damaged:
    return Damaged("statement-malformed", f"This is not the statement of a change of keys: {why}.")
