"""Whose word an approval is: T14, the ledger's unless the approver signed, and what a policy can demand."""

import base64
import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adapters.attestation_key import verify_attested
from app.cli import failure
from domain.approval import NAMESPACE, statement
from domain.approval_signature import BY_THE_LEDGER, SignedApproval, look_at
from domain.errors import Invalid
from domain.events import ApprovalRecorded, ApprovalSignature, ApproverKey, PolicyChanged
from domain.policy import Policy
from domain.policy_rules import decide
from domain.ssh_signature import parse_key, signer_of
from tests.attestation_samples import Key, ed25519, p256, sign, text64
from tests.run_commands import Typed
from tests.serving import Served

KEYS: tuple[Key, ...] = (ed25519(), p256())
MESSAGE = b"a message"


def string(raw: bytes) -> bytes:
    return len(raw).to_bytes(4, "big") + raw


def number(value: int) -> bytes:
    return string(value.to_bytes(value.bit_length() // 8 + 1, "big"))


def line(key: Key) -> str:
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def armored(
    key: Key,
    message: bytes,
    *,
    namespace: str = NAMESPACE,
    hashed_with: str = "sha512",
    as_hash: str | None = None,
    version: int = 1,
    tail: bytes = b"",
) -> str:
    """What ssh-keygen writes, made by hand after PROTOCOL.sshsig."""
    kind, encoded = line(key).split()[:2]
    digest = hashlib.new(hashed_with, message).digest()
    name = (as_hash or hashed_with).encode()
    text = b"SSHSIG" + string(namespace.encode()) + string(b"") + string(name) + string(digest)
    raw = sign(key, text)
    if kind != "ssh-ed25519":
        raw = b"".join(number(one) for one in decode_dss_signature(raw))
    blob = (
        b"SSHSIG" + version.to_bytes(4, "big") + string(base64.b64decode(encoded))
        + string(namespace.encode()) + string(b"") + string(name)
        + string(string(kind.encode()) + string(raw)) + tail
    )  # fmt: skip
    encoded = text64(blob)
    body = "\n".join(encoded[at : at + 70] for at in range(0, len(encoded), 70))
    return f"-----BEGIN SSH SIGNATURE-----\n{body}\n-----END SSH SIGNATURE-----\n"


def signer(text: str, message: bytes = MESSAGE) -> str | None:
    found = signer_of(text, message, NAMESPACE, verify_attested)
    return None if found is None else found.text


def decision(key: Key | None, origin: str, **changed: Any) -> dict[str, Any]:
    data: dict[str, Any] = {"decision": "approved", "approval": "a1", "scope": "repo.push"}
    if key is not None:
        named = {"run": "r1", **data, **changed}
        data["signature"] = {
            "format": "sshsig",
            "value": armored(key, statement(origin=origin, **named)),
        }
    return data


# Signatures


@pytest.mark.parametrize("key", KEYS, ids=["Ed25519", "P-256"])
@pytest.mark.parametrize("hashed_with", ["sha256", "sha512"])
def test_a_signature_shows_the_key_that_made_it(key: Key, hashed_with: str) -> None:
    text = armored(key, MESSAGE, hashed_with=hashed_with)
    assert signer(text) == line(key)
    assert signer(text, b"another message") is None


@pytest.mark.outside
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_a_signature_of_ssh_keygen_is_read(kind: str, tmp_path: Path) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not here")
    file = tmp_path / "key"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "grace", "-f", str(file)],
        check=True, timeout=60,
    )  # fmt: skip
    key = parse_key(file.with_suffix(".pub").read_text())
    for _ in range(5):  # the numbers of ECDSA are not always of one length
        made = subprocess.run(
            ["ssh-keygen", "-q", "-Y", "sign", "-n", NAMESPACE, "-f", str(file)],
            input=MESSAGE, capture_output=True, check=True, timeout=60,
        )  # fmt: skip
        assert signer(made.stdout.decode()) == key.text
    said = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(file)], capture_output=True, check=True, timeout=60
    )
    assert key.fingerprint in said.stdout.decode()


def test_t12_nothing_else_is_taken_for_a_signature() -> None:
    key = KEYS[0]
    good = armored(key, MESSAGE)
    assert signer(good) is not None
    for text in (
        "",
        "nothing",
        good.replace("SSH SIGNATURE", "PGP SIGNATURE"),
        good.replace("\n", ""),
        good + good,
        good + "x" * 20_000,
        armored(key, MESSAGE, namespace="file"),
        armored(key, MESSAGE, version=2),
        armored(key, MESSAGE, hashed_with="sha384"),
        armored(key, MESSAGE, hashed_with="sha256", as_hash="sha512"),
        armored(key, MESSAGE, tail=b"\0"),
        armored(key, MESSAGE, tail=string(b"more")),
        f"-----BEGIN SSH SIGNATURE-----\n{text64(b'SSHSIG')}\n-----END SSH SIGNATURE-----\n",
        "-----BEGIN SSH SIGNATURE-----\nA\n-----END SSH SIGNATURE-----\n",
    ):
        assert signer(text) is None, text


