"""This repository's own checks, run for real and recorded by commands alone, exported and verified."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from domain.audit_bundle import read_audit_bundle
from domain.events import PatchSetRecorded, TranscriptRecorded, VerificationRecorded
from domain.patchset import read_patchset
from tests.run_commands import Contents, Recorded, Typed, the

ROOT = Path(__file__).parent.parent
TESTED = ("tests/test_merkle.py", "tests/test_canonical.py", "tests/test_run_rules.py")
SECONDS = 240

pytestmark = pytest.mark.usefixtures("command_line")


def tool(*words: str, code: int = 0) -> str:
    """A tool of this repository's checks, as `run.py test` calls it; answers what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COVERAGE_PROCESS_START": ""},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def commits(count: int) -> list[str]:
    """The newest commits of this checkout."""
    done = subprocess.run(
        ["git", "-C", str(ROOT), "rev-list", "--first-parent", f"--max-count={count}", "HEAD"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return done.stdout.split() if done.returncode == 0 else []


def numbers(counts: object, *names: str) -> list[int]:
    return [getattr(counts, name) or 0 for name in names]


def record_verifications(typed: Typed, folder: Path, head: str) -> None:
    """Ruff's SARIF and its mistakes, mypy's JSON, and pytest's JUnit, each from the tool itself."""
    (folder / "ruff.sarif").write_text(tool("ruff", "check", "--output-format=sarif", "."))
    (folder / "mypy.jsonl").write_text(tool("mypy", "--output=json", "-p", "domain"))
    junit = folder / "junit.xml"
    tool("pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={junit}", *TESTED)
    verification: Sequence[str] = ("record", "verification", "--commit", head, "--root", str(ROOT))
    typed(*verification, str(folder / "ruff.sarif"), str(junit))
    typed(
        *verification, "--format", "mypy", "--command", "mypy -p domain", str(folder / "mypy.jsonl")
    )


def test_a_run_of_this_repositorys_own_checks_is_recorded_exported_and_verified(
    typed: Typed, recorded: Recorded, content: Contents, tmp_path: Path, project: str
) -> None:
    found = commits(4)
    if len(found) < 2:
        pytest.skip("this checkout has no history of its own")
    head, base = found[0], found[-1]
    typed(
        "run", "start", "Checks of this repository", "--id", "own", "--base", base, "--head", head
    )
    typed("record", "patchset", "--in", str(ROOT), "--base", base, "--head", head, "--redact")
    record_verifications(typed, tmp_path, head)
    typed("record", "transcript", "--", sys.executable, "-c", "import sys; print(sys.version)")
    typed("run", "finish")
    typed("check", "run", "own", "--commit", head)

    patchset = the(PatchSetRecorded, recorded("own"))
    listed = read_patchset(content(patchset.content.digest))
    assert (listed.base, listed.head, patchset.commits[-1]) == (base, head, head)
    reports = [one for one in recorded("own") if isinstance(one, VerificationRecorded)]
    lint, tests = reports[0].checks
    assert (lint.tool, numbers(lint.counts, "errors", "warnings")) == ("ruff", [0, 0])
    cases = list(ET.parse(tmp_path / "junit.xml").getroot().iter("testcase"))
    assert numbers(tests.counts, "total", "passed") == [len(cases), len(cases)]
    assert len(cases) > 200
    assert reports[1].checks[0].tool == "mypy"
    assert the(TranscriptRecorded, recorded("own")).exit_code == 0

    file = tmp_path / "own.zip"
    sealed = ("--seal", "--head", head, "--repository", "https://git.example/own")
    typed("export", project, "--run", "own", "-o", str(file), *sealed)
    typed("trusted-root", "-o", str(tmp_path))
    trusted = ("--trust", str(tmp_path / "trust.json"), "--head", head)
    state = json.loads(typed("--json", "verify", str(file), *trusted))
    assert state["state"] == "VERIFIED-UNANCHORED"
    typed("export", project, "-o", str(tmp_path / "whole.zip"))
    with zipfile.ZipFile(tmp_path / "whole.zip") as archive:
        [name] = [one for one in archive.namelist() if "/IMPLEMENTATION_AUDIT_BUNDLE/" in one]
        bundle = read_audit_bundle(archive.read(name))
    named = {one.digest for entry in bundle.entries for one in entry.contents}
    assert patchset.content.digest in named
    assert {source.digest for report in reports for source in report.sources} <= named
