"""The GitHub Action: its steps run in order by a real bash, against a ledger, an issuer and a `gh` that stand in."""

import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from domain.events import (
    DeploymentRecorded,
    PatchSetRecorded,
    RunCreated,
    RunFinished,
    VerificationRecorded,
)
from tests.action_steps import ARTIFACT_URL, ROOT, Runner, Step, have_bash, read_action
from tests.gh_double import BOT, REPOSITORY, GhDouble
from tests.git_samples import Repository
from tests.issuer_double import REQUEST, REQUEST_TOKEN, IssuerDouble
from tests.run_commands import Recorded, the
from tests.serving import Served

PAGE = (ROOT / "docs/github-action.md").read_text("utf-8")
JUNIT = """<testsuites><testsuite name="unit" tests="2" failures="0">
<testcase classname="a" name="one"/><testcase classname="a" name="two"/></testsuite></testsuites>"""
HOSTILE = "</code></table><img src=x> @everyone [x](https://evil.example) | `x` **b** ::error::x #1"


@pytest.fixture
def issuer() -> Iterator[IssuerDouble]:
    with IssuerDouble().running() as double:
        yield double


class Job:
    """A job of a repository with a pull request, on a runner."""

    def __init__(self, folder: Path, served: Served, issuer: IssuerDouble, project: str) -> None:
        if not have_bash():
            pytest.skip("bash, git or sha256sum is not here")
        origin = Repository(folder / "origin")
        self.base = origin.commit(message="First", read="# Read\n")
        origin.git("switch", "--quiet", "-c", "work")
        origin.write("page.html", "<form>\n")
        self.head = origin.commit(message="A page")
        origin.git("update-ref", "refs/pull/7/head", self.head)
        origin.git("switch", "--quiet", "main")
        origin.git("branch", "-D", "work")
        origin.git("clone", "--quiet", str(folder / "origin"), str(folder / "checkout"))
        self.folder = folder
        self.workspace = folder / "checkout"
        self.event_file = folder / "event.json"
        self.served, self.issuer, self.project = served, issuer, project
        self.runner = Runner(
            folder / "runner",
            self.workspace,
            {
                "GITHUB_EVENT_PATH": str(self.event_file),
                "GITHUB_EVENT_NAME": "pull_request",
                "GITHUB_REPOSITORY": REPOSITORY,
                "GITHUB_SERVER_URL": "https://github.com",
                "GITHUB_RUN_ID": secrets.token_bytes(4).hex().translate(_DIGITS),
                "GITHUB_RUN_ATTEMPT": "1",
                "GITHUB_WORKFLOW": "ci",
                "GITHUB_SHA": "f" * 40,
                "GITHUB_REF_NAME": "7/merge",
                "ACTIONS_ID_TOKEN_REQUEST_URL": f"{issuer.url}{REQUEST}?api-version=2.0",
                "ACTIONS_ID_TOKEN_REQUEST_TOKEN": REQUEST_TOKEN,
            },
        )
        self.github = GhDouble(self.runner.programs)
        self.pull = {
            "number": 7,
            "title": "Add a form",
            "html_url": f"https://github.com/{REPOSITORY}/pull/7",
            "base": {"sha": self.base, "repo": {"full_name": REPOSITORY}},
            "head": {"sha": self.head, "repo": {"full_name": REPOSITORY}},
        }
        self.event({"pull_request": self.pull})

    def event(self, event: object) -> None:
        self.event_file.write_text(json.dumps(event))

    @property
    def run_id(self) -> str:
        return f"gh-{self.runner.variables['GITHUB_RUN_ID']}-1"

    def run(self, **inputs: str) -> dict[str, Step]:
        given = {name.replace("_", "-"): value for name, value in inputs.items()}
        return self.runner.run({"url": self.served.url, "project": self.project, **given})


_DIGITS = str.maketrans("abcdef", "123456")


