"""Runs fed by commands alone, against a ledger that runs: what is recorded, printed and refused."""

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import click
import pytest

from app.cli import failure
from app.cli.root import root, run
from app.cli.run_start import new_run_id
from domain.approval import NAMESPACE, statement
from domain.deployment import read_deployment
from domain.events import (
    ApprovalRecorded,
    DeploymentRecorded,
    InfrastructureRecorded,
    PatchSetRecorded,
    PlanRecorded,
    RunCreated,
    RunFinished,
    SideEffectFinished,
    SideEffectIntended,
    StepFinished,
    StepStarted,
)
from domain.names import check_run_id
from domain.patchset import read_patchset
from domain.plan import read_plan
from tests.git_samples import Repository
from tests.run_commands import Contents, Recorded, Typed, repository_with_two_commits, the
from tests.serving import Served

pytestmark = pytest.mark.usefixtures("command_line")

ROOT = Path(__file__).parent.parent
PLAN = """# Add a login

- [ ] T1: Write the page (FR-034), after ADR/0004@1
  - The form has a label.
- [ ] T2: Ship it
  - Depends on: T1
"""


def test_a_run_is_recorded_by_commands_alone(
    typed: Typed,
    recorded: Recorded,
    content: Contents,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, last = repository_with_two_commits(tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    typed("artifact", "put", "-", "--kind", "ADR", "--key", "0004", given=b"# Use forms\n")
    run_id = typed(
        "run", "start", "Add a login", "--base", "HEAD~2", "--artifact", "ADR/0004"
    ).strip()
    assert run_id.startswith("add-a-login-")
    (tmp_path / "plan.md").write_text(PLAN)
    typed("record", "plan", str(tmp_path / "plan.md"))
    typed("record", "step", "start", "build", "--title", "Build it", "--input", "commit=" + last)
    typed("record", "patchset")
    said = typed("record", "transcript", "--step", "build", "--", "echo", "built")
    assert said == "built\n"
    typed("record", "step", "finish", "--output", f"plan=@{tmp_path / 'plan.md'}")
    asked = typed("record", "approval", "request", "--scope", "deploy.production").strip()
    typed("run", "pause", "--for", "approval", "--approval", asked)
    waiting = json.loads(typed("--json", "run", "status"))
    assert (waiting["phase"], waiting["waits_for"]) == ("waiting_approval", asked)
    assert waiting["open_approvals"] == [f"{asked} for deploy.production"]
    typed("record", "approval", "grant", "--approver", "Grace")
    typed("run", "resume")
    typed(
        "record", "effect", "run", "--scope", "deploy.production", "--intent", "Ship it",
        "--effect", "ship", "--set", "region=eu", "--secret", "token=hush", "--", "echo", "shipped",
    )  # fmt: skip
    typed(
        "record", "deployment", "--provider", "vercel", "--environment", "production",
        "--id", "dpl_1", "--url", "https://login.example", "--effect", "ship",
    )  # fmt: skip
    typed(
        "record", "infrastructure", "--provider", "neon",
        "--resource", "database=main,region=eu,url=https://neon.example/main",
    )  # fmt: skip
    status = json.loads(typed("--json", "run", "status"))
    assert status == {
        "run": run_id,
        "phase": "running",
        "open_steps": [],
        "open_approvals": [],
        "open_effects": [],
    }
    junit = '<testsuite name="unit" tests="1"><testcase classname="a" name="b"/></testsuite>'
    typed("record", "verification", "-", "--name", "unit", given=junit.encode())
    typed("run", "finish")
    assert f"{run_id}  succeeded" in typed("run", "list")

    gates = typed("check", "run", "--commit", "HEAD")
    assert gates.count("✓ ") == 7
    assert "All gates hold." in gates
    missed = typed("check", "run", "--commit", first, expected=failure.NOT_VERIFIED)
    assert missed == ""
    shown = typed("run", "show", "--contents")
    assert shown.startswith("Add a login ")
    assert "✓ succeeded" in shown.splitlines()[0]
    assert "granted by token:admin in the name of Grace" in shown
    assert f"✓  Ship it  deploy.production  by token:admin  allowed by {asked}" in shown
    assert "https://login.example  by ship" in shown
    assert "recorded 2 commits  ●●" in shown
    assert "all 9 contents behind these events are held" in shown
    assert "\x1b[" not in shown
    assert json.loads(typed("--json", "run", "show"))["phase"] == "succeeded"
    bundle = json.loads(typed("--json", "run", "bundle"))
    assert (bundle["kind"], bundle["version"]) == ("IMPLEMENTATION_AUDIT_BUNDLE", 1)

    events = recorded(run_id)
    assert [type(event).__name__ for event in events] == [
        "RunCreated", "RunStarted", "PlanRecorded", "StepStarted", "PatchSetRecorded",
        "TranscriptRecorded", "StepFinished", "ApprovalRequested", "RunPaused", "ApprovalRecorded",
        "RunResumed", "SideEffectIntended", "TranscriptRecorded", "SideEffectFinished",
        "DeploymentRecorded", "InfrastructureRecorded", "VerificationRecorded",
        "RunFinished",
    ]  # fmt: skip
    created = the(RunCreated, events)
    assert (created.base_commit, created.head_commit) == (first, last)
    assert [(one.kind, one.version) for one in created.artifacts] == [("ADR", 1)]
    planned = the(PlanRecorded, events)
    assert planned.artifacts == created.artifacts
    plan = read_plan(content(planned.content.digest))
    assert [task.id for task in plan.tasks] == ["T1", "T2"]
    assert plan.tasks[0].traces[0].digest == created.artifacts[0].digest
    patched = the(PatchSetRecorded, events)
    assert len(patched.commits) == 2
    found = read_patchset(content(patched.content.digest))
    assert [commit.message for commit in found.commits] == ["A page\n", "A logo\n"]
    assert [(one.path, one.change) for one in found.diff_manifest] == [
        ("logo.bin", "added"),
        ("page.html", "added"),
        ("read.md", "deleted"),
    ]
    assert patched.patch is not None
    clone = tmp_path / "applied"
    Repository(clone).git("pull", "--quiet", str(tmp_path / "work"), "main")
    git = ["git", "-C", str(clone)]
    subprocess.run([*git, "checkout", "--quiet", first], check=True, timeout=60)
    patch = content(patched.patch.digest)
    subprocess.run([*git, "apply", "--index"], input=patch, check=True, timeout=60)
    subprocess.run([*git, "diff", "--exit-code", "--cached", last], check=True, timeout=60)
    assert the(StepStarted, events).inputs[0].value == last
    assert the(StepFinished, events).outputs[0].content is not None
    intended = the(SideEffectIntended, events)
    assert [(one.name, one.value, one.redacted) for one in intended.parameters] == [
        ("region", "eu", False),
        ("token", "", True),
    ]
    assert intended.approval == asked
    deployed = the(DeploymentRecorded, events)
    assert (deployed.commit, deployed.effect, deployed.deployment) == (last, "ship", "dpl_1")
    assert deployed.content is not None
    provenance = read_deployment(content(deployed.content.digest))
    assert provenance.urls == ("https://login.example",)
    infrastructure = the(InfrastructureRecorded, events)
    assert infrastructure.resources[0].region == "eu"

    export = json.loads(typed("--json", "export", "--run", run_id, "--seal"))
    typed("trusted-root", "-o", ".")
    report = json.loads(typed("--json", "verify", export["path"], "--trust", "trust.json"))
    assert report["state"] == "VERIFIED-UNANCHORED"


def test_the_session_in_the_docs_has_only_options_that_there_are() -> None:
    page = (ROOT / "docs/runs.md").read_text("utf-8")
    [block] = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    for line in block.splitlines():
        program, *words = shlex.split(line, comments=True)
        assert program == "deedbook"
        command: click.Command | None = root
        while isinstance(command, click.Group):
            command = command.get_command(click.Context(command), words.pop(0))
        assert command is not None, line
        names = {name for parameter in command.params for name in parameter.opts}
        own = words[: words.index("--")] if "--" in words else words
        assert {word for word in own if word.startswith("--")} <= names, line


def test_a_run_has_a_readable_id_that_fits_the_grammar() -> None:
    for title in ("Add a login", "Ünïcode – ", "", "con", "x" * 300, "a-" * 40):
        made = new_run_id(title)
        check_run_id(made)
        assert made != new_run_id(title)


def test_the_run_meant_is_the_one_named_then_the_variable_then_the_last_started(
    typed: Typed,
    tmp_path: Path,
    project: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert "no-current-run" in typed("run", "status", expected=failure.NOT_FOUND)
    assert typed("run", "start", "One", "--id", "one") == "one\n"
    typed("run", "start", "Two", "--id", "two")
    file = tmp_path / "data" / f"run-{project}.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def meant(*words: str) -> str:
        return str(json.loads(typed("--json", "run", "status", *words))["run"])

    assert meant() == "two"
    monkeypatch.setenv("DEEDBOOK_RUN", "one")
    assert meant() == "one"
    assert meant("two") == "two"
    monkeypatch.delenv("DEEDBOOK_RUN")
    assert "run-not-found" in typed("run", "status", "three", expected=failure.NOT_FOUND)
    assert "validation-failed" in typed("run", "status", "../x", expected=failure.USAGE)
    file.write_text('{"url":"http://other.example","run":"two"}')
    assert "no-current-run" in typed("run", "status", expected=failure.NOT_FOUND)
    file.write_text("{")
    assert str(file) in typed("run", "status", expected=failure.USAGE)
    file.unlink()
    file.mkdir()
    assert run(["run", "start", "Three", "--id", "three"]) == 0
    assert "set DEEDBOOK_RUN=three" in capfd.readouterr().err


def test_what_ci_says_stands_in_the_run_and_the_way_to_export_it_is_said(
    typed: Typed,
    recorded: Recorded,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_REPOSITORY", "ada/engine")
    monkeypatch.setenv("GITHUB_SHA", "a" * 40)
    assert run(["run", "start", "From CI", "--id", "ci"]) == 0
    assert 'echo "DEEDBOOK_RUN=ci" >> "$GITHUB_ENV"' in capfd.readouterr().err
    created = the(RunCreated, recorded("ci"))
    assert created.repository == "https://github.com/ada/engine"
    assert created.head_commit == "a" * 40


def test_a_run_that_could_not_start_leaves_nothing(
    typed: Typed, served: Served, project: str
) -> None:
    for words in (
        ("--id", "UPPER"),
        ("--artifact", "PRD"),
        ("--head", "not-a-sha"),
    ):
        typed("run", "start", "It", *words, expected=failure.USAGE)
    typed("run", "start", "It", "--artifact", "PRD/main@2", expected=failure.NOT_FOUND)
    typed("run", "start", "It", "--id", "it")
    size = served.ledger.log.head(project).size
    assert "invalid-transition" in typed(
        "run", "start", "It", "--id", "it", expected=failure.CONFLICT
    )
    assert served.ledger.log.head(project).size == size


def test_a_guarded_effect_without_an_approval_is_refused_and_its_command_not_run(
    typed: Typed, recorded: Recorded, tmp_path: Path
) -> None:
    typed("run", "start", "It", "--id", "it")
    effect = ["record", "effect"]
    what = ["--scope", "repo.push", "--intent", "Push it"]
    said = typed(*effect, "begin", *what, "--effect", "push", expected=failure.CONFLICT)
    assert "push needs a granted approval for repo.push: nobody approved it" in said
    assert "(approval-missing at /scope)" in said
    assert "hint: `deedbook record approval request" in said
    mark = tmp_path / "done"
    typed(*effect, "run", *what, "--", "touch", str(mark), expected=failure.CONFLICT)
    assert not mark.exists()
    asked = typed("record", "approval", "request", "--scope", "repo.push").strip()
    said = typed(*effect, "begin", *what, expected=failure.CONFLICT)
    assert f"approval {asked} is not decided yet" in said
    typed("record", "approval", "reject", "--reason", "Not on a Friday")
    said = typed(*effect, "begin", *what, "--approval", asked, expected=failure.CONFLICT)
    assert f"approval {asked} was rejected" in said
    failed = typed("check", "run", expected=failure.NOT_VERIFIED)
    assert failed == ""
    typed("record", "approval", "grant", "--scope", "repo.push")
    begun = typed(*effect, "begin", *what, "--target", "branch=main").strip()
    said = typed("run", "finish", expected=failure.CONFLICT)
    assert f"side effect {begun} is still open" in said
    typed(*effect, "end", "--resource", "pull-request=7,provider=github", "--external-id", "7")
    finished = the(SideEffectFinished, recorded("it"))
    assert (finished.effect, finished.outcome, finished.external_ids) == (
        begun,
        "succeeded",
        ("7",),
    )
    assert finished.resources[0].provider == "github"
    assert "No side effects are open" in typed(*effect, "end", expected=failure.USAGE)
    typed(*effect, "end", begun, expected=failure.CONFLICT)


def test_the_gates_say_what_is_missing(typed: Typed, capfd: pytest.CaptureFixture[str]) -> None:
    typed("run", "start", "It", "--id", "it")
    typed(
        "record", "deployment", "--provider", "p", "--environment", "production",
        "--commit", "abcd1234",
    )  # fmt: skip
    assert run(["check", "run"]) == failure.NOT_VERIFIED
    said = capfd.readouterr().out
    assert "✓ state " in said
    assert "✗ verification  No verification is recorded." in said
    assert "✗ deployments   The deployment to production" in said
    assert "2 of 7 gates do not hold.  run it at position 4" in said
    assert run(["--json", "check", "run", "it"]) == failure.NOT_VERIFIED
    found = json.loads(capfd.readouterr().out)
    assert [gate["name"] for gate in found["gates"] if not gate["holds"]] == [
        "verification",
        "deployments",
    ]


def test_with_four_eyes_somebody_else_has_to_grant_it(
    typed: Typed, served: Served, recorded: Recorded
) -> None:
    typed("policy", "set", "--four-eyes")
    typed("run", "start", "It", "--id", "it")
    asked = typed("record", "approval", "request", "--scope", "repo.push").strip()
    grant = ["record", "approval", "grant"]
    assert "four-eyes" in typed(*grant, expected=failure.CONFLICT)
    other = served.limited("events:read", "events:append")
    typed("--token", other, *grant)
    effect = ["record", "effect", "begin", "--scope", "repo.push", "--intent", "x"]
    refused = typed("--token", other, *effect, expected=failure.CONFLICT)
    assert "four eyes" in refused
    typed(*effect)
    assert the(SideEffectIntended, recorded("it")).approval == asked


def test_an_approval_is_named_where_more_than_one_is_open(typed: Typed, recorded: Recorded) -> None:
    typed("run", "start", "It", "--id", "it")
    grant = ["record", "approval", "grant"]
    assert "No approval is open" in typed(*grant, expected=failure.USAGE)
    request = ["record", "approval", "request", "--scope", "repo.push", "--approval"]
    typed(*request, "one")
    typed(*request, "two")
    assert "one, two" in typed(*grant, expected=failure.USAGE)
    assert "has no approval x" in typed(*grant, "--approval", "x", expected=failure.USAGE)
    typed(*grant, "--approval", "two")
    typed(*grant, "--scope", "repo.push")
    typed("record", "approval", "reject", "--approval", "one", "--reason", "Revoked")
    decisions = [one for one in recorded("it") if isinstance(one, ApprovalRecorded)]
    assert [(one.approval, one.decision) for one in decisions] == [
        ("two", "approved"),
        ("one", "approved"),
        ("one", "rejected"),
    ]
    typed(*grant, "--approval", "three", "--scope", "infra.provision")


@pytest.mark.outside
def test_an_approval_is_signed_with_an_ssh_key_that_ssh_keygen_verifies(
    typed: Typed, recorded: Recorded, tmp_path: Path, project: str
) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not here")
    key = tmp_path / "key"
    made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "grace", "-f", str(key)]
    subprocess.run(made, check=True, timeout=60)
    typed("run", "start", "It", "--id", "it")
    asked = typed("record", "approval", "request", "--scope", "repo.merge", "--intent", "Go")
    typed("record", "approval", "grant", "--sign-with", str(key))
    granted = the(ApprovalRecorded, recorded("it"))
    assert granted.signature is not None
    assert granted.signature.key_id is not None
    assert granted.signature.key_id.startswith("SHA256:")
    signed = statement(
        origin=f"{project}.ledger.example",
        run="it",
        approval=asked.strip(),
        scope="repo.merge",
        decision="approved",
    )
    (tmp_path / "signature").write_text(granted.signature.value)
    public = key.with_suffix(".pub").read_text()
    (tmp_path / "allowed").write_text(f"grace@example.com {public}")
    verify = ["ssh-keygen", "-Y", "verify", "-f", "allowed", "-I", "grace@example.com"]
    verify += ["-n", NAMESPACE, "-s", "signature"]
    good = subprocess.run(verify, cwd=tmp_path, input=signed, check=False, timeout=60)
    assert good.returncode == 0
    other = signed.replace(b"approved", b"rejected")
    bad = subprocess.run(verify, cwd=tmp_path, input=other, check=False, timeout=60)
    assert bad.returncode != 0
    assert "signed" in typed("run", "show")


def test_what_cannot_be_signed_is_not_recorded(
    typed: Typed, recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed("run", "start", "It", "--id", "it")
    grant = ["record", "approval", "grant", "--scope", "repo.push", "--sign-with"]
    (tmp_path / "no-key").write_text("nothing\n")
    if shutil.which("ssh-keygen"):
        assert "file-not-found" in typed(*grant, "absent", expected=failure.NOT_FOUND)
        assert "signing-failed" in typed(*grant, "no-key", expected=failure.USAGE)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "ssh-keygen-missing" in typed(*grant, "no-key", expected=failure.SERVER)
    assert len(recorded("it")) == 2


def test_steps_have_attempts_that_are_counted_for_you(typed: Typed, recorded: Recorded) -> None:
    typed("run", "start", "It", "--id", "it")
    typed("record", "step", "start", "build")
    open_now = json.loads(typed("--json", "run", "status"))["open_steps"]
    assert open_now == ["build (attempt 1)"]
    again = typed("record", "step", "start", "build", expected=failure.CONFLICT)
    assert "still in attempt 1" in again
    typed("record", "step", "finish", "--outcome", "failed", "--error", "No disk")
    made = json.loads(typed("--json", "record", "step", "start", "build"))
    assert made["attempt"] == 2
    typed("record", "step", "finish", "build")
    assert "No steps are open" in typed("record", "step", "finish", expected=failure.USAGE)
    assert "NAME=VALUE" in typed(
        "record", "step", "start", "other", "--input", "x", expected=failure.USAGE
    )
    shown = typed("run", "show")
    assert "✓  build  attempt 2" in shown
    assert "step build failed: No disk" in shown
    assert len(recorded("it")) == 6


def test_the_policy_is_shown_and_changed(typed: Typed, served: Served) -> None:
    shown = json.loads(typed("--json", "policy", "show"))
    assert "repo.push" in shown["guarded_scopes"]
    changed = json.loads(
        typed("--json", "policy", "set", "--guard", "deploy.*", "--guard", "repo.push",
              "--four-eyes", "--production", "live", "--secrets", "replace")
    )  # fmt: skip
    assert changed["guarded_scopes"] == ["deploy.*", "repo.push"]
    assert (changed["four_eyes"], changed["production"]) == (True, ["live"])
    one, two = (f"sha256:{letter * 64}" for letter in "ab")
    typed("policy", "set", "--allow-secret", one)
    both = json.loads(typed("--json", "policy", "set", "--allow-secret", two, "--no-four-eyes"))
    assert (both["allowed_secrets"], both["four_eyes"]) == ([one, two], False)
    assert json.loads(typed("--json", "policy", "set", "--guard-nothing"))["guarded_scopes"] == []
    assert "Name what to change" in typed("policy", "set", expected=failure.USAGE)
    assert "/guarded_scopes/0" in typed("policy", "set", "--guard", "A", expected=failure.USAGE)
    reader = served.limited("events:read")
    assert "insufficient-scope" in typed(
        "--token", reader, "policy", "set", "--four-eyes", expected=failure.AUTHENTICATION
    )


def test_a_patch_set_starts_where_base_and_head_parted(
    typed: Typed, recorded: Recorded, content: Contents, tmp_path: Path
) -> None:
    repository = Repository(tmp_path / "work")
    first = repository.commit(one="1")
    repository.branch("topic")
    topic = repository.commit(two="2")
    repository.switch("main")
    repository.commit(three="3")
    typed("run", "start", "It", "--id", "it")
    patchset = ["record", "patchset", "--in", "work", "--head", "topic"]
    typed(*patchset, "--base", "main", "--no-patch", "--repository", "https://code.example/it")
    found = the(PatchSetRecorded, recorded("it"))
    assert (found.base_commit, found.commits) == (first, (topic,))
    assert read_patchset(content(found.content.digest)).base == first
    assert (found.repository, found.patch) == ("https://code.example/it", None)
    for words, code in (
        (("--base", "nowhere"), "git-revision-not-found"),
        (("--base", "--help"), "git-revision-not-found"),
        (("--base", "topic"), "git-range-empty"),
    ):
        assert code in typed(*patchset, *words, expected=failure.NOT_FOUND)
    assert "Give --base" in typed(*patchset, expected=failure.USAGE)
    outside = ["record", "patchset", "--in", str(tmp_path), "--base", "main"]
    assert "git-not-a-repository" in typed(*outside, expected=failure.NOT_FOUND)
    assert len(recorded("it")) == 3


def test_a_deployment_that_cannot_be_is_refused_before_it_is_sent(
    typed: Typed, recorded: Recorded
) -> None:
    typed("run", "start", "It", "--id", "it")
    deployment = ["record", "deployment", "--provider", "p", "--environment", "e"]
    assert "--commit" in typed(*deployment, expected=failure.USAGE)
    deployment += ["--commit", "abcd1234"]
    for words in (("--url", "https://ada:secret@x"), ("--artifact", "x"), ("--commit", "HEAD")):
        assert "validation-failed" in typed(*deployment, *words, expected=failure.USAGE)
    unknown = typed(*deployment, "--effect", "none", expected=failure.CONFLICT)
    assert "unknown-reference" in unknown
    digest = "sha256:" + "0" * 64
    typed(*deployment, "--outcome", "rolled_back", "--rolled-back-from", "d2", "--artifact",
          f"registry.example/it@{digest}")  # fmt: skip
    assert the(DeploymentRecorded, recorded("it")).rolled_back_from == "d2"
    resource = ["record", "infrastructure", "--provider", "p"]
    assert "KIND=ID" in typed(*resource, "--resource", "x", expected=failure.USAGE)
    typed(*resource, "--file", "-", given=b'{"size": 3}')
    assert "malformed-json" in typed(*resource, "--file", "-", given=b"{", expected=failure.USAGE)


def test_a_run_is_finished_even_if_its_bundle_may_not_be_written(
    typed: Typed, served: Served, recorded: Recorded
) -> None:
    typed("run", "start", "It", "--id", "it")
    token = served.limited("events:read", "events:append")
    said = typed("--token", token, "run", "finish", expected=failure.AUTHENTICATION)
    assert "insufficient-scope" in said
    assert (
        "The run is finished, its audit bundle is not written: `deedbook run bundle` does." in said
    )
    assert the(RunFinished, recorded("it")).outcome == "succeeded"
    assert json.loads(typed("--json", "run", "bundle", "it"))["version"] == 1
    again = json.loads(typed("--json", "run", "bundle", "it"))
    assert again["version"] == 1


def test_files_that_cannot_be_read_are_named(typed: Typed, tmp_path: Path) -> None:
    typed("run", "start", "It", "--id", "it")
    assert "There is no file x.md" in typed("record", "plan", "x.md", expected=failure.NOT_FOUND)
    unreadable = typed("record", "plan", str(tmp_path), expected=failure.USAGE)
    assert "cannot be read: Is a directory" in unreadable
    (tmp_path / "large.md").write_bytes(b"x" * (4 * 1024 * 1024 + 1))
    assert "body-too-large" in typed("record", "plan", "large.md", expected=failure.USAGE)


def test_a_large_description_is_uploaded_before(
    typed: Typed, recorded: Recorded, content: Contents
) -> None:
    typed("run", "start", "It", "--id", "it")
    raw = json.dumps({"servers": ["x" * 1_000] * 1_200}).encode()
    typed("record", "infrastructure", "--provider", "p", "--file", "-", given=raw)
    kept = the(InfrastructureRecorded, recorded("it")).content
    assert kept is not None
    assert content(kept.digest) == raw


@pytest.mark.parametrize("no_color", [False, True])
def test_on_a_terminal_a_run_has_colours_unless_they_are_off(typed: Typed, no_color: bool) -> None:
    typed("run", "start", "It", "--id", "it")
    controller, terminal = os.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)} | {"NO_COLOR": "1" if no_color else ""}
    with subprocess.Popen(
        [sys.executable, "-m", "app", "run", "show"], stdout=terminal, env=environment
    ) as process:
        os.close(terminal)
        said = b""
        with suppress(OSError):  # how Linux says that the other end of a terminal is closed
            while piece := os.read(controller, 65_536):
                said += piece
        os.close(controller)
    assert process.returncode == 0
    assert (b"\x1b[1mIt\x1b[0m" in said) is not no_color
    assert (b"\x1b[" in said) is not no_color
    assert "▶ running".encode() in said


def test_a_secret_in_a_commit_is_refused_before_anything_is_sent_or_replaced_when_asked(
    typed: Typed, recorded: Recorded, content: Contents, tmp_path: Path
) -> None:
    token = "ghp_" + "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5"
    repository = Repository(tmp_path / "work")
    first = repository.commit(one="1")
    repository.commit(settings=f"key = {token}\n")
    typed("run", "start", "It", "--id", "it")
    patchset = ["record", "patchset", "--in", "work", "--base", first]
    said = typed(*patchset, expected=failure.USAGE)
    assert "secret-detected" in said
    assert token not in said
    assert len(recorded("it")) == 2
    typed(*patchset, "--redact")
    found = the(PatchSetRecorded, recorded("it"))
    assert found.patch is not None
    assert b"[redacted:github-pat]" in content(found.patch.digest)
    assert token.encode() not in content(found.patch.digest)


def test_a_deployment_is_by_the_only_side_effect_that_can_be_meant(
    typed: Typed, recorded: Recorded
) -> None:
    typed("run", "start", "It", "--id", "it")
    effect = ["record", "effect", "begin", "--scope", "deploy.staging", "--intent", "Try"]
    deploy = ["record", "deployment", "--provider", "here", "--environment", "staging"]
    typed(*effect, "--effect", "first")
    typed(*deploy, "--commit", "c0ffee")
    typed(*deploy, "--commit", "c0ffee")
    for name in ("second", "third"):
        typed(*effect, "--effect", name)
    typed(*deploy, "--commit", "c0ffee")
    found = [one.effect for one in recorded("it") if isinstance(one, DeploymentRecorded)]
    assert found == ["first", None, None]
