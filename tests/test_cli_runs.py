"""Runs fed by commands alone, against a ledger that runs: what is recorded, printed and refused."""

import io
import json
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from app.cli import failure
from app.cli.root import run
from app.cli.run_start import new_run_id
from domain.approval import NAMESPACE, statement
from domain.deployment import read_deployment
from domain.events import (
    DeploymentRecorded,
    EventData,
    InfrastructureRecorded,
    PatchSetRecorded,
    PlanRecorded,
    RunCreated,
    SideEffectIntended,
    StepFinished,
    StepStarted,
    parse,
)
from domain.names import check_run_id
from domain.patchset import read_patchset
from domain.plan import read_plan
from tests.git_samples import Repository
from tests.serving import Served

pytestmark = pytest.mark.usefixtures("command_line")

Typed = Callable[..., str]
PLAN = """# Add a login

- [ ] T1: Write the page (FR-034), after ADR/0004@1
  - The form has a label.
- [ ] T2: Ship it
  - Depends on: T1
"""


@pytest.fixture
def typed(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Runs a command line; answers what it printed: results, or with a failure the complaint."""

    def type_it(*words: str, given: bytes = b"", expected: int = failure.OK) -> str:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        code = run(words)
        written = capfd.readouterr()
        assert code == expected, written.out + written.err
        return written.out if expected == failure.OK else written.err

    return type_it


@pytest.fixture
def recorded(served: Served, project: str) -> Callable[[str], list[EventData]]:
    """The data of a run's events, in order."""

    def read(run_id: str) -> list[EventData]:
        entries = served.ledger.log.stream(project, f"run/{run_id}", 0, 1_000, 10**9)
        return [parse(entry.line).data for entry in entries]

    return read


@pytest.fixture
def content(served: Served, project: str) -> Callable[[str], bytes]:
    """The bytes of a digest."""

    def read(digest: str) -> bytes:
        with served.client() as client:
            answer = client.get(f"/v1/projects/{project}/blobs/{digest}")
        assert answer.status_code == 200, answer.text
        return answer.content

    return read


Recorded = Callable[[str], list[EventData]]
Contents = Callable[[str], bytes]


Kind = TypeVar("Kind", bound=EventData)


def the(kind: type[Kind], events: list[EventData]) -> Kind:
    """The one event of a kind."""
    [found] = [event for event in events if isinstance(event, kind)]
    return found


def repository_with_two_commits(folder: Path) -> tuple[str, str]:
    """A checkout in which two commits follow on the first; answers first and last."""
    repository = Repository(folder)
    first = repository.commit(message="First", read="# Read\n")
    repository.write("page.html", "<form>\n")
    repository.commit(message="A page")
    (folder / "read.md").unlink()
    repository.write("logo.bin", bytes(range(256)))
    return first, repository.commit(message="A logo")


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
    run_id = typed("run", "start", "Add a login", "--base", first, "--artifact", "ADR/0004").strip()
    assert run_id.startswith("add-a-login-")
    (tmp_path / "plan.md").write_text(PLAN)
    typed("record", "plan", str(tmp_path / "plan.md"))
    typed("record", "step", "start", "build", "--title", "Build it", "--input", "commit=" + last)
    typed("record", "patchset", "--base", first)
    said = typed("record", "transcript", "--step", "build", "--", "echo", "built")
    assert said == "built\n"
    typed("record", "step", "finish", "--output", f"plan=@{tmp_path / 'plan.md'}")
    asked = typed("record", "approval", "request", "--scope", "deploy.production").strip()
    typed("run", "pause", "--for", "approval", "--approval", asked)
    typed("record", "approval", "grant", "--approver", "Grace")
    typed("run", "resume")
    typed(
        "record", "effect", "run", "--scope", "deploy.production", "--intent", "Ship it",
        "--effect", "ship", "--set", "region=eu", "--secret", "token", "--", "echo", "shipped",
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
    typed("run", "finish", "--no-bundle")
    assert f"{run_id}  succeeded" in typed("run", "list")

    events = recorded(run_id)
    assert [type(event).__name__ for event in events] == [
        "RunCreated", "RunStarted", "PlanRecorded", "StepStarted", "PatchSetRecorded",
        "TranscriptRecorded", "StepFinished", "ApprovalRequested", "RunPaused", "ApprovalRecorded",
        "RunResumed", "SideEffectIntended", "TranscriptRecorded", "SideEffectFinished",
        "DeploymentRecorded", "InfrastructureRecorded", "RunFinished",
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
    deployed = the(DeploymentRecorded, events)
    assert (deployed.commit, deployed.effect, deployed.deployment) == (last, "ship", "dpl_1")
    assert deployed.content is not None
    provenance = read_deployment(content(deployed.content.digest))
    assert provenance.urls == ("https://login.example",)
    infrastructure = the(InfrastructureRecorded, events)
    assert infrastructure.resources[0].region == "eu"

    export = json.loads(typed("--json", "export", "--run", run_id))
    assert json.loads(typed("--json", "verify", export["path"]))["state"] == "VERIFIED-UNANCHORED"