@pytest.fixture
def job(
    tmp_path: Path, served: Served, http: httpx2.Client, issuer: IssuerDouble, project: str
) -> Job:
    made = http.post(
        "/v1/trusted-issuers",
        json={
            "name": "ci",
            "issuer": issuer.url,
            "audience": served.url,
            "claims": {"repository_id": "74"},
            "projects": [project],
            "scopes": ["events:append", "events:read", "artifacts:write", "exports:create"],
        },
    )
    assert made.status_code == 201, made.text
    return Job(tmp_path, served, issuer, project)


def outcomes(steps: dict[str, Step]) -> list[str]:
    return [one.outcome for one in steps.values()]


def said(steps: dict[str, Step]) -> str:
    return "\n".join(f"--- {name}: {one.outcome}\n{one.output}" for name, one in steps.items())


def test_a_job_is_recorded_sealed_verified_and_shown(job: Job, recorded: Recorded) -> None:
    (job.workspace / "out").mkdir()
    (job.workspace / "out/unit.xml").write_text(JUNIT)
    steps = job.run(
        reports="out/**/*.xml\nout/*.sarif\n",
        environment="staging",
        deployment_id="dpl_1",
        deployment_url="https://staging.example",
        outcome="success",
    )
    assert outcomes(steps) == ["success"] * 10, said(steps)

    events = recorded(job.run_id)
    created = the(RunCreated, events)
    assert created.title == "Add a form"
    assert (created.base_commit, created.head_commit) == (job.base, job.head)
    assert created.pull_request == f"https://github.com/{REPOSITORY}/pull/7"
    assert the(PatchSetRecorded, events).commits == (job.head,)
    check = the(VerificationRecorded, events)
    assert (check.commit, check.result) == (job.head, "PASSED")
    assert the(DeploymentRecorded, events).environment == "staging"
    assert the(RunFinished, events).outcome == "succeeded"
    entries = job.served.ledger.log.stream(job.project, f"run/{job.run_id}", 0, 9, 10**9)
    actors = {json.loads(one.line)["actor"] for one in entries}
    assert actors == {
        "oidc:127.0.0.1:octo-org/octo-repo/.github/workflows/ci.yml@refs/heads/main run 123/1"
    }

    [comment] = job.github.comments
    assert comment["number"] == 7
    summary = job.runner.summary.read_text()
    assert comment["body"] == f"<!-- deedbook: {job.project} -->\n{summary}"
    digest = steps["Export and seal"].outputs["sha256"]
    assert steps["Keep the export"].given["name"] == f"deedbook-{digest}"
    for text in (
        "**VERIFIED-UNANCHORED**",
        "SHA-256 <code>" + digest,
        f"--head {job.head}",
        f"[the export and its seal]({ARTIFACT_URL})",
        "2 total, 2 passed",
        "<code>staging</code>",
        "The keys came from the ledger itself",
        "**Gates**: all hold",
    ):
        assert text in summary, text
    kept = {file.name for file in Path(steps["Keep the export"].given["path"]).iterdir()}
    bundle = Path(steps["Export and seal"].outputs["bundle"]).name
    assert kept == {
        bundle,
        f"{bundle}.sigstore.json",
        "seal.pub",
        "trust.json",
        "trusted_root.json",
        "verify.json",
    }


def test_the_token_is_masked_ends_with_the_job_and_is_nowhere_left(job: Job) -> None:
    steps = job.run(patch_set="false")
    assert outcomes(steps).count("success") == 9, said(steps)
    [token] = re.findall(r"^::add-mask::(dbk_\w+)$", said(steps), re.MULTILINE)
    assert said(steps).count(token) == 1
    with job.served.client(token) as client:
        assert client.get("/v1/tokens/self").json()["code"] == "unauthenticated"
    for file in job.folder.rglob("*"):
        if file.is_file() and ".git" not in file.parts:
            assert token.encode() not in file.read_bytes(), file


