"""Attestations over HTTP: recorded as they came, judged by the policy, exported, and verified again."""

from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from app.attestations import record_attestation
from app.offline.verify import verify_file
from domain.attestation import MAX_ATTESTATION_BYTES, MEDIA_TYPE, read_attestation
from domain.attestation_record import record_of
from domain.attestation_trust import Verdict
from domain.digest import digest_of
from domain.errors import StaleVersion
from domain.events import (
    AttestationRecorded,
    Content,
    PolicyChanged,
    ProjectCreated,
    RunCreated,
    RunStarted,
)
from projections.bundle import Scope
from tests.attestation_samples import (
    PROVENANCE,
    REKOR,
    TEST_RESULT,
    Key,
    bundle,
    ed25519,
    envelope,
    message,
    p256,
    pem,
    raw,
    statement,
    trusted,
)
from tests.export_samples import MemoryLog, files_of, zip_of
from tests.serving import Served
from tests.test_secrets import GITHUB

KEYS = (p256(), ed25519())


@pytest.fixture
def run(http: httpx2.Client, project: str) -> str:
    """The address of a run that is under way."""
    events = [
        {"stream": "run/r1", "type": "RunCreated", "data": {"title": "A run"}},
        {"stream": "run/r1", "type": "RunStarted", "data": {}},
    ]
    assert http.post(f"/v1/projects/{project}/events", json={"events": events}).status_code == 201
    return f"/v1/projects/{project}/runs/r1"


def bring(http: httpx2.Client, run: str, content: bytes, **headers: str) -> httpx2.Response:
    return http.post(
        f"{run}/attestations", content=content, headers={"Content-Type": MEDIA_TYPE, **headers}
    )


def trust(http: httpx2.Client, project: str, *keys: Key, **policy: object) -> dict[str, Any]:
    wished = {"attestation_keys": [{"spki": pem(key).decode()} for key in keys], **policy}
    answer = http.patch(f"/v1/projects/{project}/policy", json=wished)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def size(http: httpx2.Client, project: str) -> int:
    position: int = http.get(f"/v1/projects/{project}").json()["position"]
    return position


@pytest.mark.parametrize("key", KEYS, ids=["P-256", "Ed25519"])
def test_an_attestation_by_a_trusted_key_is_recorded_as_verified(
    http: httpx2.Client, project: str, run: str, key: Key
) -> None:
    policy = trust(http, project, key)
    assert policy["attestation_keys"][0]["spki"] == trusted(key).spki
    content = raw(envelope(statement(), key))
    answer = bring(http, run, content)
    assert answer.status_code == 201, answer.text
    done = answer.json()
    said = done["attestation"]
    assert said["content"] == {
        "digest": digest_of(content), "size_bytes": len(content), "media_type": MEDIA_TYPE,
    }  # fmt: skip
    assert (said["verified"], said["predicate_type"], said["subject_count"]) == (
        True, TEST_RESULT, 1,
    )  # fmt: skip
    assert said["signers"][0]["key"].startswith("sha256:")
    assert said["policy_version"] == 2
    assert "reason" not in said
    # Kept as it came, told as a sentence, shown on the run's page.
    assert http.get(f"/v1/projects/{project}/blobs/{digest_of(content)}").content == content
    event = http.get(answer.headers["Location"]).json()
    assert (event["type"], event["data"]) == ("AttestationRecorded", said)
    shown = http.get(f"{run}/timeline").json()
    [attested] = shown["attestations"]
    assert (attested["verified"], attested["position"]) == (True, done["position"])
    assert shown["items"][-1]["tone"] == "good"
    assert shown["items"][-1]["sentence"].startswith(
        f"attestation {TEST_RESULT}: verified, signed by key sha256:"
    )
    assert http.get(f"{run}/gates").json()["gates"][-1]["holds"]


