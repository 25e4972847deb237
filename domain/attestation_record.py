"""What is recorded of an attestation: what follows from its bytes, beside what came of checking it."""

from collections.abc import Sequence

from domain import canonical
from domain.attestation import Attestation, read_attestation
from domain.attestation_trust import Verdict
from domain.events import AttestationRecorded, AttestedSubject, Content

MAX_LISTED = 100
MAX_LISTED_BYTES = 24 * 1024
"""An event's line has a limit: of many subjects, or long ones, the first are listed."""


def record_of(
    attestation: Attestation, content: Content, verdict: Verdict, policy_version: int
) -> AttestationRecorded:
    """The event.

    Args:
        attestation: What was read of the content.
        content: The name of the bytes.
        verdict: Whether it is trusted.
        policy_version: Of the stream `project`, by whose policy it was judged.
    """
    subjects = attestation.subjects
    return AttestationRecorded(
        content=content,
        format=attestation.format,
        verified=verdict.verified,
        policy_version=policy_version,
        subject_count=len(subjects),
        subjects=_first(subjects),
        predicate_type=attestation.predicate_type,
        signers=verdict.signers,
        reason=verdict.reason,
        detail=verdict.detail,
        trusted_root=verdict.trusted_root,
        key_hints=tuple(one.hint for one in attestation.signatures if one.hint),
    )


def follows_from(data: AttestationRecorded, raw: bytes) -> bool:
    """Whether what an event says of its content is what these bytes say.

    That a signature held is not looked at: it was checked when the attestation came, and whoever
    doubts it has the bytes.

    Raises:
        Invalid, Malformed, TooLarge: They are no attestation.
    """
    said = Verdict(data.signers, data.reason, data.detail, data.trusted_root)
    return record_of(read_attestation(raw), data.content, said, data.policy_version) == data


def _first(subjects: Sequence[AttestedSubject]) -> tuple[AttestedSubject, ...]:
    listed, size_bytes = [], 0
    for one in subjects[:MAX_LISTED]:
        size_bytes += len(canonical.write(one))
        if size_bytes > MAX_LISTED_BYTES:
            break
        listed.append(one)
    return tuple(listed)
