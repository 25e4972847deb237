"""Runs the steps of `action.yml` in order, with a real bash, as a runner of GitHub Actions does."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

ROOT = Path(__file__).parent.parent
SECONDS = 120
BASH = ("bash", "--noprofile", "--norc", "-e", "-o", "pipefail")
ARTIFACT_URL = "https://github.com/octo-org/octo-repo/actions/runs/123/artifacts/9"
_EXPRESSION = re.compile(r"\$\{\{ (.*?) \}\}")
_COMPARED = re.compile(r"(\S+) (==|!=) '([^']*)'")


def read_action() -> dict[str, Any]:
    """The action, parsed."""
    found = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
    assert isinstance(found, dict)
    return found


class Step(msgspec.Struct, frozen=True):
    """How a step ended."""

    name: str
    outcome: str
    output: str = ""
    outputs: dict[str, str] = {}
    given: dict[str, str] = {}


class Runner:
    """A runner: a workspace, the files by which steps speak to it, and stand-ins on its PATH.

    Args:
        folder: For all of it.
        workspace: The checkout.
        variables: What GitHub sets for the job.
    """

    def __init__(self, folder: Path, workspace: Path, variables: Mapping[str, str]) -> None:
        self.folder = folder
        self.workspace = workspace
        self.programs = folder / "programs"
        self.programs.mkdir(parents=True)
        self.temp = folder / "temp"
        self.temp.mkdir()
        self.summary = folder / "summary.md"
        (self.programs / "python3").write_text(
            f'#!/bin/sh\n[ "$1" = "{ROOT}/run.py" ] || exit 99\nshift\n'
            f'exec "{sys.executable}" -P -m app "$@"\n'
        )
        (self.programs / "python3").chmod(0o755)
        self.variables = {
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "LANG": "C.UTF-8",
            "GITHUB_ACTIONS": "true",
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "RUNNER_TEMP": str(self.temp),
            **variables,
        }
        self.steps: dict[str, Step] = {}

    def run(self, inputs: Mapping[str, str]) -> dict[str, Step]:
        """Run the whole action; answers each step by its name."""
        action = read_action()
        given = {
            name: inputs.get(name, declared.get("default", ""))
            for name, declared in action["inputs"].items()
        }
        assert set(inputs) <= set(given), "an input that the action has not"
        done: dict[str, Step] = {}
        self.steps = {}
        for number, step in enumerate(action["runs"]["steps"]):
            ended = self._step(step, given, number, [one.outcome for one in done.values()])
            done[step["name"]] = ended
            if "id" in step:
                self.steps[step["id"]] = ended
        return done

    def _step(
        self, step: dict[str, Any], inputs: Mapping[str, str], number: int, before: list[str]
    ) -> Step:
        name = step["name"]
        if not self._due(step.get("if", ""), inputs, failed="failure" in before):
            return Step(name, "skipped")
        if "uses" in step:
            assert step["uses"].startswith("actions/upload-artifact@")
            given = {one: self._filled(str(text), inputs) for one, text in step["with"].items()}
            return Step(name, "success", "", {"artifact-url": ARTIFACT_URL}, given)
        output_file = self.folder / f"output-{number}"
        output_file.write_text("")
        script = self.folder / f"step-{number}.sh"
        script.write_text(step["run"])
        environment = {
            one: self._filled(str(text), inputs) for one, text in step.get("env", {}).items()
        }
        assert step["shell"] == "bash"
        ended = subprocess.run(
            [*BASH, str(script)],
            cwd=self.workspace,
            env={**self.variables, **environment, "GITHUB_OUTPUT": str(output_file)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=SECONDS,
            check=False,
        )
        outputs = dict(line.split("=", 1) for line in output_file.read_text().splitlines() if line)
        word = "success" if ended.returncode == 0 else "failure"
        return Step(name, word, ended.stdout.decode(), outputs)

    def _due(self, condition: str, inputs: Mapping[str, str], *, failed: bool) -> bool:
        """Whether a step is run; without a word about the job's state it needs success."""
        found = _EXPRESSION.fullmatch(condition)
        assert found is not None or not condition, condition
        parts = [] if found is None else found[1].split(" && ")
        if failed and not {"always()", "!cancelled()"} & set(parts):
            return False
        return all(self._holds(part, inputs) for part in parts)

    def _holds(self, part: str, inputs: Mapping[str, str]) -> bool:
        if part in {"always()", "!cancelled()"}:
            return True
        compared = _COMPARED.fullmatch(part)
        assert compared is not None, part
        return (self._value(compared[1], inputs) == compared[3]) is (compared[2] == "==")

    def _filled(self, text: str, inputs: Mapping[str, str]) -> str:
        return _EXPRESSION.sub(lambda found: self._value(found[1], inputs), text)

    def _value(self, name: str, inputs: Mapping[str, str]) -> str:
        fixed = {
            "github.action_path": str(ROOT),
            "github.token": "a-token-of-the-job",
            "runner.temp": str(self.temp),
        }
        parts = name.split(".")
        if name in fixed:
            return fixed[name]
        if parts[0] == "inputs" and len(parts) == 2:
            return self._filled(inputs[parts[1]], inputs)
        assert parts[0] == "steps", name
        known = self.steps.get(parts[1], Step("", "skipped"))
        if parts[2:] == ["outcome"]:
            return known.outcome
        assert parts[2] == "outputs", name
        return known.outputs.get(parts[3], "")


def have_bash() -> bool:
    """Whether the programs that the steps start are here."""
    return all(shutil.which(one) for one in ("bash", "git", "sha256sum"))
