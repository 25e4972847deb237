"""The README's session, typed as it stands, and what the pages name, held to what there is."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.application import TOPICS
from app.cli.root import COMMANDS
from app.http.endpoint import Endpoint
from app.http.openapi import STATUSES
from app.http.problems import STATUS_OF_CODE
from app.remote.connection import Connection, write_connection
from app.settings import Settings
from domain.events import EVENT_TYPES
from tests.serving import Served

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
PAGES = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


def session() -> list[str]:
    """The README's blocks of commands, in order."""
    return re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_session_in_the_readme_works_as_typed(served: Served, tmp_path: Path) -> None:
    served.ledger.create_project("deedbook", title="Deedbook", actor="user:newcomer")
    data = tmp_path / ".deedbook"
    write_connection(data, Connection(url=served.url, token=served.token, project="deedbook"))
    (tmp_path / "run.py").symlink_to(ROOT / "run.py")
    # The interpreter that has the environment stands first, whatever `python3` is elsewhere.
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "python3").write_text(f'#!/bin/sh\nshift\nexec "{sys.executable}" -P -m app "$@"\n')
    (programs / "python3").chmod(0o755)
    for program in ("curl", "unzip", "sha256sum"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not here")
    script = "set -euo pipefail\n" + "\n".join(session())
    said = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "DEEDBOOK_DATA": str(data),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert said.returncode == 0, said.stdout + said.stderr
    assert '"type":"ArtifactWritten"' in said.stdout
    assert "\n# Hello\n" in said.stdout
    assert "VERIFIED-UNANCHORED  deedbook.zip" in said.stdout
    assert "VERIFIED  deedbook.zip" in said.stdout
    first = served.ledger.log.stream("deedbook", "project", 0, 1, 10**9)[0]
    assert first.leaf.hex() in said.stdout


def test_the_readme_names_every_command() -> None:
    table = README.partition("## Commands")[2].partition("\n## ")[0]
    for command in COMMANDS:
        assert f"`{command}" in table, command


def test_the_readme_has_a_sentence_for_every_dependency() -> None:
    declared = (ROOT / "pyproject.toml").read_text("utf-8")
    names = re.findall(r'^    "([a-z0-9-]+)(?:\[[a-z,]+\])?[>=]', declared, re.MULTILINE)
    made_of = README.partition("## What it is made of")[2]
    assert len(names) > 15
    for name in names:
        assert f"`{name}`" in made_of, name


def test_every_event_type_is_in_its_table() -> None:
    page = (ROOT / "docs/events.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == set(EVENT_TYPES)


def test_every_resource_and_every_code_is_in_the_api_page() -> None:
    page = (ROOT / "docs/api.md").read_text("utf-8")
    endpoints: list[Endpoint[Any, Any]] = [one for topic in TOPICS for one in topic.all]
    for endpoint in endpoints:
        path = endpoint.path.replace(":path}", "}")
        row = re.search(rf"^\| `{re.escape(path)}` \|(.*)\|$", page, re.MULTILINE)
        assert row is not None, path
        assert endpoint.method in row[1], f"{endpoint.method} {path}"
    for code in (*STATUSES, *STATUS_OF_CODE):
        assert f"`{code}`" in page, code


def test_every_setting_is_in_the_page_for_operators() -> None:
    page = (ROOT / "docs/operations.md").read_text("utf-8")
    for name in Settings.__struct_encode_fields__:
        assert f"`{name}`" in page, name


def test_every_link_between_the_pages_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            linked = (page.parent / path) if path else page
            assert linked.exists(), f"{page.name} → {target}"
            if anchor:
                headings = re.findall(r"^#+ (.*)$", linked.read_text("utf-8"), re.MULTILINE)
                slugs = {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}
                assert anchor in slugs, f"{page.name} → {target}"
