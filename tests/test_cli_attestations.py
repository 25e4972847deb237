"""Attestations by commands: recorded, trusted, shown."""

import json
from pathlib import Path

import pytest

from app.cli import failure
from domain.digest import digest_of
from domain.events import AttestationRecorded
from tests.attestation_samples import (
    PROVENANCE,
    TEST_RESULT,
    bundle,
    ed25519,
    envelope,
    p256,
    pem,
    raw,
    statement,
)
from tests.run_commands import Contents, Recorded, Typed, the

pytestmark = pytest.mark.usefixtures("command_line")

KEY, OTHER = p256(), ed25519()


@pytest.fixture
def run_id(typed: Typed) -> str:
    return typed("run", "start", "Attest it").strip()


def policy(typed: Typed) -> dict[str, list[dict[str, object]]]:
    found: dict[str, list[dict[str, object]]] = json.loads(typed("--json", "policy", "show"))
    return found


def test_an_attestation_is_recorded_and_shown(
    typed: Typed, run_id: str, recorded: Recorded, content: Contents, tmp_path: Path
) -> None:
    (tmp_path / "key.pem").write_bytes(pem(KEY))
    typed("policy", "set", "--trust-key", "key.pem")
    signed = raw(envelope(statement(), KEY))
    (tmp_path / "a.dsse.json").write_bytes(signed)
    said = json.loads(typed("--json", "record", "attestation", "a.dsse.json"))
    assert (said["verified"], said["predicate_type"]) == (True, TEST_RESULT)
    assert said["stream"] == f"run/{run_id}"
    typed("record", "attestation", "-", "--run", run_id,
          given=raw(bundle({"dsseEnvelope": envelope(statement(), OTHER)})))  # fmt: skip
    events = [one for one in recorded(run_id) if isinstance(one, AttestationRecorded)]
    assert [one.verified for one in events] == [True, False]
    assert content(events[0].content.digest) == signed
    shown = typed("run", "show")
    assert "Attestations" in shown
    assert "✓  " + TEST_RESULT + "  app.tar  verified" in shown
    assert "?  " + TEST_RESULT + "  app.tar  not verified" in shown
    assert "No key of the policy signed it." in shown
    assert "attestation" in typed("log")


def test_what_is_not_verified_is_said_when_it_is_recorded(
    typed: Typed, run_id: str, capfd: pytest.CaptureFixture[str], recorded: Recorded
) -> None:
    typed("record", "attestation", "-", given=raw(envelope(statement(), KEY)))
    assert the(AttestationRecorded, recorded(run_id)).reason == "no-policy"


def test_whom_to_trust_is_added_and_dropped(typed: Typed, tmp_path: Path) -> None:
    for name, key in (("one.pem", KEY), ("two.pem", OTHER)):
        (tmp_path / name).write_bytes(pem(key))
    typed("policy", "set", "--trust-key", "one.pem", "--for-predicate", PROVENANCE)
    typed("policy", "set", "--trust-key", "two.pem", "--attestations", "require",
          "--trust-identity", "ada@example.com", "https://accounts.example")  # fmt: skip
    found = policy(typed)
    assert [one.get("predicate_types") for one in found["attestation_keys"]] == [[PROVENANCE], None]
    assert found["attestation_identities"] == [
        {"identity": "ada@example.com", "issuer": "https://accounts.example"}
    ]
    assert str(found["attestations"]) == "require"
    typed("policy", "set", "--trust-nobody", "--trust-key", "two.pem")
    found = policy(typed)
    assert (len(found["attestation_keys"]), found["attestation_identities"]) == (1, [])


def test_where_it_is_required_the_refusal_says_why(
    typed: Typed, run_id: str, recorded: Recorded, tmp_path: Path
) -> None:
    (tmp_path / "key.pem").write_bytes(pem(KEY))
    typed("policy", "set", "--attestations", "require", "--trust-key", "key.pem")
    signed = raw(envelope(statement(), OTHER))
    said = typed("record", "attestation", "-", given=signed, expected=failure.USAGE)
    assert "No key of the policy signed it." in said
    assert not [one for one in recorded(run_id) if isinstance(one, AttestationRecorded)]
    assert digest_of(signed) not in typed("replay")


@pytest.mark.parametrize(
    ("words", "given", "expected"),
    [
        (("record", "attestation", "-"), b"{}", "This is no attestation"),
        (("record", "attestation", "-"), b"{", "not valid JSON"),
        (("record", "attestation", "absent.json"), b"", "There is no file absent.json"),
        (("policy", "set", "--trust-key", "absent.pem"), b"", "There is no file absent.pem"),
        (("policy", "set", "--trust-key", "-"), b"no key", "A key is a public key in PEM"),
        (("policy", "set", "--for-predicate", "x:y"), b"", "Give --for-predicate with"),
        (
            ("policy", "set", "--trust-identity", "*", "https://i.example"),
            b"",
            "only the end may be left open",
        ),
    ],
)
def test_what_cannot_be_taken_is_said(
    typed: Typed, run_id: str, words: tuple[str, ...], given: bytes, expected: str
) -> None:
    code = failure.NOT_FOUND if "absent" in words[-1] else failure.USAGE
    assert expected in typed(*words, given=given, expected=code)
