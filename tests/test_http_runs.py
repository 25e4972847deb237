"""Runs over HTTP: the approval gate, the policy, the timeline, the gates, and the audit bundle."""

import hashlib
import io
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from app import runs
from domain.audit_bundle import read_audit_bundle
from domain.canonical import write
from domain.digest import digest_of
from domain.plan import Task, Trace, plan_document
from tests.serving import Served

Step = tuple[str, dict[str, object], bytes | None]
JSON = {"media_type": "application/json"}
PRD = b"# Alpha\n"
PLAN = plan_document(
    (Task(id="t1", title="Build it", traces=(Trace(kind="PRD", key="main", version=1),)),)
)
PATCHSET = {
    "schema": "deedbook/patchset/v1",
    "head": "c0ffee",
    "commits": [],
    "diff_manifest": [{"path": "a.py", "change": "added"}],
}
NAMED = {"kind": "PRD", "key": "main", "version": 1, "digest": digest_of(PRD)}
SHIPPED: tuple[Step, ...] = (
    ("RunCreated", {"title": "Ship it", "artifacts": [NAMED], "head_commit": "c0ffee"}, None),
    ("RunStarted", {}, None),
    ("PlanRecorded", {"content": JSON}, PLAN),
    ("StepStarted", {"step": "build", "title": "Build"}, None),
    ("StepFinished", {"step": "build", "outcome": "failed", "error": "disk full"}, None),
    ("StepStarted", {"step": "build", "attempt": 2}, None),
    ("StepFinished", {"step": "build", "attempt": 2, "outcome": "succeeded"}, None),
    ("PatchSetRecorded", {"commits": ["c0ffee"], "content": JSON}, write(PATCHSET)),
    ("VerificationRecorded", {"result": "FAILED", "name": "tests", "commit": "c0ffee"}, None),
    ("VerificationRecorded", {"result": "PASSED", "name": "tests", "commit": "c0ffee"}, None),
    (
        "TranscriptRecorded",
        {"command": ["make"], "exit_code": 0, "duration_ms": 5, "content": {"media_type": "text/plain"}},
        b"ok\n",
    ),
    (
        "ApprovalRequested",
        {"approval": "a1", "scope": "deploy.production", "intent": "Go live"},
        None,
    ),
    ("RunPaused", {"waiting_for": "approval", "approval": "a1"}, None),
    ("ApprovalRecorded", {"decision": "approved", "approval": "a1", "approver": "Ada"}, None),
    ("RunResumed", {}, None),
    (
        "SideEffectIntended",
        {"effect": "e1", "scope": "deploy.production", "intent": "Go live", "approval": "a1",
         "parameters": [{"name": "TOKEN_NAME", "redacted": True}]},
        None,
    ),
    (
        "SideEffectFinished",
        {"effect": "e1", "outcome": "succeeded",
         "resources": [{"kind": "deployment", "id": "d1", "url": "https://alpha.example"}]},
        None,
    ),
    (
        "DeploymentRecorded",
        {"provider": "here", "environment": "production", "commit": "c0ffee",
         "outcome": "succeeded", "deployment": "d1", "effect": "e1"},
        None,
    ),
)  # fmt: skip


@pytest.fixture
def run(http: httpx2.Client, project: str) -> str:
    """The address of a run in which everything has happened but its end."""
    made = http.post(
        f"/v1/projects/{project}/artifacts/PRD/main/versions", json={"content": PRD.decode()}
    )
    assert made.status_code == 201
    append(http, project, "r1", SHIPPED)
    return f"/v1/projects/{project}/runs/r1"


def append(http: httpx2.Client, project: str, run: str, steps: tuple[Step, ...]) -> httpx2.Response:
    answer = http.post(
        f"/v1/projects/{project}/events",
        json={
            "events": [
                {"stream": f"run/{run}", "type": kind, "data": data}
                | ({} if content is None else {"content": content.decode()})
                for kind, data, content in steps
            ]
        },
    )
    assert answer.status_code == 201, answer.text
    return answer


