"""Documents with a schema: what the content of each implementation kind must be.

The door takes any JSON that says the right thing, however it is spaced; what is written here is
canonical.
"""

from collections.abc import Callable, Mapping

import msgspec

from domain import audit_bundle, canonical, deployment, patchset, plan, verification
from domain.errors import Damaged, Invalid
from domain.events import (
    DeploymentRecorded,
    EventData,
    PatchSetRecorded,
    PlanRecorded,
    VerificationRecorded,
)

MEDIA_TYPE = "application/json"


_SCHEMAS: Mapping[str, tuple[type, Callable[[bytes], object]]] = {
    plan.KIND: (plan.Plan, plan.read_plan),
    patchset.KIND: (patchset.PatchSet, patchset.read_patchset),
    verification.KIND: (verification.VerificationReport, verification.read_verification),
    deployment.KIND: (deployment.DeploymentProvenance, deployment.read_deployment),
    audit_bundle.KIND: (audit_bundle.AuditBundle, audit_bundle.read_audit_bundle),
}

KIND_OF_RECORD: Mapping[type[EventData], str] = {
    PlanRecorded: plan.KIND,
    PatchSetRecorded: patchset.KIND,
    VerificationRecorded: verification.KIND,
    DeploymentRecorded: deployment.KIND,
}
"""The kind of document that the content of a record is."""


def check_document(kind: str, raw: bytes) -> None:
    """Hold a document to its kind's schema.

    Args:
        kind: A kind of artifact; one without a schema takes any JSON that has a canonical form.
        raw: The document.

    Raises:
        Malformed: It is no JSON.
        Invalid: `validation-failed` and the door's other codes.
    """
    document_in(kind, raw)


def document_in(kind: str, raw: bytes) -> object:
    """What a document says, as its kind's struct; None for a kind without a schema.

    Raises:
        Malformed: It is no JSON.
        Invalid: `validation-failed` and the door's other codes.
    """
    value = canonical.read(raw)
    schema = _SCHEMAS.get(kind)
    if schema is None:
        return None
    struct, read = schema
    try:
        return read(canonical.write(msgspec.convert(value, struct)))
    except (msgspec.ValidationError, Damaged) as error:
        what = error.detail if isinstance(error, Damaged) else f"{error}."
        raise Invalid("validation-failed", f"This is no {kind}: {what}") from None
