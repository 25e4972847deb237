"""The audit trail for people: one sentence for each event, a pure function of it."""

from domain.events import (
    ApprovalRecorded,
    ApprovalRequested,
    ArtifactErased,
    ArtifactWritten,
    AttestationRecorded,
    DeploymentRecorded,
    EventData,
    InfrastructureRecorded,
    PatchSetRecorded,
    PlanRecorded,
    PolicyChanged,
    ProjectChanged,
    ProjectCreated,
    Recorded,
    RecordErased,
    RunCreated,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    SideEffectFinished,
    SideEffectIntended,
    StepFinished,
    StepStarted,
    TranscriptRecorded,
    VerificationRecorded,
)

MAX_CHARACTERS = 200


def sentence(event: Recorded) -> str:
    """What happened, without who and when; at most 200 characters, no control characters."""
    about = _subject(event)
    text = _clean(f"{about}: {_what(event.data)}" if about else _what(event.data))
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"


def parted(event: Recorded) -> tuple[str, str]:
    """The sentence in two: what it is about, and what is said of that behind a colon; all of it, if nothing."""
    text = sentence(event)
    match event.data:
        case ArtifactErased(artifact=of, artifact_version=version):
            about = f"erased {of} version {version}"
        case RecordErased(record=of, record_version=version):
            about = f"erased a content of {of} version {version}"
        case _:
            about = _subject(event)
    about = _clean(about)
    return (about, text[len(about) + 2 :]) if text.startswith(f"{about}: ") else ("", text)


def _subject(event: Recorded) -> str:
    kind, _, rest = event.stream.partition("/")
    if kind == "artifact":
        return f"{rest} version {event.version}"
    return f"run {rest}" if kind == "run" else ""


def _what(data: EventData) -> str:
    match data:
        case ProjectCreated(title=title):
            return f"opened the project “{title}”"
        case ProjectChanged():
            return "changed the project's title or description"
        case PolicyChanged():
            changed = [name for name in PolicyChanged.__struct_fields__ if _set(data, name)]
            return f"changed the policy: {', '.join(changed).replace('_', ' ')}"
        case ArtifactWritten(title=title, size_bytes=size, citations=citations):
            named = f"“{title}”, " if title else ""
            cited = f", {len(citations)} citations" if citations else ""
            return f"wrote {named}{size:,} bytes{cited}"
        case ArtifactErased(artifact=artifact, artifact_version=version, reason=reason):
            return f"erased {artifact} version {version}: {reason}"
        case RecordErased(record=record, record_version=version, reason=reason):
            return f"erased a content of {record} version {version}: {reason}"
        case RunCreated(title=title):
            return f"created “{title}”"
        case RunStarted():
            return "started"
        case RunPaused(waiting_for=waiting_for, reason=reason):
            return f"waits for {waiting_for}{_because(reason)}"
        case RunResumed():
            return "resumed"
        case RunFinished(outcome=outcome, reason=reason):
            return f"{outcome}{_because(reason)}"
        case StepStarted(step=step, attempt=attempt, title=title):
            again = f", attempt {attempt}" if attempt > 1 else ""
            return f"began step {step}{again}{_because(title)}"
        case StepFinished(step=step, outcome=outcome, error=error):
            return f"step {step} {outcome}{_because(error)}"
        case PlanRecorded():
            return "recorded the plan"
        case PatchSetRecorded(commits=commits):
            return f"recorded {len(commits)} commits"
        case VerificationRecorded(result=result, name=name, checks=checks):
            named = name or ", ".join(check.name for check in checks)
            return f"verification {named} {result}".replace("  ", " ")
        case TranscriptRecorded(command=command, exit_code=code):
            return f"ran {' '.join(command)}, exit code {code}"
        case AttestationRecorded(predicate_type=kind, subject_count=count):
            claim = f"attestation {kind}" if kind else "signature of a file"
            about = f" of {count} subjects" if count > 1 else ""
            return f"{claim}{about}: {attested_by(data)}"
        case ApprovalRequested(scope=scope, intent=intent):
            return f"asked to approve {scope}: {intent}"
        case ApprovalRecorded(decision=decision, reason=reason):
            named = " ".join(text for text in (data.scope, data.approval) if text)
            who = f" in the name of {data.approver}" if data.approver else ""
            return f"{decision} {named}".rstrip() + who + _because(reason)
        case SideEffectIntended(scope=scope, intent=intent):
            return f"is about to {scope}: {intent}"
        case SideEffectFinished(effect=effect, outcome=outcome, error=error):
            return f"side effect {effect} {outcome}{_because(error)}"
        case InfrastructureRecorded(provider=provider, resources=resources):
            return f"recorded {len(resources)} resources of {provider}"
        case DeploymentRecorded(environment=environment, commit=commit, outcome=outcome):
            verb = "promoted" if data.promoted_from else "deployed"
            instead = f", in place of {data.rolled_back_from}" if data.rolled_back_from else ""
            return f"{verb} {commit[:12]} to {environment}: {outcome}{instead}"
        case _:
            raise AssertionError(type(data).__name__)


def attested_by(data: AttestationRecorded) -> str:
    """Who signed an attestation, as far as it was verified when it came."""
    if not data.verified:
        return f"not verified, {(data.reason or 'no-policy').replace('-', ' ')}"
    names = [one.identity if one.key is None else f"key {one.key[:19]}…" for one in data.signers]
    return f"verified, signed by {', '.join(name or '' for name in names)}"


def _set(data: PolicyChanged, name: str) -> bool:
    return getattr(data, name) is not None


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


def _clean(text: str) -> str:
    """Terminals obey control characters, so none reaches them."""
    return "".join(c if c.isprintable() else " " for c in text)