def propose(http: httpx2.Client, project: str, kind: str, **data: object) -> httpx2.Response:
    return http.post(f"/v1/projects/{project}/streams/run/r1", json={"type": kind, "data": data})


def gates(http: httpx2.Client, run: str, query: str = "") -> dict[str, Any]:
    answer = http.get(f"{run}/gates{query}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["holds"] is all(gate["holds"] for gate in found["gates"])
    return found


def fallen(http: httpx2.Client, run: str, query: str = "") -> dict[str, str]:
    return {
        one["name"]: one["detail"] for one in gates(http, run, query)["gates"] if not one["holds"]
    }


def test_a_guarded_side_effect_is_refused_until_it_is_approved(
    http: httpx2.Client, project: str
) -> None:
    append(http, project, "r1", SHIPPED[:2])
    size = http.get(f"/v1/projects/{project}").json()["position"]
    wish = {"effect": "e1", "scope": "repo.push", "intent": "Push"}
    refused = propose(http, project, "SideEffectIntended", **wish)
    problem = refused.json()
    assert (refused.status_code, problem["code"], problem["scope"]) == (
        409, "approval-missing", "repo.push",
    )  # fmt: skip
    assert "nobody approved it" in problem["detail"]
    assert http.get(f"/v1/projects/{project}").json()["position"] == size
    granted = propose(http, project, "ApprovalRecorded", decision="approved", scope="repo.push")
    assert granted.status_code == 201
    assert propose(http, project, "SideEffectIntended", **wish).status_code == 201


def test_a_batch_cannot_ask_and_act_where_four_eyes_are_wanted(
    http: httpx2.Client, project: str
) -> None:
    changed = http.patch(f"/v1/projects/{project}/policy", json={"four_eyes": True})
    assert (changed.status_code, changed.json()["four_eyes"]) == (200, True)
    append(http, project, "r1", SHIPPED[:2])
    events = [
        ("ApprovalRecorded", {"decision": "approved", "scope": "repo.push", "approval": "a"}),
        ("SideEffectIntended", {"effect": "e", "scope": "repo.push", "intent": "Push"}),
    ]
    batch = [{"stream": "run/r1", "type": kind, "data": data} for kind, data in events]
    refused = http.post(f"/v1/projects/{project}/events", json={"events": batch})
    assert (refused.status_code, refused.json()["code"]) == (409, "approval-missing")
    assert [one["pointer"] for one in refused.json()["errors"]] == ["/events/1/data/scope"]
    assert "four eyes" in refused.json()["detail"]


def test_a_policy_has_defaults_a_history_and_an_administrator(
    http: httpx2.Client, project: str, served: Served
) -> None:
    path = f"/v1/projects/{project}/policy"
    first = http.get(path)
    assert first.json()["guarded_scopes"] == [
        "deploy.production", "destroy.*", "infra.provision", "repo.merge", "repo.push",
    ]  # fmt: skip
    before = http.get(f"/v1/projects/{project}").json()["position"]
    narrow = http.patch(path, json={"guarded_scopes": ["destroy.*"]})
    assert narrow.json()["guarded_scopes"] == ["destroy.*"]
    again = http.patch(path, json={"guarded_scopes": ["destroy.*"]})
    assert again.status_code == 200
    assert http.get(f"/v1/projects/{project}").json()["position"] == before + 1
    assert http.get(path, params={"at": before}).json() == first.json()
    stale = http.patch(path, json={"four_eyes": True}, headers={"If-Match": '"1"'})
    assert stale.json()["code"] == "version-conflict"
    agent = served.client(served.limited("events:append", "events:read"))
    with agent:
        assert agent.get(path).status_code == 200
        assert agent.patch(path, json={"guarded_scopes": []}).status_code == 403
        around = agent.post(
            f"/v1/projects/{project}/events",
            json={"events": [{"stream": "project", "type": "PolicyChanged",
                              "data": {"guarded_scopes": []}}]},
        )  # fmt: skip
        assert (around.status_code, around.json()["code"]) == (422, "validation-failed")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"guarded_scopes": ["Deploy"]}, "/guarded_scopes/0"),
        ({"guarded_scopes": ["a"] * 65}, "/guarded_scopes"),
        ({"production": ["ok", ""]}, "/production/1"),
        ({"allowed_secrets": ["sha256:0"]}, "/allowed_secrets/0"),
        ({"secrets": "off"}, "/secrets"),
        ({"eyes": 4}, None),
    ],
)
def test_a_policy_that_is_none_is_refused(
    http: httpx2.Client, project: str, change: dict[str, object], pointer: str | None
) -> None:
    refused = http.patch(f"/v1/projects/{project}/policy", json=change)
    assert (refused.status_code, refused.json()["code"]) == (422, "validation-failed")
    assert [one["pointer"] for one in refused.json().get("errors", [])] == (
        [] if pointer is None else [pointer]
    )


