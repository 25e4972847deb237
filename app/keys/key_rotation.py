"""Changing keys: the new one beside the old, the change logged, then the files exchanged.

A crash before the commit leaves the old key in force, and a new one that the next attempt takes up. A
crash after it leaves the files to be exchanged, which the next attempt does. Services that still hold the
old key sign nothing more with it from the commit on.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import psycopg

from adapters import ed25519_key, p256_key
from adapters.key_file import key_file, sync_folder
from adapters.postgres_keys import (
    KEY_LOCK,
    MAX_ORIGINS,
    Role,
    add_key,
    check_current,
    read_current,
    read_trust,
)
from adapters.postgres_seals import SealHead, append_entry, take_turn
from app.settings import Settings
from domain.dsse import pae
from domain.errors import Conflict, Invalid, NotFound
from domain.key_change import MAX_REASON_CHARACTERS, Bound, KeyChange, encode_key_change
from domain.seal import SEAL_LOG
from domain.seal_log import SignedStatement
from domain.signed_note import Signer
from domain.trust import OTHERWISE, Trust

NEXT = ".next"
"""The end of a new key's name until it is in force."""


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """What a change does, or would do.

    Attributes:
        role: Of the key.
        index: Where in the seal log the change stands.
        file: Where the new key lies.
        retired: Where the old one lies then.
        resealed: Seals that are valid no more, and can be made again: by index.
        finished_only: The change was logged before; only the files were left to exchange.
    """

    role: Role
    index: int
    file: Path
    retired: Path
    resealed: tuple[int, ...] = ()
    finished_only: bool = False


def rotate(
    connection: psycopg.Connection,
    settings: Settings,
    role: Role,
    *,
    reason: str,
    last_good: int | None = None,
    preview: bool = False,
    write_public: Callable[[Path, Trust], None] = lambda _folder, _trust: None,
) -> Rotation:
    """Let a new key follow on the current one.

    Args:
        connection: As the owner of the tables, in a transaction of its own.
        settings: Say where the keys lie.
        role: Which key.
        reason: A sentence, for those who read the log.
        last_good: The index of the last seal that is known to be good: after a theft of the seal key.
        preview: Only say what would be done.
        write_public: Writes the public halves into the folder of the keys.

    Raises:
        Invalid: `validation-failed`, `signing-key-unsupported`.
        NotFound: `signing-key-absent`.
        Conflict: `signing-key-mismatch`, `signing-key-retired`.
        Damaged: `checkpoint-refused`.
    """
    if not 1 <= len(reason) <= MAX_REASON_CHARACTERS:
        raise Invalid("validation-failed", f"A reason has 1 to {MAX_REASON_CHARACTERS} characters.")
    file = key_file(settings.log_key if role == "log" else settings.seal_key)
    following = file.with_name(file.name + NEXT)
    with connection.transaction():
        current = read_current(connection, role)
        if following.exists() and _public(role, following) == current:
            ordinal = _count(connection, role)
            done = Rotation(
                role=role,
                index=_last_change(connection),
                file=file,
                retired=_retired(file, ordinal - 1),
                finished_only=True,
            )
            trust = read_trust(connection)
        else:
            done, trust = _change(
                connection, settings, role, file, reason, last_good, preview=preview
            )
    if not preview:
        _exchange(file, following, done.retired)
        write_public(file.parent, trust)
    return done


def _change(
    connection: psycopg.Connection,
    settings: Settings,
    role: Role,
    file: Path,
    reason: str,
    last_good: int | None,
    *,
    preview: bool,
) -> tuple[Rotation, Trust]:
    log_signer = ed25519_key.open_key(key_file(settings.log_key))
    seal_signer = p256_key.open_seal_key(key_file(settings.seal_key))
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (KEY_LOCK,))
    head = take_turn(connection)
    _check_own(connection, "log", log_signer.public_key)
    _check_own(connection, "seal", seal_signer.spki)
    if last_good is not None and (role != "seal" or not -1 <= last_good < head.size):
        raise Invalid(
            "validation-failed",
            f"--last-good names a seal of the seal log, which has {head.size}, by its index; -1 "
            "means none. It is for the seal key alone.",
        )
    following = file.with_name(file.name + NEXT)
    trust = read_trust(connection)
    done = Rotation(
        role=role,
        index=head.size,
        file=file,
        retired=_retired(file, _count(connection, role)),
        resealed=() if last_good is None else tuple(range(last_good + 1, head.size)),
    )
    if preview:
        return done, trust
    (ed25519_key.make_key if role == "log" else p256_key.make_seal_key)(following)
    new = _public(role, following)
    signers: list[Signer] = [log_signer]
    until: Bound = head.size + 1 if last_good is None else last_good + 1
    since: Bound = head.size + 1
    if role == "log":
        signers.insert(0, ed25519_key.open_key(following))
        until, since = _log_bounds(connection, head)
    statement = encode_key_change(
        KeyChange(
            ledger=head.origin,
            role=role,
            retired=log_signer.public_key if role == "log" else seal_signer.spki,
            successor=new,
            until=until,
            since=since,
            reason=reason,
        )
    )
    signature = seal_signer.sign_dsse(pae(statement))
    append_entry(
        connection, head, SignedStatement(statement, signature, seal_signer.spki), None, signers
    )
    add_key(connection, role, new)
    return done, read_trust(connection)


def _log_bounds(
    connection: psycopg.Connection, head: SealHead
) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """Where the old log key ends and the new one begins: both sign the checkpoint of the change."""
    rows = connection.execute(
        """
        SELECT l.origin, max(c.size) FROM project_log l JOIN checkpoint c USING (project_id)
        GROUP BY l.origin ORDER BY l.origin LIMIT %s
        """,
        (MAX_ORIGINS,),
    ).fetchall()
    signed = {str(origin): int(size) for origin, size in rows}
    until = {**signed, head.origin: head.size + 1, OTHERWISE: 0}
    since = {**signed, head.origin: head.size}
    return until, since


def _exchange(file: Path, following: Path, retired: Path) -> None:
    """Put the new key in the old one's place; each step can be repeated."""
    if not following.exists():
        raise NotFound("signing-key-absent", f"There is no key at {following}.")
    if file.exists() and not retired.exists():
        file.replace(retired)
    following.replace(file)
    sync_folder(file.parent)


def _check_own(connection: psycopg.Connection, role: Role, public_key: bytes) -> None:
    try:
        check_current(connection, role, public_key)
    except Conflict:
        raise Conflict(
            "signing-key-mismatch",
            f"The {role} key of these settings is not the one that this ledger has: nothing is "
            "changed.",
        ) from None


def _public(role: Role, file: Path) -> bytes:
    if role == "log":
        return ed25519_key.open_key(file).public_key
    return p256_key.open_seal_key(file).spki


def _retired(file: Path, ordinal: int) -> Path:
    return file.with_name(f"{file.name}.retired-{ordinal}")


def _count(connection: psycopg.Connection, role: Role) -> int:
    statement = (
        b"SELECT count(*) FROM log_key" if role == "log" else b"SELECT count(*) FROM seal_key"
    )
    row = connection.execute(statement).fetchone()
    assert row is not None
    return int(row[0])


def _last_change(connection: psycopg.Connection) -> int:
    row = connection.execute(
        """
        SELECT max(position) - 1 FROM seal_entry WHERE project_id = %s AND of_project IS NULL
        """,
        (SEAL_LOG,),
    ).fetchone()
    assert row is not None
    return int(row[0])
