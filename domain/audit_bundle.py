"""Implementation audit bundles: the manifest that names everything in a run by digest.

It is the content of an artifact of kind IMPLEMENTATION_AUDIT_BUNDLE, keyed by the run: canonical
JSON, made by `projections.audit_bundle` from the run's events alone.
"""

from typing import Final, Literal

import msgspec

from domain import canonical
from domain.errors import Damaged
from domain.events import ArtifactVersionName
from domain.run import RunPhase

SCHEMA: Final = "deedbook/audit-bundle/v1"
KIND = "IMPLEMENTATION_AUDIT_BUNDLE"


class _Fact(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    pass


class NamedContent(_Fact, frozen=True, kw_only=True):
    """A content that a record refers to; `place` is a JSON Pointer into the event's data."""

    place: str
    digest: str
    size_bytes: int
    media_type: str


class Entry(_Fact, frozen=True, kw_only=True):
    """One event of the run.

    Attributes:
        kind: Such as PATCHSET, TRANSCRIPT, APPROVAL, SIDE_EFFECT, STEP, RUN.
        key: The run's id.
        version: In the run's stream.
        leaf_hash: The event's leaf in the project's tree (RFC 6962, section 2.1): the digest of a
            zero byte and the stored line.
    """

    kind: str
    key: str
    version: int
    position: int
    type: str
    time: str
    actor: str
    leaf_hash: str
    contents: tuple[NamedContent, ...] = ()


class AuditBundle(_Fact, frozen=True, kw_only=True):
    """Everything in a run, in order, and the artifact versions that it refers to."""

    schema: Literal["deedbook/audit-bundle/v1"]
    run: str
    origin: str
    title: str
    phase: RunPhase
    repository: str | None = None
    base_commit: str | None = None
    head_commit: str | None = None
    pull_request: str | None = None
    entries: tuple[Entry, ...]
    artifacts: tuple[ArtifactVersionName, ...] = ()


def read_audit_bundle(raw: bytes) -> AuditBundle:
    """The audit bundle in a document; refuses bytes that would not be written so.

    Raises:
        Damaged: `audit-bundle-malformed`.
    """
    try:
        found = msgspec.json.decode(raw, type=AuditBundle)
        if canonical.write(found) != raw:
            raise Damaged("audit-bundle-malformed", "The audit bundle is not in canonical form.")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Damaged("audit-bundle-malformed", f"This is not an audit bundle: {error}.") from None
    versions = [entry.version for entry in found.entries]
    if versions != list(range(1, len(versions) + 1)):
        raise Damaged("audit-bundle-malformed", "The audit bundle leaves out a version of the run.")
    return found