HOSTILE_PATHS = (
    "../a", "/etc/passwd", "a/../../b", "", "a//b", ".git/config", "a/.GIT/x",
    '"a\\000b"', '"..\\057a"', "./a",
)  # fmt: skip
RECORDS: list[tuple[str, dict[str, object], bytes | None, str]] = [
    ("PlanRecorded", {"content": JSON}, b'{"schema":"deedbook/plan/v1","tasks":[]}', "/content"),
    ("PlanRecorded", {"content": {"media_type": "text/plain"}}, b"Do it", "/data/content/media_type"),
    ("PlanRecorded", {"content": JSON},
     b'{"schema":"deedbook/plan/v1","tasks":[{"id":"a","title":"t","depends_on":["a"]}]}', "/content"),
    ("PatchSetRecorded", {"commits": ["HEAD"], "content": JSON}, write(PATCHSET), "/data/commits/0"),
    ("SideEffectIntended", {"effect": "e", "scope": "Deploy!", "intent": "i"}, None, "/data/scope"),
    ("SideEffectIntended", {"effect": "", "scope": "s", "intent": "i"}, None, "/data/effect"),
    ("SideEffectIntended", {"effect": "e", "scope": "s", "intent": "i",
                            "parameters": [{"name": "p", "value": "x", "redacted": True}]}, None,
     "/data/parameters/0/value"),
    ("InfrastructureRecorded", {"provider": "p", "resources": [{"kind": "vm", "id": "1",
                                "url": "javascript:alert(1)"}]}, None, "/data/resources/0/url"),
    ("DeploymentRecorded", {"provider": "p", "environment": "e", "commit": "c0ffee",
                            "outcome": "succeeded", "url": "https://user@host/"}, None, "/data/url"),
    ("StepStarted", {"step": "s", "inputs": [{"name": "n"}]}, None, "/data/inputs/0"),
    ("StepStarted", {"step": "s", "attempt": 0}, None, "/data/attempt"),
    ("VerificationRecorded", {"result": "PASSED", "content": JSON}, b"{}", "/content"),
]  # fmt: skip
for hostile in HOSTILE_PATHS:
    manifest = PATCHSET | {"diff_manifest": [{"path": hostile, "change": "added"}]}
    RECORDS.append(
        (
            "PatchSetRecorded",
            {"commits": ["c0ffee"], "content": JSON},
            write(manifest),
            "/content",
        )
    )


