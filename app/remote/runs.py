"""The implementation runs of a project seen over HTTP: record in one, and read what it is now."""

import base64
import re
from collections.abc import Mapping, Sequence

import msgspec

from app.cli.randomness import new_id
from app.remote.artifacts import artifact_path, versions_path
from app.remote.client import Client, segment
from app.remote.events import Appended, AppendedEvent, append
from domain.attestation import MEDIA_TYPE
from domain.digest import digest_of
from domain.errors import DeedbookError, NotFound, Unavailable
from domain.events import (
    ApproverKey,
    ArtifactVersionName,
    AttestationIdentity,
    AttestationKey,
    AttestationRecorded,
    Content,
    EventData,
    parse,
)
from domain.log import STAGED_ABOVE_BYTES
from domain.names import run_stream
from domain.policy import Policy
from domain.run import RunState, evolve
from domain.ssh_signature import parse_key
from projections.run_gates import Gates
from projections.timeline import Timeline

PAGE = 1_000
MAX_PAGES = 1_000

Event = dict[str, object]
_INSIDE = re.compile(r"/events/[0-9]+(?:/data)?")


class _StreamPage(msgspec.Struct, frozen=True):
    version: int
    events: tuple[msgspec.Raw, ...]
    next: int | None


class _Project(msgspec.Struct, frozen=True):
    origin: str


class _Version(msgspec.Struct, frozen=True):
    version: int
    digest: str


def runs_path(project: str) -> str:
    """Where a project's runs are."""
    return f"/v1/projects/{segment(project)}/runs"


def run_path(project: str, run: str) -> str:
    """Where one run is."""
    return f"{runs_path(project)}/{segment(run)}"


def policy_path(project: str) -> str:
    """Where a project's policy is."""
    return f"/v1/projects/{segment(project)}/policy"


def run_event(run: str, data: EventData, content: bytes | None = None) -> Event:
    """An event of a run with an id, so that sending it twice records it once.

    Args:
        run: The run's id.
        data: What happened.
        content: The bytes of `data.content`, where they travel with the event.
    """
    event: Event = {
        "id": new_id(),
        "stream": run_stream(run),
        "type": type(data).__name__,
        "data": msgspec.to_builtins(data),
    }
    if content is not None:
        event["content_base64"] = base64.b64encode(content).decode("ascii")
    return event


def record(client: Client, project: str, events: Sequence[Mapping[str, object]]) -> Appended:
    """Record the events of a run: all or none.

    Raises:
        Conflict: They do not fit the run; see `domain.run.decide`.
        Invalid: They break a rule; so does a secret in them.
    """
    try:
        return append(client, project, events)
    except DeedbookError as error:
        # The person typed options and no JSON: of `/events/0/data/scope` the end is of use.
        error.pointer = _INSIDE.sub("", error.pointer) if error.pointer else None
        raise


def content_of(raw: bytes, media_type: str) -> Content:
    """The name of some bytes."""
    return Content(digest=digest_of(raw), size_bytes=len(raw), media_type=media_type)


def upload(client: Client, project: str, raw: bytes, media_type: str) -> Content:
    """Upload bytes before the event that names them."""
    client.put_blob(project, raw)
    return content_of(raw, media_type)


def record_document(
    client: Client, project: str, run: str, data: EventData, raw: bytes
) -> Appended:
    """Record an event whose `content` is a document; a large one is uploaded first."""
    inline = raw if len(raw) <= STAGED_ABOVE_BYTES else None
    if inline is None:
        client.put_blob(project, raw)
    return record(client, project, [run_event(run, data, inline)])


def read_run(client: Client, project: str, run: str) -> RunState:
    """The run as its own rules see it, folded from its events.

    Raises:
        NotFound: `run-not-found`.
    """
    path = f"/v1/projects/{segment(project)}/streams/{run_stream(run)}"
    state, after = RunState(), 0
    for _ in range(MAX_PAGES):
        page = client.get(path, _StreamPage, {"after": after, "limit": PAGE})
        for line in page.events:
            event = parse(bytes(line))
            state = evolve(state, event.data, event.actor)
        if page.next is None:
            if not state.version:
                raise NotFound("run-not-found", f"{project} has no run {run}.")
            return state
        after = page.next
    raise Unavailable("unexpected-answer", f"Run {run} has more than {MAX_PAGES * PAGE:,} events.")