def test_a_second_run_changes_the_same_comment_and_nobody_elses(job: Job) -> None:
    mark = f"<!-- deedbook: {job.project} -->\nmine"
    foreign = [
        {"id": number, "number": 7, "body": mark, "user": {"login": "mallory"}}
        for number in range(1, 151)
    ]
    job.github.put(comments=[*foreign, {"id": 151, "number": 7, "body": "x", "user": None}])
    job.run(patch_set="false")
    job.runner.variables["GITHUB_RUN_ID"] += "1"
    steps = job.run(patch_set="false")
    assert "failure" not in outcomes(steps), said(steps)
    made = job.github.comments[151:]
    assert len(made) == 1
    assert made[0]["user"]["login"] == BOT
    assert job.run_id in made[0]["body"].replace("&#45;", "-")
    assert job.github.comments[:150] == foreign
    assert [method for method, _ in job.github.known("calls")].count("POST") == 1


def test_a_step_that_is_repeated_goes_on_with_the_run(job: Job) -> None:
    job.run(patch_set="false")
    steps = job.run(patch_set="false")
    assert steps["Start a run"].outcome == "success"
    assert "is there already" in steps["Start a run"].output
    # What is finished stays finished.
    assert steps["Record"].outcome == "failure"
    assert "invalid-transition" in steps["Record"].output


def test_a_fork_is_recorded_by_the_run_after_it(job: Job, recorded: Recorded) -> None:
    branch = "a&b=c#x/é"
    job.runner.variables["GITHUB_EVENT_NAME"] = "workflow_run"
    job.runner.variables["GITHUB_SHA"] = job.base
    job.issuer.claims = {"event_name": "workflow_run"}
    fork = {"full_name": "mallory/octo-repo", "owner": {"login": "mallory"}}
    job.event(
        {
            "workflow_run": {
                "head_sha": job.head,
                "head_branch": branch,
                "event": "pull_request",
                "conclusion": "failure",
                "display_title": HOSTILE,
                "head_repository": fork,
                "pull_requests": [],
            }
        }
    )
    asked_as = f"mallory:{branch}"
    mine = {**job.pull, "title": HOSTILE, "head": {"sha": job.head, "repo": fork}}
    job.github.put(
        pulls=[
            {**mine, "number": 5, "head": {"sha": "e" * 40, "repo": fork}, "asked_as": asked_as},
            {
                **mine,
                "number": 6,
                "base": {"sha": job.base, "repo": {"full_name": "mallory/octo-repo"}},
                "asked_as": asked_as,
            },
            {**mine, "asked_as": asked_as},
        ]
    )
    # What the fork's job has left behind says whatever it likes.
    reports = job.workspace / "from-fork"
    reports.mkdir()
    escaped = HOSTILE.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    (reports / "unit.xml").write_text(
        f'<testsuite name="{escaped}" tests="1"><testcase name="{escaped}"/></testsuite>'
    )
    (reports / "number").write_text("1")
    outside = job.folder / "outside.xml"
    outside.write_text(JUNIT)
    (reports / "link.xml").symlink_to(outside)
    steps = job.run(reports="from-fork/*.xml")
    assert "failure" not in outcomes(steps), said(steps)

    events = recorded(job.run_id)
    assert the(RunCreated, events).head_commit == job.head
    assert the(PatchSetRecorded, events).commits == (job.head,)
    assert len(the(VerificationRecorded, events).sources) == 1
    assert the(RunFinished, events).outcome == "failed"
    [comment] = job.github.comments
    assert comment["number"] == 7
    assert "comes from a fork" in comment["body"]
    for text in ("<img", "@everyone", "](https://evil", "**b**", "</table>", " #1", "`x`"):
        assert text not in comment["body"], text
    # No line of a step is taken for a command of the runner.
    recording = steps["Record"].output
    stopped = re.search(r"^::stop-commands::(\w{24})$", recording, re.MULTILINE)
    assert stopped is not None
    inside = recording.partition(stopped[0])[2]
    assert inside.rstrip().endswith(f"::{stopped[1]}::")
    assert "::error::" not in recording.partition(stopped[0])[0]