def test_every_byte_of_a_signature_counts() -> None:
    for key in KEYS:
        body = "".join(armored(key, MESSAGE).splitlines()[1:-1])
        raw = base64.b64decode(body)
        for at in range(len(raw)):
            spoilt = bytearray(raw)
            spoilt[at] ^= 1
            text = text64(bytes(spoilt))
            found = signer(f"-----BEGIN SSH SIGNATURE-----\n{text}\n-----END SSH SIGNATURE-----\n")
            assert found != line(key), at


def other_kinds() -> list[str]:
    numbers = rsa.generate_private_key(65537, 2048).public_key()
    words = line(KEYS[0]).split()
    return [
        "",
        "ssh-ed25519",
        numbers.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode(),
        f"ecdsa-sha2-nistp256 {words[1]}",
        f"ssh-ed25519 {words[1][:-4]}",
        f"{line(KEYS[0])}\n{line(KEYS[1])}",
        f"command=x {line(KEYS[0])}",
        line(KEYS[0]) + " " + "c" * 1_000,
    ]


@pytest.mark.parametrize("which", range(8))
def test_what_is_no_key_of_a_known_kind_is_refused(which: int) -> None:
    text = other_kinds()[which]
    with pytest.raises(Invalid):
        parse_key(text)
    with pytest.raises(Invalid) as caught:
        decide(Policy(), PolicyChanged(approver_keys=(ApproverKey(key=text),)))
    assert caught.value.pointer == "/approver_keys/0"


def test_an_approver_s_key_is_recorded_in_one_spelling() -> None:
    given = ApproverKey(key=line(KEYS[1]) + " grace@example.com\n", name="Grace")
    [change] = decide(Policy(), PolicyChanged(approver_keys=(given,)))
    assert change.approver_keys == (ApproverKey(key=line(KEYS[1]), name="Grace"),)
    for keys, pointer in (
        ((given,) * 101, "/approver_keys"),
        ((ApproverKey(key=line(KEYS[1]), name="n" * 201),), "/approver_keys/0/name"),
        ((ApproverKey(key=line(KEYS[1]), name="\0"),), "/approver_keys/0"),
    ):
        with pytest.raises(Invalid) as caught:
            decide(Policy(), PolicyChanged(approver_keys=keys))
        assert caught.value.pointer == pointer


# Approvals


def test_t14_whose_word_an_approval_is() -> None:
    grace, stranger = KEYS
    text = statement(origin="o", run="r1", approval="a1", scope="s", decision="approved")

    def found(signature: ApprovalSignature | None, **changed: str) -> SignedApproval:
        given = {"origin": "o", "run": "r1", "approval": "a1", "scope": "s", **changed}
        return look_at(
            ApprovalRecorded(decision="approved", signature=signature),
            keys=(ApproverKey(key=line(grace), name="Grace"),),
            verify=verify_attested,
            **given,
        )

    hers = ApprovalSignature(format="sshsig", value=armored(grace, text), key_id="SHA256:any")
    fingerprint = parse_key(line(grace)).fingerprint
    assert found(hers) == SignedApproval("signed", f"Grace {fingerprint}")
    for changed in ({"origin": "p"}, {"run": "r2"}, {"approval": "a2"}, {"scope": "t"}):
        assert found(hers, **changed).evidence == "wrong", changed
    other = ApprovalSignature(format="sshsig", value=armored(stranger, text))
    assert found(other).evidence == "unknown-key"
    assert "the policy does not name" in found(other).text
    dsse = ApprovalSignature(format="dsse", value="{}")
    assert found(dsse).evidence == "unchecked"
    assert found(None).text == BY_THE_LEDGER
    for one in (dsse, ApprovalSignature(format="sshsig", value="x")):
        assert found(one).text.startswith(BY_THE_LEDGER)


@pytest.fixture
def run(http: httpx2.Client, project: str) -> str:
    """The address of a run with an approval that is asked for."""
    events = [
        {"stream": "run/r1", "type": kind, "data": data}
        for kind, data in (
            ("RunCreated", {"title": "A run"}),
            ("RunStarted", {}),
            ("VerificationRecorded", {"result": "PASSED"}),
            ("ApprovalRequested", {"approval": "a1", "scope": "repo.push", "intent": "Push"}),
        )
    ]
    assert http.post(f"/v1/projects/{project}/events", json={"events": events}).status_code == 201
    return f"/v1/projects/{project}/runs/r1"


