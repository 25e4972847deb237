"""Signatures with a person's own SSH key: `ssh-keygen -Y sign` (OpenSSH PROTOCOL.sshsig)."""

import shutil
import subprocess
from pathlib import Path

from domain.errors import Invalid, NotFound, Unavailable
from domain.events import ApprovalSignature

SIGN_SECONDS = 120.0
"""Long enough to type a passphrase, or to touch a security key."""
MAX_SAID_CHARACTERS = 300


def sign(message: bytes, key_file: Path, namespace: str) -> ApprovalSignature:
    """Sign a message; ssh-keygen asks for the passphrase itself, or asks the agent.

    Args:
        message: What is signed.
        key_file: A private key, or the public half of one that the agent holds.
        namespace: What the signature is for, so that it counts for nothing else.

    Raises:
        Unavailable: `ssh-keygen-missing`, `ssh-keygen-timeout`.
        NotFound: `file-not-found`.
        Invalid: `signing-failed`, with what ssh-keygen said.
    """
    program = shutil.which("ssh-keygen")
    if program is None:
        raise Unavailable(
            "ssh-keygen-missing",
            "There is no ssh-keygen on PATH; install OpenSSH, or leave --sign-with away.",
        )
    if not key_file.is_file():
        raise NotFound("file-not-found", f"There is no key file {key_file}.")
    signature = _answer(
        [program, "-q", "-Y", "sign", "-n", namespace, "-f", str(key_file)], message
    )
    described = _answer([program, "-l", "-f", str(key_file)], b"").split()
    return ApprovalSignature(
        format="sshsig",
        value=signature,
        key_id=described[1] if len(described) > 1 else None,
    )


def _answer(command: list[str], given: bytes) -> str:
    try:
        done = subprocess.run(  # noqa: S603 -- constants and a file's name, as a list
            command, input=given, capture_output=True, check=False, timeout=SIGN_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(
            "ssh-keygen-timeout", f"ssh-keygen gave no answer in {SIGN_SECONDS:.0f} seconds."
        ) from None
    if done.returncode != 0:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())[:MAX_SAID_CHARACTERS]
        raise Invalid("signing-failed", f"ssh-keygen failed: {said.rstrip('.') or 'no reason'}.")
    return done.stdout.decode("ascii", "replace").strip() + "\n"