@pytest.mark.parametrize(("kind", "data", "content", "pointer"), RECORDS)
def test_a_record_outside_the_grammar_is_refused_and_leaves_nothing(
    http: httpx2.Client, project: str, served: Served,
    kind: str, data: dict[str, object], content: bytes | None, pointer: str,
) -> None:  # fmt: skip
    append(http, project, "r1", SHIPPED[:2])
    size = http.get(f"/v1/projects/{project}").json()["position"]
    body = {"type": kind, "data": data} | ({} if content is None else {"content": content.decode()})
    refused = http.post(f"/v1/projects/{project}/streams/run/r1", json=body)
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (422, "validation-failed"), problem
    assert [one["pointer"] for one in problem["errors"]] == [f"/events/0{pointer}"], problem
    assert http.get(f"/v1/projects/{project}").json()["position"] == size
    if content is not None:
        held = served.ledger.uploads.held(project, (hashlib.sha256(content).digest(),))
        assert held == {}


def test_a_document_that_was_uploaded_before_is_held_to_its_schema_as_well(
    http: httpx2.Client, project: str
) -> None:
    append(http, project, "r1", SHIPPED[:2])
    bad = b'{"schema":"deedbook/plan/v1"}'
    http.put(f"/v1/projects/{project}/blobs/{digest_of(bad)}", content=bad)
    content = {"digest": digest_of(bad), "size_bytes": len(bad), **JSON}
    refused = propose(http, project, "PlanRecorded", content=content)
    assert refused.json()["code"] == "validation-failed"
    assert "This is no IMPLEMENTATION_PLAN" in refused.json()["detail"]


@pytest.mark.parametrize(
    "kind", ["IMPLEMENTATION_PLAN", "PATCHSET", "VERIFICATION_REPORT", "DEPLOYMENT_PROVENANCE",
             "IMPLEMENTATION_AUDIT_BUNDLE"],
)  # fmt: skip
def test_an_artifact_of_an_implementation_kind_is_held_to_its_schema(
    http: httpx2.Client, project: str, kind: str
) -> None:
    refused = http.post(
        f"/v1/projects/{project}/artifacts/{kind}/x/versions",
        json={"content": "{}", "media_type": "application/json"},
    )
    assert (refused.status_code, refused.json()["code"]) == (422, "validation-failed")


def test_a_timeline_says_what_happened_who_allowed_it_and_what_backs_it(
    http: httpx2.Client, run: str
) -> None:
    shown = http.get(f"{run}/timeline").json()
    assert (shown["title"], shown["phase"], shown["head_commit"]) == (
        "Ship it",
        "running",
        "c0ffee",
    )
    assert [one["step"] for one in shown["steps"]] == ["build"]
    assert (shown["steps"][0]["attempts"], shown["steps"][0]["outcome"]) == (2, "succeeded")
    assert [(one["result"], one["in_force"]) for one in shown["checks"]] == [
        ("FAILED", False), ("PASSED", True),
    ]  # fmt: skip
    (approval,) = shown["approvals"]
    assert (approval["decision"], approval["approver"], approval["signed"]) == (
        "approved", "Ada", False,
    )  # fmt: skip
    (effect,) = shown["effects"]
    assert (effect["outcome"], effect["resources"][0]["id"]) == ("succeeded", "d1")
    assert shown["deployments"][0]["backed_by_effect"] == "e1"
    assert [item["type"] for item in shown["items"]] == [kind for kind, _, _ in SHIPPED]
    assert [item["sentence"] for item in shown["items"]][3] == "began step build: Build"
    contents = [content for item in shown["items"] for content in item["contents"]]
    assert len(contents) == 3
    assert all(content["held"] for content in contents)
    assert {item["tone"] for item in shown["items"]} == {"good", "bad", "warn", "neutral"}


def test_a_timeline_of_the_past_knows_nothing_of_what_followed(
    http: httpx2.Client, run: str
) -> None:
    shown = http.get(f"{run}/timeline", params={"at": 4}).json()
    assert (shown["phase"], len(shown["items"]), shown["checks"]) == ("running", 2, [])