def test_without_a_policy_it_is_recorded_as_not_verified_and_why(
    http: httpx2.Client, project: str, run: str
) -> None:
    answer = bring(http, run, raw(bundle(message(KEYS[0], b"a file"))))
    assert answer.status_code == 201, answer.text
    said = answer.json()["attestation"]
    assert (said["verified"], said["reason"]) == (False, "no-policy")
    assert "signers" not in said
    assert said["subjects"][0]["digests"][0].startswith("sha256:")
    item = http.get(f"{run}/timeline").json()["items"][-1]
    assert (item["tone"], item["sentence"]) == (
        "warn", "signature of a file: not verified, no policy",
    )  # fmt: skip


def test_where_the_policy_requires_it_nobody_else_s_attestation_comes_in(
    http: httpx2.Client, project: str, run: str
) -> None:
    trust(http, project, KEYS[0], attestations="require")
    before = size(http, project)
    good = envelope(statement(), KEYS[0])
    spoilt = {**good, "payload": envelope(statement(predicateType=PROVENANCE))["payload"]}
    for value in (
        envelope(statement(), KEYS[1]),
        spoilt,
        bundle({"dsseEnvelope": spoilt}),
        bundle({"dsseEnvelope": envelope(statement(), KEYS[1])}, certificate={"rawBytes": "AA=="}),
    ):
        content = raw(value)
        answer = bring(http, run, content)
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (422, "attestation-unverified")
        assert problem["reason"] == "no-match"
        missing = http.get(f"/v1/projects/{project}/blobs/{digest_of(content)}")
        assert missing.status_code == 404
    assert size(http, project) == before
    assert bring(http, run, raw(good)).status_code == 201
    trust(http, project)
    assert bring(http, run, raw(good)).json()["reason"] == "no-policy"


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 400, "malformed-json"),
        (b"{}", 422, "attestation-malformed"),
        (b"[" * 200 + b"]" * 200, 400, "json-too-deep"),
        (b'{"payloadType":"a","payloadType":"b"}', 400, "malformed-json"),
        (raw(envelope(statement(subject=[]), KEYS[0])), 422, "attestation-malformed"),
        (b" " * (MAX_ATTESTATION_BYTES + 1), 413, "body-too-large"),
    ],
    ids=["nothing", "no attestation", "deep", "a member twice", "no subject", "large"],
)
def test_hostile_bytes_get_one_problem_and_leave_nothing(
    http: httpx2.Client, project: str, run: str, content: bytes, status: int, code: str
) -> None:
    before = size(http, project)
    answer = bring(http, run, content)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert size(http, project) == before
    assert http.get(f"/v1/projects/{project}/blobs/{digest_of(content)}").status_code == 404


def test_a_secret_in_what_is_signed_is_refused_also_where_secrets_are_replaced(
    http: httpx2.Client, project: str, run: str
) -> None:
    assert http.patch(
        f"/v1/projects/{project}/policy", json={"secrets": "replace"}
    ).status_code == 200  # fmt: skip
    before = size(http, project)
    for members in ({"predicate": {"token": GITHUB}}, {"subject": [
        {"name": f"x?{GITHUB}", "digest": {"sha256": "ab" * 32}}
    ]}):  # fmt: skip
        answer = bring(http, run, raw(envelope(statement(**members), KEYS[0])))
        assert (answer.status_code, answer.json()["code"]) == (422, "secret-detected")
        assert GITHUB not in answer.text
    assert size(http, project) == before


def test_what_the_event_says_cannot_be_claimed_by_a_caller(
    http: httpx2.Client, project: str, run: str
) -> None:
    content = raw(envelope(statement(), KEYS[0]))
    claimed = {
        "content": {"media_type": MEDIA_TYPE}, "format": "dsse", "verified": True,
        "policy_version": 1, "subject_count": 0, "subjects": [],
    }  # fmt: skip
    before = size(http, project)
    event = {"type": "AttestationRecorded", "data": claimed, "content": content.decode()}
    for path, body, pointer in (
        ("streams/run/r1", event, "/type"),
        ("events", {"events": [{**event, "stream": "run/r1"}]}, "/events/0/type"),
    ):
        answer = http.post(f"/v1/projects/{project}/{path}", json=body)
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (422, "validation-failed")
        assert problem["errors"][0]["pointer"].endswith(pointer)
    assert size(http, project) == before


