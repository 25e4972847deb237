"""The grammar of what a run records: ids, scopes, commits, addresses, and bounds on lists.

It is the door's: a stored event was held to it when it came, and is read without.
"""

import re
from collections.abc import Callable, Sequence

from domain.errors import Invalid
from domain.events import (
    ApprovalRecorded,
    ApprovalRequested,
    ApprovalSignature,
    DeploymentRecorded,
    EventData,
    InfrastructureRecorded,
    Parameter,
    PatchSetRecorded,
    Resource,
    RunCreated,
    RunPaused,
    SideEffectFinished,
    SideEffectIntended,
    StepFinished,
    StepStarted,
    StepValue,
    TranscriptRecorded,
    VerificationRecorded,
)

MAX_LISTED = 1_000
MAX_SIGNATURE_CHARACTERS = 16_384
MAX_URL_CHARACTERS = 2_048
MAX_ATTEMPT = 10_000
SCOPE = re.compile(r"[a-z][a-z0-9_-]{0,31}(?:\.[a-z0-9][a-z0-9_-]{0,31}){0,7}")
"""`deploy.production`: words that go from the general to the particular."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}")
_COMMIT = re.compile(r"[0-9a-f]{4,64}")
_WORD = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_URL = re.compile(r"https?://[^\s/?#@\\]+(?:[/?#][^\s\\]*)?")


def check_record(data: EventData) -> None:
    """Hold the data of a run's event to the grammar.

    Raises:
        Invalid: `validation-failed`, with a pointer into the data such as `/scope`.
    """
    match data:
        case RunCreated():
            _commits((data.base_commit, "/base_commit"), (data.head_commit, "/head_commit"))
            _size(data.artifacts, "/artifacts")
        case RunPaused(approval=approval):
            _optional(approval, "/approval", _identifier)
        case StepStarted():
            _step(data.step, data.attempt)
            _values(data.inputs, "/inputs")
        case StepFinished():
            _step(data.step, data.attempt)
            _values(data.outputs, "/outputs")
        case PatchSetRecorded():
            _size(data.commits, "/commits")
            _commits(
                *((commit, f"/commits/{index}") for index, commit in enumerate(data.commits)),
                (data.base_commit, "/base_commit"),
                (data.head_commit, "/head_commit"),
            )
        case VerificationRecorded():
            _commits((data.commit, "/commit"))
            _size(data.checks, "/checks")
            _size(data.sources, "/sources")
        case TranscriptRecorded():
            _size(data.command, "/command")
            _natural(data.duration_ms, "/duration_ms")
            _optional(data.step, "/step", _identifier)
        case ApprovalRequested():
            _identifier(data.approval, "/approval")
            _scope(data.scope, "/scope")
            _optional(data.effect, "/effect", _identifier)
        case ApprovalRecorded():
            _optional(data.approval, "/approval", _identifier)
            _optional(data.scope, "/scope", _scope)
            _signature(data.signature)
        case SideEffectIntended():
            _identifier(data.effect, "/effect")
            _scope(data.scope, "/scope")
            _optional(data.approval, "/approval", _identifier)
            if data.target is not None:
                _resource(data.target, "/target")
            _parameters(data.parameters)
        case SideEffectFinished():
            _identifier(data.effect, "/effect")
            _size(data.external_ids, "/external_ids")
            _resources(data.resources)
        case InfrastructureRecorded():
            _resources(data.resources)
        case DeploymentRecorded():
            _commits((data.commit, "/commit"))
            _optional(data.url, "/url", _url)
            _optional(data.effect, "/effect", _identifier)
        case _:
            pass


def _step(step: str, attempt: int) -> None:
    _identifier(step, "/step")
    if not 1 <= attempt <= MAX_ATTEMPT:
        raise _invalid(f"Attempts count from 1 to {MAX_ATTEMPT}.", "/attempt")


def _values(values: Sequence[StepValue], pointer: str) -> None:
    _size(values, pointer)
    for index, one in enumerate(values):
        given = [part for part in (one.value, one.content, one.artifact) if part is not None]
        if len(given) != 1:
            raise _invalid(
                "A step's value has one of value, content and artifact.", f"{pointer}/{index}"
            )


def _parameters(parameters: Sequence[Parameter]) -> None:
    _size(parameters, "/parameters")
    for index, one in enumerate(parameters):
        if one.redacted and one.value:
            raise _invalid(
                "A redacted parameter has no value; leave it away.", f"/parameters/{index}/value"
            )


def _resources(resources: Sequence[Resource]) -> None:
    _size(resources, "/resources")
    for index, one in enumerate(resources):
        _resource(one, f"/resources/{index}")


def _resource(one: Resource, pointer: str) -> None:
    if _WORD.fullmatch(one.kind) is None:
        raise _invalid(
            "A resource's kind is a word such as pull-request, in small letters.", f"{pointer}/kind"
        )
    if not one.id:
        raise _invalid("A resource has the id that its provider gave it.", f"{pointer}/id")
    _optional(one.url, f"{pointer}/url", _url)


def _signature(signature: ApprovalSignature | None) -> None:
    if signature is not None and not 1 <= len(signature.value) <= MAX_SIGNATURE_CHARACTERS:
        raise _invalid(
            f"A signature has 1 to {MAX_SIGNATURE_CHARACTERS} characters.", "/signature/value"
        )


def _identifier(text: str, pointer: str) -> None:
    if _ID.fullmatch(text) is None:
        raise _invalid(
            "An id has 1 to 128 of letters, digits and . _ : / @ + -, a letter or digit first.",
            pointer,
        )


def _scope(text: str, pointer: str) -> None:
    if SCOPE.fullmatch(text) is None:
        raise _invalid("A scope is small words with dots, such as deploy.production.", pointer)


def _commits(*commits: tuple[str | None, str]) -> None:
    for commit, pointer in commits:
        if commit is not None and _COMMIT.fullmatch(commit) is None:
            raise _invalid("A commit is its SHA: 4 to 64 hexadecimal digits.", pointer)


def _url(text: str, pointer: str) -> None:
    if len(text) > MAX_URL_CHARACTERS or _URL.fullmatch(text) is None:
        raise _invalid(
            "An address begins with https:// or http://, and has no user, password or blank.",
            pointer,
        )


def _natural(number: int, pointer: str) -> None:
    if number < 0:
        raise _invalid("This counts from 0.", pointer)


def _size(listed: Sequence[object], pointer: str) -> None:
    if len(listed) > MAX_LISTED:
        raise _invalid(f"At most {MAX_LISTED} are listed in one event.", pointer)


def _optional(text: str | None, pointer: str, check: Callable[[str, str], None]) -> None:
    if text is not None:
        check(text, pointer)


def _invalid(detail: str, pointer: str) -> Invalid:
    return Invalid("validation-failed", detail, pointer=pointer)