def origin_of(client: Client, project: str) -> str:
    """The origin of the project's log, by which a signature holds for this ledger only."""
    return client.get(f"/v1/projects/{segment(project)}", _Project).origin


def resolve_artifact(
    client: Client, project: str, kind: str, key: str, version: int | None
) -> ArtifactVersionName:
    """The name of an artifact's version, the latest if none is given, with its digest.

    Raises:
        NotFound: `artifact-not-found`, `version-not-found`.
    """
    path = artifact_path(project, kind, key)
    if version is not None:
        path = f"{versions_path(project, kind, key)}/{version}"
    found = client.get(path, _Version)
    return ArtifactVersionName(kind=kind, key=key, version=found.version, digest=found.digest)


class WrittenBundle(msgspec.Struct, frozen=True):
    """A run's audit bundle, as the artifact version that holds it."""

    kind: str
    key: str
    version: int
    digest: str
    size_bytes: int


def write_bundle(client: Client, project: str, run: str) -> WrittenBundle:
    """Write a run's audit bundle; safe to repeat, since an equal one is not written again.

    Raises:
        NotFound: `run-not-found`.
    """
    path = f"{run_path(project, run)}/audit-bundle"
    return client.post(path, None, WrittenBundle, repeatable=True)


class Attested(msgspec.Struct, frozen=True):
    """Where an attestation stands, and what its event says."""

    id: str
    stream: str
    version: int
    position: int
    leaf_hash: str
    attestation: AttestationRecorded

    @property
    def appended(self) -> Appended:
        """The same like the answer to an append."""
        event = AppendedEvent(self.id, self.stream, self.version, self.position, self.leaf_hash)
        return Appended([event])


def record_attestation(client: Client, project: str, run: str, raw: bytes) -> Attested:
    """Record a DSSE envelope or a Sigstore bundle in a run.

    Raises:
        Invalid: `attestation-malformed`, `attestation-unverified`, `secret-detected`.
        Conflict: `invalid-transition`.
    """
    return client.post_content(
        f"{run_path(project, run)}/attestations",
        raw,
        MEDIA_TYPE,
        Attested,
        headers={"Idempotency-Key": new_id()},
    )


def read_timeline(client: Client, project: str, run: str, at: int | None) -> Timeline:
    """What happened in a run, for a person.

    Raises:
        NotFound: `run-not-found`, `position-in-the-future`.
    """
    return client.get(f"{run_path(project, run)}/timeline", Timeline, {"at": at})


def read_gates(
    client: Client, project: str, run: str, *, commit: str | None, at: int | None
) -> Gates:
    """Whether the gates of a run hold.

    Raises:
        NotFound: `run-not-found`, `position-in-the-future`.
    """
    return client.get(f"{run_path(project, run)}/gates", Gates, {"commit": commit, "at": at})


def read_policy(client: Client, project: str, at: int | None) -> Policy:
    """What the project demands of its runs and events."""
    return client.get(policy_path(project), Policy, {"at": at})


def approver_key(line: str) -> ApproverKey:
    """The key in a file such as `id_ed25519.pub`; its comment is taken for the name.

    Raises:
        Invalid: `validation-failed`.
    """
    words = line.strip().split(maxsplit=2)
    return ApproverKey(key=parse_key(line).text, name=words[2] if len(words) > 2 else "")


def trusting(
    present: Policy,
    keys: Sequence[bytes],
    identities: Sequence[tuple[str, str]],
    predicate_types: Sequence[str],
) -> dict[str, object]:
    """The change by which a policy trusts further keys and identities for attestations.

    Args:
        present: The policy to add to.
        keys: Files with public keys, PEM.
        identities: Pairs of identity and issuer.
        predicate_types: The kinds of claims for which they are trusted; none: for all.
    """
    kinds = tuple(predicate_types)
    added = [
        AttestationKey(spki=key.decode("ascii", "replace"), predicate_types=kinds) for key in keys
    ]
    named = [
        AttestationIdentity(identity=identity, issuer=issuer, predicate_types=kinds)
        for identity, issuer in identities
    ]
    return {
        "attestation_keys": [*present.attestation_keys, *added],
        "attestation_identities": [*present.attestation_identities, *named],
    }


def change_policy(client: Client, project: str, changes: Mapping[str, object]) -> Policy:
    """Change what is named; answers the whole policy.

    Raises:
        Invalid: `validation-failed`.
        Forbidden: `insufficient-scope`: only an administrator may.
    """
    return client.patch(policy_path(project), changes, Policy)