def test_a_run_that_is_not_under_way_takes_none(http: httpx2.Client, project: str) -> None:
    content = raw(envelope(statement(), KEYS[0]))
    path = f"/v1/projects/{project}/runs/absent"
    answer = bring(http, path, content)
    assert (answer.status_code, answer.json()["code"]) == (409, "invalid-transition")
    answer = bring(http, f"/v1/projects/{project}/runs/a b", content)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation-failed")
    answer = bring(http, "/v1/projects/absent/runs/r1", content)
    assert (answer.status_code, answer.json()["code"]) == (404, "project-not-found")


def test_only_an_administrator_says_whom_to_trust(
    served: Served, http: httpx2.Client, project: str, run: str
) -> None:
    with served.client(served.limited("events:append", "events:read")) as client:
        wished = {"attestation_keys": [{"spki": trusted(KEYS[0]).spki}]}
        answer = client.patch(f"/v1/projects/{project}/policy", json=wished)
        assert (answer.status_code, answer.json()["code"]) == (403, "insufficient-scope")
        assert bring(client, run, raw(envelope(statement(), KEYS[0]))).status_code == 201
    with served.client(served.limited("events:read")) as client:
        assert bring(client, run, raw(envelope(statement(), KEYS[0]))).status_code == 403


def test_a_repeat_gets_the_first_answer_also_under_a_policy_that_came_later(
    http: httpx2.Client, project: str, run: str
) -> None:
    content = raw(envelope(statement(), KEYS[0]))
    first = bring(http, run, content, **{"Idempotency-Key": "k"})
    assert first.status_code == 201
    trust(http, project, KEYS[1], attestations="require")
    again = bring(http, run, content, **{"Idempotency-Key": "k"})
    assert again.status_code == 200, again.text
    assert again.json() == {**first.json(), "replayed": True}
    other = bring(http, run, raw(envelope(statement(), KEYS[1])), **{"Idempotency-Key": "k"})
    assert other.json()["code"] == "idempotency-key-reused"


def test_a_large_attestation_is_kept_whole(http: httpx2.Client, project: str, run: str) -> None:
    content = raw(envelope(statement(predicate={"lines": ["x" * 70] * 30_000}), KEYS[0]))
    assert len(content) > 2 * 1024 * 1024
    answer = bring(http, run, content)
    assert answer.status_code == 201, answer.text
    assert http.get(f"/v1/projects/{project}/blobs/{digest_of(content)}").content == content


