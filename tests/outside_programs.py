"""Programs of others for tests: where they are, how they are asked, and a clear skip where one is absent."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from app.keys.public_keys import public_files
from domain.trust import Trust

ROOT = Path(__file__).parent.parent
INSTALL = "bash tests/outside.sh installs it"
SECONDS = 1_800
CORPUS_ROUNDS = int(os.environ.get("DEEDBOOK_TEST_CORPUS_ROUNDS", "1"))
"""How many seeds the generated corpora are made from; with more than one, every bit is flipped."""
OLDEST_NODE = 20
NODE_FOLDER = ROOT / ".node-outside"
PYTHON = ROOT / ".venv-outside" / "bin" / "python"


class Case(msgspec.Struct, frozen=True):
    """A bundle to ask about.

    Attributes:
        bundle: Its bytes.
        root: Which of the roots it is held to.
        artifact: What it is about, where it does not carry that.
    """

    bundle: bytes
    root: str = ""
    artifact: bytes | None = None


class Root(msgspec.Struct, frozen=True):
    """What a reader with Sigstore's client has.

    Attributes:
        trusted_root: The text of `trusted_root.json`.
        keys: PEM by hint.
        timestamps: How many a bundle needs.
    """

    trusted_root: str
    keys: Mapping[str, str] = {}
    timestamps: int = 0


class Verdict(msgspec.Struct, frozen=True):
    """What @sigstore/verify said.

    Attributes:
        ok: Accepted.
        read: The bundle as it was read there, when accepted.
        why: When refused.
    """

    ok: bool
    read: object = None
    why: str = ""


def program(name: str) -> str:
    """Where an outside program is; skips where it is absent."""
    own = ROOT / ".venv-outside" / "bin" / name
    found = str(own) if own.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: {INSTALL}")
    return found


def reader(trust: Trust) -> Root:
    """What a ledger hands to readers, in the hands of one: the files, and nothing else."""
    keys = {}
    for key in trust.seal_keys:
        then = Trust(trust.ledger, trust.log_keys, (key,))
        keys[key.hint] = public_files(then)["seal.pub"].decode()
    return Root(public_files(trust)["trusted_root.json"].decode(), keys)


def sigstore(cases: Sequence[Case], roots: Mapping[str, Root]) -> list[Verdict]:
    """What @sigstore/verify says of each; skips where it or Node is absent."""
    node = shutil.which("node")
    if node is None:
        pytest.skip(f"node is not installed: {INSTALL}")
    if not (NODE_FOLDER / "node_modules" / "@sigstore" / "verify").is_dir():
        pytest.skip(f"@sigstore/verify is not installed: {INSTALL}")
    version = subprocess.run(
        [node, "--version"], capture_output=True, check=True, timeout=60
    ).stdout
    if int(version.decode().lstrip("v").partition(".")[0]) < OLDEST_NODE:
        pytest.skip(f"node is older than {OLDEST_NODE}, with which @sigstore/verify was tried")
    asked = {
        "roots": {name: msgspec.to_builtins(root) for name, root in roots.items()},
        "cases": [
            {"root": case.root, "bundle": _text(case.bundle)}
            | ({} if case.artifact is None else {"artifact": _text(case.artifact)})
            for case in cases
        ],
    }
    script = ROOT / "tests" / "outside_sigstore" / "verify.mjs"
    raw = _run([node, str(script), str(NODE_FOLDER)], json.dumps(asked).encode())
    verdicts = msgspec.json.decode(raw, type=list[Verdict])
    assert len(verdicts) == len(cases)
    return verdicts


def python(cases: Sequence[Mapping[str, object]], *, needs: str) -> list[bool]:
    """What the Python packages of others say of each; skips where they are absent."""
    if not list((ROOT / ".venv-outside").glob(f"lib/python3*/site-packages/{needs}")):
        pytest.skip(f"{needs} is not installed: {INSTALL}")
    script = ROOT / "tests" / "outside_python" / "check.py"
    raw = _run([str(PYTHON), "-I", str(script)], json.dumps(list(cases)).encode())
    verdicts = msgspec.json.decode(raw, type=list[bool])
    assert len(verdicts) == len(cases)
    return verdicts


def _run(command: Sequence[str], given: bytes) -> bytes:
    done = subprocess.run(
        command,
        input=given,
        capture_output=True,
        timeout=SECONDS,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "NODE_OPTIONS"},
    )
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    return done.stdout


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