def test_a_pull_request_that_has_moved_on_gets_no_comment(job: Job) -> None:
    job.runner.variables["GITHUB_EVENT_NAME"] = "workflow_run"
    ran = {"head_sha": job.base, "head_branch": "work", "event": "pull_request"}
    owner = {"full_name": REPOSITORY, "owner": {"login": "octo-org"}}
    job.event({"workflow_run": {**ran, "conclusion": "success", "head_repository": owner}})
    job.github.put(pulls=[{**job.pull, "asked_as": "octo-org:work"}])
    steps = job.run()
    assert "failure" not in outcomes(steps), said(steps)
    assert steps["Comment on the pull request"].outcome == "skipped"
    assert job.github.comments == []
    assert job.base in job.runner.summary.read_text()


def test_a_push_is_recorded_with_its_commits(job: Job, recorded: Recorded) -> None:
    job.runner.variables["GITHUB_EVENT_NAME"] = "push"
    job.runner.variables["GITHUB_SHA"] = job.base
    job.event({"before": "0" * 40, "after": job.base})
    steps = job.run()
    assert steps["Fetch the pull request's commits"].outcome == "skipped"
    assert "failure" not in outcomes(steps), said(steps)
    assert not [one for one in recorded(job.run_id) if isinstance(one, PatchSetRecorded)]


def test_an_export_that_does_not_verify_fails_the_job_and_says_so(job: Job) -> None:
    with job.served.client() as client:
        trust = client.get("/v1/trust").json()
    for key in trust["seal_keys"]:
        key["from"], key["until"] = 10**6, None
    (job.workspace / "trust.json").write_text(json.dumps(trust))
    steps = job.run(patch_set="false", trust="trust.json")
    assert steps["Verify"].outcome == "failure", said(steps)
    assert steps["End the token"].outcome == "success"
    [comment] = job.github.comments
    assert re.search(r"❌ \*\*(FAILED|INCOMPLETE|NOT VERIFIED)\*\*", comment["body"])
    assert "VERIFIED-UNANCHORED" not in comment["body"]


def test_keys_that_are_kept_are_the_ones_checked_with(job: Job) -> None:
    with job.served.client() as client:
        (job.workspace / "trust.json").write_bytes(client.get("/v1/trust").content)
    steps = job.run(patch_set="false", trust="trust.json")
    assert "failure" not in outcomes(steps), said(steps)
    [comment] = job.github.comments
    assert "**VERIFIED-UNANCHORED**" in comment["body"]
    assert "came from the ledger itself" not in comment["body"]


def test_a_job_without_the_permission_is_told_what_to_write(job: Job) -> None:
    del job.runner.variables["ACTIONS_ID_TOKEN_REQUEST_URL"]
    steps = job.run()
    assert outcomes(steps) == ["failure", *["skipped"] * 8, "success"], said(steps)
    complaint = next(iter(steps.values())).output
    assert "id-token: write" in complaint
    assert "identity-token-absent" in complaint
    assert "workflow_run" in complaint


def test_a_job_that_nobody_trusts_is_told_who_can_help(job: Job) -> None:
    job.issuer.claims = {"repository_id": "75"}
    steps = job.run()
    assert outcomes(steps)[0] == "failure"
    assert "identity-not-trusted" in said(steps)


def test_a_ledger_that_is_called_without_encryption_gets_no_token(job: Job) -> None:
    steps = job.runner.run({"url": "http://ledger.example", "project": job.project})
    assert outcomes(steps)[0] == "failure"
    assert "https://" in said(steps)
    assert job.issuer.requests == []