def test_a_policy_that_changes_meanwhile_is_asked_again(
    served: Served, project: str, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = served.ledger
    append = ledger.append_checked
    changes = iter(
        [
            PolicyChanged(attestation_keys=(trusted(KEYS[1]),)),
            PolicyChanged(attestation_keys=(trusted(KEYS[0]),)),
        ]
    )

    def first_somebody_else(*given: Any, **named: Any) -> Any:
        change = next(changes, None)
        if change is not None:
            ledger.change_policy(project, change, actor="user:ada")
        return append(*given, **named)

    monkeypatch.setattr(ledger, "append_checked", first_somebody_else)
    content = raw(envelope(statement(), KEYS[0]))
    receipt = record_attestation(ledger, project, "r1", content, actor="user:ada")
    [entry] = receipt.entries
    with served.client() as client:
        said = client.get(f"/v1/projects/{project}/events/{entry.position}").json()["data"]
    assert (said["verified"], said["policy_version"]) == (True, 3)

    number = 0

    def always_somebody_else(*given: Any, **named: Any) -> Any:
        nonlocal number
        number += 1
        change = PolicyChanged(production=(f"p{number}",))
        ledger.change_policy(project, change, actor="user:ada")
        return append(*given, **named)

    monkeypatch.setattr(ledger, "append_checked", always_somebody_else)
    with pytest.raises(StaleVersion):
        record_attestation(ledger, project, "r1", content, actor="user:ada")


@pytest.mark.skipif(REKOR is None, reason="the recorded bundles are not here")
def test_an_identity_needs_the_operator_s_trusted_root(
    http: httpx2.Client, project: str, run: str, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adapters.sigstore_identity import open_trusted_root

    assert REKOR is not None
    folder = REKOR / "cases" / "rekor2-dsse-happy-path"
    content = (folder / "bundle.sigstore.json").read_bytes()
    trust(http, project, attestation_identities=[{
        "identity": "https://github.com/sigstore-conformance/*",
        "issuer": "https://token.actions.githubusercontent.com",
    }])  # fmt: skip
    said = bring(http, run, content).json()["attestation"]
    assert (said["verified"], said["reason"]) == (False, "no-trusted-root")
    root = open_trusted_root(folder / "trusted_root.json")
    monkeypatch.setattr(served.ledger, "identities", root)
    said = bring(http, run, content).json()["attestation"]
    assert said["verified"], said
    assert said["trusted_root"] == root.trusted_root
    assert said["signers"][0]["issuer"] == "https://token.actions.githubusercontent.com"


# Exports


def test_the_export_and_the_audit_bundle_carry_it(
    http: httpx2.Client, project: str, run: str, tmp_path: Path
) -> None:
    trust(http, project, KEYS[0])
    content = raw(envelope(statement(), KEYS[0]))
    done = bring(http, run, content).json()
    assert bring(http, run, content).status_code == 201  # the same once more is another event
    bundled = http.post(f"{run}/audit-bundle").json()
    audit = http.get(f"/v1/projects/{project}/blobs/{bundled['digest']}").json()
    [entry, _] = [one for one in audit["entries"] if one["kind"] == "ATTESTATION"]
    assert entry["contents"][0]["digest"] == digest_of(content)
    for scope, query in (("project", ""), ("run", "?run=r1")):
        position = size(http, project)
        answer = http.get(f"/v1/projects/{project}/exports/{position}.zip{query}")
        file = tmp_path / f"{scope}.zip"
        file.write_bytes(answer.content)
        report = verify_file(file, progress=lambda _done, _all: None)
        assert report.state == "INCOMPLETE", report  # there is no seal
        assert [one for one in report.checks if one.ok is False] == []
        assert f"data/runs/r1/attestation.v{done['version']}.json".encode() in answer.content


def exported(data: AttestationRecorded, content: bytes, scope: Scope) -> bytes:
    log = MemoryLog()
    log.add("project", ProjectCreated(title="Alpha"))
    log.add("run/r1", RunCreated(title="A run"))
    log.add("run/r1", RunStarted())
    log.content(content)
    log.add("run/r1", data)
    return zip_of(files_of(log.lines, log.blobs, scope))


@pytest.mark.parametrize("scope", [Scope(), Scope("r1")], ids=["project", "run"])
def test_an_export_whose_event_says_what_is_not_in_the_attestation_fails(
    scope: Scope, tmp_path: Path
) -> None:
    content = raw(envelope(statement(), KEYS[0]))
    name = Content(digest=digest_of(content), size_bytes=len(content), media_type=MEDIA_TYPE)
    data = record_of(read_attestation(content), name, Verdict(reason="no-policy"), 1)
    no_attestation = b"{}"
    other = Content(digest=digest_of(no_attestation), size_bytes=2, media_type=MEDIA_TYPE)
    file = tmp_path / "alpha.zip"
    for said, kept, state in (
        (data, content, "INCOMPLETE"),
        (msgspec.structs.replace(data, predicate_type=PROVENANCE), content, "FAILED"),
        (msgspec.structs.replace(data, subject_count=7), content, "FAILED"),
        (msgspec.structs.replace(data, verified=True), content, "FAILED"),
        (msgspec.structs.replace(data, content=other), no_attestation, "FAILED"),
    ):
        file.write_bytes(exported(said, kept, scope))
        report = verify_file(file, progress=lambda _done, _all: None)
        failed = [one.id for one in report.checks if one.ok is False]
        assert (report.state, failed) == (state, ["replay"] if state == "FAILED" else [])
