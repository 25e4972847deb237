"""Whether each cosignature is of its checkpoint, and whether a witness contradicts a log."""

from collections.abc import Iterator

import psycopg

from adapters.examined import Finding
from adapters.signature_check import verify_signature
from adapters.witness_alarms import standing_alarm
from domain.cosignature import cosignatures_of, parse_cosigner_key
from domain.errors import DeedbookError
from domain.signed_note import SignedNote, format_signature, parse_note, parse_signature

PAGE_COSIGNATURES = 1_000


def examine_cosignatures(connection: psycopg.Connection, project: str) -> Iterator[Finding]:
    """Each holds, and is of a checkpoint that is there."""
    after = (0, "")
    while True:
        page = connection.execute(
            """
            SELECT k.size, k.witness, k.line, c.note FROM cosignature k
            LEFT JOIN checkpoint c USING (project_id, size)
            WHERE k.project_id = %s AND (k.size, k.witness) > (%s, %s)
            ORDER BY k.size, k.witness LIMIT %s
            """,
            (project, *after, PAGE_COSIGNATURES),
        ).fetchall()
        for size, witness, line, note in page:
            place = f"cosignature {project}/{size}/{witness[:80]}"
            if note is None:
                yield Finding(place, "Its checkpoint is not there.")
            elif not _holds(witness, line, note):
                yield Finding(
                    f"{place} (line, witness)", "It is not this witness's of this checkpoint."
                )
        if len(page) < PAGE_COSIGNATURES:
            return
        after = page[-1][:2]


def examine_alarm(connection: psycopg.Connection, project: str) -> Iterator[Finding]:
    """A witness contradicts the log, and nobody has looked into it."""
    alarm = standing_alarm(connection, project)
    if alarm is not None:
        yield Finding(
            f"witness_alarm {project}/{alarm.ordinal}",
            f"{alarm.sentence[0].upper()}{alarm.sentence[1:]}. The log is not signed any more: see "
            "deedbook witness status.",
        )


def _holds(witness: str, line: str, note: str) -> bool:
    try:
        signature = parse_signature(line.removesuffix("\n"))
        signed = SignedNote(parse_note(note).text, (signature,))
        found = cosignatures_of(signed, [parse_cosigner_key(witness)], verify_signature)
    except DeedbookError:
        return False
    return len(found) == 1 and format_signature(signature) == line