def test_the_event_that_gives_forks_our_rights_is_refused(job: Job) -> None:
    job.runner.variables["GITHUB_EVENT_NAME"] = "pull_request_target"
    steps = job.run()
    assert outcomes(steps)[0] == "failure"
    assert "unsafe-event" in said(steps)
    assert job.issuer.requests == []


def test_a_comment_that_github_does_not_allow_fails_with_the_permission(job: Job) -> None:
    job.github.put(refuse="gh: Resource not accessible by integration (HTTP 403)\n")
    steps = job.run(patch_set="false")
    assert steps["Comment on the pull request"].outcome == "failure"
    assert "pull-requests: write" in steps["Comment on the pull request"].output
    assert steps["End the token"].outcome == "success"
    quiet = job.runner.variables["GITHUB_RUN_ID"] = "9" + job.runner.variables["GITHUB_RUN_ID"]
    steps = job.run(patch_set="false", comment="false")
    assert "failure" not in outcomes(steps), (quiet, said(steps))


def runs_in(steps: list[dict[str, Any]]) -> list[str]:
    return [step["run"] for step in steps if "run" in step]


def test_inputs_travel_by_the_environment_and_never_in_a_script() -> None:
    action = read_action()
    steps = action["runs"]["steps"]
    for step in steps:
        if "run" not in step:
            continue
        assert "${{" not in step["run"], step["name"]
        assert step["shell"] == "bash", step["name"]
        own = set(re.findall(r"\b([a-z_]\w*)=", step["run"]))
        used = set(re.findall(r"\$\{?([A-Za-z_]\w*)", step["run"]))
        given = {*step.get("env", {}), "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "TRUST"} | own
        assert used <= given, (step["name"], used - given)
        assert (
            set(step.get("env", {}))
            - {
                "DEEDBOOK_URL",
                "DEEDBOOK_PROJECT",
                "DEEDBOOK_DATA",
                "GH_TOKEN",
            }
            <= used
        ), step["name"]
        # Unquoted, a variable would be split into words.
        bare = re.sub(r'"[^"]*"|\$\{TRUST:\+--pinned\}', "", step["run"])
        assert "$" not in bare.replace("sha256=$(sha256sum < )", ""), step["name"]
    everything = json.dumps(action)
    for name in action["inputs"]:
        assert f"inputs.{name} " in everything, name


def test_the_token_of_github_reaches_the_steps_that_need_it_only() -> None:
    having = [
        step["name"] for step in read_action()["runs"]["steps"] if "GH_TOKEN" in step.get("env", {})
    ]
    assert having == ["Start a run", "Comment on the pull request"]


def test_every_other_action_is_pinned_by_its_commit() -> None:
    used = [step["uses"] for step in read_action()["runs"]["steps"] if "uses" in step]
    for text in used:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", text), text


def workflows() -> list[dict[Any, Any]]:
    """The workflows on the page, parsed; `on` is YAML's `true`."""
    found = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [one for text in found if "jobs" in (one := yaml.safe_load(text))]


def test_the_workflows_on_the_page_are_safe_and_fit_the_action() -> None:
    inputs = set(read_action()["inputs"])
    assert len(workflows()) >= 3
    for workflow in workflows():
        assert "pull_request_target" not in json.dumps(workflow[True])
        for one in workflow["jobs"].values():
            assert "permissions" in one or "permissions" in workflow
            for script in runs_in(one["steps"]):
                assert "${{" not in script
            for step in one["steps"]:
                used = step.get("uses", "")
                assert not used or re.fullmatch(r"[\w-]+/[\w-]+@([0-9a-f]{40}|COMMIT)", used), used
                if used.startswith("OWNER/deedbook@"):
                    assert set(step["with"]) <= inputs
                    assert {"url", "project"} <= set(step["with"])


def test_the_page_names_every_input_and_output() -> None:
    action = read_action()
    for name in (*action["inputs"], *action["outputs"]):
        assert f"| `{name}` |" in PAGE, name