def demand(http: httpx2.Client, project: str, *keys: Key) -> None:
    wished = {
        "signed_approvals": True,
        "approver_keys": [{"key": line(key), "name": "Grace"} for key in keys],
    }
    answer = http.patch(f"/v1/projects/{project}/policy", json=wished)
    assert answer.status_code == 200, answer.text


def record(http: httpx2.Client, project: str, data: dict[str, Any]) -> httpx2.Response:
    return http.post(
        f"/v1/projects/{project}/streams/run/r1", json={"type": "ApprovalRecorded", "data": data}
    )


def test_t14_a_policy_can_demand_that_the_approver_signs(
    http: httpx2.Client, project: str, run: str
) -> None:
    origin = f"{project}.ledger.example"
    demand(http, project, KEYS[0])
    before = http.get(f"/v1/projects/{project}").json()["position"]
    unsigned = decision(None, origin)
    for data in (
        unsigned,
        {**unsigned, "approver": "Grace"},
        decision(KEYS[1], origin),
        decision(KEYS[0], "other.ledger.example"),
        decision(KEYS[0], origin, approval="a2"),
        decision(KEYS[0], origin, scope="deploy.production"),
        decision(KEYS[0], origin, decision="rejected"),
        {**unsigned, "signature": {"format": "dsse", "value": "{}"}},
    ):
        answer = record(http, project, data)
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (409, "approval-unsigned"), data
        assert problem["errors"][0]["pointer"].endswith("/data/signature")
    assert http.get(f"/v1/projects/{project}").json()["position"] == before
    good = decision(KEYS[0], origin)
    del good["scope"]  # as it was asked for
    assert record(http, project, good).status_code == 201
    [shown] = http.get(f"{run}/timeline").json()["approvals"]
    assert (shown["evidence"], shown["signed"]) == ("signed", True)
    assert shown["vouched"].startswith("signed by Grace SHA256:")
    found = {one["name"]: one for one in http.get(f"{run}/gates").json()["gates"]}
    assert (found["approvals"]["holds"], found["approvals"]["detail"]) == (
        True, "1 granted; no guarded side effect lacks one.",
    )  # fmt: skip
    # Taking it back is always possible.
    rejected = {"decision": "rejected", "approval": "a1"}
    assert record(http, project, rejected).status_code == 201


def test_t14_an_approval_from_before_the_demand_does_not_pass_the_gate(
    http: httpx2.Client, project: str, run: str
) -> None:
    assert record(http, project, decision(None, "")).status_code == 201

    def gate() -> dict[str, Any]:
        [found] = [
            one for one in http.get(f"{run}/gates").json()["gates"] if one["name"] == "approvals"
        ]
        return dict(found)

    assert gate()["holds"]
    assert "1 of them only recorded by the ledger" in gate()["detail"]
    [shown] = http.get(f"{run}/timeline").json()["approvals"]
    assert (shown["evidence"], shown["vouched"]) == ("ledger", BY_THE_LEDGER)
    demand(http, project, KEYS[0])
    assert gate() == {
        "name": "approvals",
        "holds": False,
        "detail": "Approval a1 for repo.push must be signed, and is recorded by the ledger.",
    }


@pytest.mark.outside
@pytest.mark.usefixtures("command_line")
def test_by_commands_an_approval_is_signed_demanded_and_shown(
    typed: Typed, tmp_path: Path, served: Served
) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not here")
    key = tmp_path / "key"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "grace@example.com", "-f", str(key)],
        check=True, timeout=60,
    )  # fmt: skip
    typed("run", "start", "It", "--id", "it")
    typed("record", "approval", "grant", "--scope", "repo.push")
    assert "recorded by the ledger" in typed("run", "show")
    typed("policy", "set", "--signed-approvals", "--approver-key", str(key.with_suffix(".pub")))
    grant = ("record", "approval", "grant", "--scope", "repo.merge")
    said = typed(*grant, expected=failure.CONFLICT)
    assert "--sign-with" in said
    typed(*grant, "--sign-with", str(key))
    assert "signed by grace@example.com SHA256:" in typed("run", "show")
    assert "No key" not in typed("policy", "show")
    bad = typed("policy", "set", "--approver-key", str(key), expected=failure.USAGE)
    assert "An approver's key is a line" in bad
    typed("policy", "set", "--no-signed-approvals")
