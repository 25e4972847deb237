"""The commands of docs/outside-verifiers.md, typed as they stand, over a real sealed export and over a twin of it."""

import base64
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from app.keys.public_keys import public_files
from domain.seal import Head
from tests.ledger_samples import another_database, make_project, open_ledger, write_export
from tests.outside_programs import NODE_FOLDER, PYTHON, ROOT, program, sigstore

pytestmark = pytest.mark.outside

PAGE = (ROOT / "docs" / "outside-verifiers.md").read_text("utf-8")
NAME = "alpha-120.zip"
SECONDS = 120


@pytest.fixture(scope="module")
def sealed(
    postgres_server: str, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with a sealed export under the page's name, and the ledger's public files."""
    folder = tmp_path_factory.mktemp("reader")
    with (
        another_database(postgres_server, template_database) as url,
        open_ledger(url) as ledger,
    ):
        position = make_project(ledger, url)
        head = Head("3c8f0a3d1f3c6d0b5a1e7f2d9c4b8a6e5d7f1c20", "https://git.example/alpha")
        sidecar = ledger.seals.seal("alpha", position, "project", head).sidecar
        write_export(ledger, folder / NAME, position)
        (folder / f"{NAME}.sigstore.json").write_bytes(sidecar)
        (folder / "keys").mkdir()
        for name, content in public_files(ledger.seals.trust()).items():
            (folder / "keys" / name).write_bytes(content)
    return folder


@pytest.fixture
def reader(sealed: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(sealed, tmp_path / "reader"))


def tampered(folder: Path) -> None:
    """Another payload in the envelope."""
    file = folder / f"{NAME}.sigstore.json"
    whole = json.loads(file.read_bytes())
    payload = base64.b64decode(whole["dsseEnvelope"]["payload"])
    changed = payload.replace(b'"scope":"project"', b'"scope":"run:r1"')
    assert changed != payload
    whole["dsseEnvelope"]["payload"] = base64.b64encode(changed).decode()
    file.write_text(json.dumps(whole))


def block(heading: str, language: str = "") -> str:
    """The last block in a language below a heading of the page."""
    section = PAGE.partition(f"\n## {heading}")[2].partition("\n## ")[0]
    found = re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return str(found[-1])


def typed(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
        env={**os.environ, "LC_ALL": "C.UTF-8", "NODE_PATH": str(NODE_FOLDER / "node_modules")},
    )


def test_sigstores_client_as_on_the_page(reader: Path) -> None:
    sigstore([], {})  # skips where it is absent
    (reader / "check.cjs").write_text(block("@sigstore/verify", "js"))
    command = [program("node"), "check.cjs"]
    done = typed(command, reader)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    tampered(reader)
    assert typed(command, reader).returncode == 1


def test_openssl_as_on_the_page(reader: Path) -> None:
    for name in ("openssl", "jq", "sha256sum"):
        program(name)
    command = ["bash", "-e", "-u", "-o", "pipefail", "-c", block("openssl")]
    done = typed(command, reader)
    assert done.returncode == 0, done.stderr
    verdict, digest, subject = done.stdout.splitlines()
    assert verdict == "Verified OK"
    assert digest.split()[0] == subject
    tampered(reader)
    assert typed(command, reader).returncode == 1


def test_securesystemslib_and_in_toto_as_on_the_page(reader: Path) -> None:
    found = list((ROOT / ".venv-outside").glob("lib/python3*/site-packages/*"))
    if not {"securesystemslib", "in_toto_attestation"} <= {one.name for one in found}:
        pytest.skip("securesystemslib and in-toto-attestation are not installed")
    command = [str(PYTHON), "-I", "-c", block("securesystemslib", "python")]
    done = typed(command, reader)
    assert (done.returncode, done.stderr) == (0, "")
    tampered(reader)
    assert typed(command, reader).returncode == 1


def test_unzip_bagit_and_sha256sum_as_on_the_page(reader: Path) -> None:
    bagit = program("bagit.py")
    program("unzip")
    top = re.search(r"cd (\S+)", block("bagit"))
    assert top is not None
    script = block("bagit").replace("bagit.py", bagit).replace(f"cd {top[1]}", "cd alpha-*/")
    done = typed(["bash", "-e", "-u", "-c", script], reader)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_pins_what_is_installed() -> None:
    script = (ROOT / "tests" / "outside.sh").read_text("utf-8")
    pinned = re.findall(r"(@?[\w/-]+(?:\[crypto\])?(?:==|@)\d+\.\d+\.\d+)", script)
    assert len(pinned) == 8
    for one in pinned:
        assert one in PAGE, one