def test_a_run_that_is_not_there_has_neither(http: httpx2.Client, project: str) -> None:
    for path in ("timeline", "gates"):
        answer = http.get(f"/v1/projects/{project}/runs/nothing/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "run-not-found")
    answer = http.post(f"/v1/projects/{project}/runs/nothing/audit-bundle")
    assert (answer.status_code, answer.json()["code"]) == (404, "run-not-found")


def test_the_gates_of_a_good_run_hold(http: httpx2.Client, run: str) -> None:
    assert gates(http, run, "?commit=c0ffee")["holds"] is True
    assert [gate["name"] for gate in gates(http, run)["gates"]] == [
        "state", "steps", "verification", "approvals", "effects", "deployments", "contents",
    ]  # fmt: skip


FALLS: tuple[tuple[str, tuple[Step, ...], str, str], ...] = (
    ("state", (("RunFinished", {"outcome": "failed"}, None),), "", "failed"),
    ("state", (("RunPaused", {"waiting_for": "external"}, None),), "", "waiting for external"),
    ("steps", (("StepStarted", {"step": "x"}, None),), "", "step x is under way"),
    ("verification", (("VerificationRecorded", {"result": "FAILED", "name": "lint"}, None),), "",
     "lint FAILED"),
    ("verification", (), "?commit=beef00", "not on beef00"),
    ("approvals",
     (("ApprovalRequested", {"approval": "a2", "scope": "repo.push", "intent": "i"}, None),), "",
     "approval a2 for repo.push is not decided"),
    ("effects", (("SideEffectIntended", {"effect": "e2", "scope": "x", "intent": "i"}, None),), "",
     "outcome of e2 (x) is not recorded"),
    ("deployments",
     (("DeploymentRecorded", {"provider": "p", "environment": "production", "commit": "c0ffee",
                              "outcome": "succeeded"}, None),), "", "names no side effect"),
)  # fmt: skip


@pytest.mark.parametrize(("name", "steps", "query", "says"), FALLS)
def test_a_gate_falls(
    http: httpx2.Client, project: str, run: str,
    name: str, steps: tuple[Step, ...], query: str, says: str,
) -> None:  # fmt: skip
    if steps:
        append(http, project, "r1", steps)
    found = fallen(http, run, query)
    assert list(found) == [name]
    assert says.lower() in found[name].lower()


def test_a_content_that_is_gone_is_no_longer_held_and_its_gate_falls(
    http: httpx2.Client, project: str, run: str, served: Served
) -> None:
    gone = (project, hashlib.sha256(b"ok\n").digest())
    deleted = served.execute("DELETE FROM blob WHERE project_id = %s AND sha256 = %s", *gone)
    assert deleted == 1
    assert digest_of(b"ok\n") in fallen(http, run)["contents"]


def test_a_side_effect_from_elsewhere_without_approval_is_found_in_the_log_itself(
    http: httpx2.Client, project: str, run: str
) -> None:
    # It was fine when it happened; what counts is the policy of its own time.
    http.patch(f"/v1/projects/{project}/policy", json={"guarded_scopes": []})
    append(
        http, project, "r1",
        (("SideEffectIntended", {"effect": "e9", "scope": "repo.push", "intent": "i"}, None),
         ("SideEffectFinished", {"effect": "e9", "outcome": "succeeded"}, None)),
    )  # fmt: skip
    http.patch(f"/v1/projects/{project}/policy", json={"guarded_scopes": ["repo.push"]})
    assert fallen(http, run) == {}


def test_an_audit_bundle_is_written_once_for_the_same_run(
    http: httpx2.Client, project: str, run: str
) -> None:
    first = http.post(f"{run}/audit-bundle")
    assert (first.status_code, first.json()["version"]) == (201, 1)
    content = http.get(first.headers["location"] + "/content").content
    assert digest_of(content) == first.json()["digest"]
    bundle = read_audit_bundle(content)
    kinds = {"IMPLEMENTATION_PLAN", "PATCHSET", "VERIFICATION_REPORT", "TRANSCRIPT", "APPROVAL",
             "SIDE_EFFECT", "DEPLOYMENT_PROVENANCE", "STEP", "RUN"}  # fmt: skip
    assert {entry.kind for entry in bundle.entries} == kinds
    assert [entry.version for entry in bundle.entries] == list(range(1, len(SHIPPED) + 1))
    assert bundle.entries[2].contents[0].digest == digest_of(PLAN)
    assert [(one.kind, one.key, one.version) for one in bundle.artifacts] == [("PRD", "main", 1)]
    line = http.get(f"/v1/projects/{project}/events/{bundle.entries[0].position}").content
    assert bundle.entries[0].leaf_hash == digest_of(b"\0" + line)

    http.post(f"/v1/projects/{project}/artifacts/PRD/main/versions", json={"content": "# New\n"})
    second = http.post(f"{run}/audit-bundle")
    assert (second.status_code, second.json()["version"]) == (200, 1)

    append(http, project, "r1", (("RunFinished", {"outcome": "succeeded"}, None),))
    third = http.post(f"{run}/audit-bundle")
    assert (third.status_code, third.json()["version"]) == (201, 2)


def test_the_exports_hold_the_run_with_what_it_refers_to(
    http: httpx2.Client, project: str, run: str, tmp_path: Path
) -> None:
    http.post(f"{run}/audit-bundle")
    position = http.get(f"/v1/projects/{project}").json()["position"]
    path = f"/v1/projects/{project}/exports/{position}.zip"
    whole = zipfile.ZipFile(io.BytesIO(http.get(path).content))
    assert f"{project}-{position}/data/artifacts/IMPLEMENTATION_AUDIT_BUNDLE/r1.v1.json" in (
        whole.namelist()
    )
    alone = zipfile.ZipFile(io.BytesIO(http.get(path, params={"run": "r1"}).content))
    folder = f"{project}-r1-{position}"
    assert f"{folder}/data/artifacts/PRD/main.v1.md" in alone.namelist()
    assert f"{folder}/data/runs/r1/plan.v3.json" in alone.namelist()
    leaves = alone.read(f"{folder}/data/leaves.txt").split()
    assert len(leaves) == position
    for line in alone.read(f"{folder}/data/events.jsonl").splitlines():
        place = msgspec.json.decode(line)["position"]
        assert leaves[place - 1].decode() == hashlib.sha256(b"\0" + line).hexdigest()


def test_whoever_writes_the_audit_bundle_at_once_writes_it_once(
    http: httpx2.Client, project: str, run: str, served: Served
) -> None:
    together = threading.Barrier(8)

    def write_it(_number: int) -> tuple[int, bool]:
        together.wait(30)
        found = runs.write_audit_bundle(served.ledger, project, "r1", actor="user:ada")
        return found.version, found.written

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(write_it, range(8)))
    assert {version for version, _ in found} == {1}
    assert sum(written for _, written in found) == 1
    history = http.get(f"/v1/projects/{project}/artifacts/IMPLEMENTATION_AUDIT_BUNDLE/r1/versions")
    assert len(history.json()["versions"]) == 1


def test_a_runs_id_that_looks_random_is_no_secret_in_its_audit_bundle(
    http: httpx2.Client, project: str
) -> None:
    # By the rule generic-api-key, `"key":"gh-43972608-1"` would be one: no two of its digits are alike.
    begun = {"stream": "run/gh-43972608-1", "type": "RunCreated", "data": {"title": "A job's"}}
    events = f"/v1/projects/{project}/events"
    assert http.post(events, json={"events": [begun]}).status_code == 201
    written = http.post(f"/v1/projects/{project}/runs/gh-43972608-1/audit-bundle")
    assert written.status_code == 201, written.text
    # What others bring is looked through all the same.
    data = {"media_type": "application/json"}
    note = {"stream": "artifact/NOTE/n", "type": "ArtifactWritten", "data": data}
    brought = http.post(events, json={"events": [{**note, "content": '{"key":"gh-43972608-1"}'}]})
    assert brought.json()["code"] == "secret-detected", brought.text
