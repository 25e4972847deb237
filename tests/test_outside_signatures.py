"""securesystemslib, in-toto-attestation and openssl, unmodified, accept what a ledger signs, and refuse each tampered twin.

They look at the envelope, the statement and the signature, and not at the log.
"""

import base64
import json
import random
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.signature_check import verify_p256
from app.keys.public_keys import public_files
from domain.dsse import pae
from domain.errors import DeedbookError
from domain.seal import Head
from domain.sigstore_bundle import encode_bundle, parse_bundle
from domain.trust import LogKey, SealKey, Trust
from tests import seal_corpus
from tests.ledger_samples import make_project, open_ledger
from tests.note_samples import PUBLIC
from tests.outside_list import ACCEPTED_ELSEWHERE, DSSE, STATEMENT, rows_of_envelope
from tests.outside_programs import CORPUS_ROUNDS, program, python
from tests.seal_corpus import SealLog, at, check_statement, paths, replaced, spelt
from tests.seal_samples import HINT, SIGNATURE, SPKI, published_sidecar

pytestmark = pytest.mark.outside

SECONDS = 60


def published_trust() -> Trust:
    assert SPKI is not None
    return Trust("ledger.example", (LogKey(PUBLIC),), (SealKey(SPKI),))


@pytest.fixture
def real(database_url: str) -> tuple[Trust, list[bytes]]:
    """Sidecars of a real export, for a commit and for none, and the ledger's keys."""
    with open_ledger(database_url) as ledger:
        position = make_project(ledger, database_url)
        head = Head("3c8f0a3d1f3c6d0b5a1e7f2d9c4b8a6e5d7f1c20", "https://git.example/alpha")
        sealed = [
            ledger.seals.seal("alpha", position, scope, one).sidecar
            for scope in ("project", "run:r1")
            for one in (None, head)
        ]
        return ledger.seals.trust(), sealed


def changes() -> list[bytes]:
    """Statements of changes of keys."""
    log = SealLog(random.Random(11))
    log.grow(60)
    return [one.statement for one in log.entries if b"key-change" in one.statement]


# --- securesystemslib: the envelope ---


def envelope_case(envelope: Any, trust: Trust) -> dict[str, object]:
    [key] = trust.seal_keys
    return {
        "kind": "dsse",
        "envelope": envelope,
        "keyid": key.hint,
        "public": public_files(trust)["seal.pub"].decode(),
    }


def signed(sidecar: bytes, trust: Trust) -> bool:
    """What we say of the signature alone."""
    try:
        read = parse_bundle(sidecar)
    except DeedbookError:
        return False
    key = trust.seal_key(read.hint)
    return key is not None and verify_p256(key.spki, pae(read.statement), read.signature)


def test_the_envelope_of_every_seal_is_accepted_with_the_published_key(
    real: tuple[Trust, list[bytes]],
) -> None:
    trust, sidecars = real
    envelopes = [json.loads(one)["dsseEnvelope"] for one in sidecars]
    envelopes.append(json.loads(encode_bundle(published_sidecar()))["dsseEnvelope"])
    cases = [envelope_case(one, trust) for one in envelopes]
    assert python(cases, needs="securesystemslib") == [True] * 5
    another = public_files(SealLog(random.Random(14)).trust)["seal.pub"].decode()
    twins = [one | {"public": another} for one in cases] + [one | {"keyid": "0"} for one in cases]
    assert python(twins, needs="securesystemslib") == [False] * 10


def damaged_envelopes(sidecar: bytes, another: bytes) -> Iterator[bytes]:
    """Sidecars of which the envelope alone is damaged, or taken from another seal."""
    whole = json.loads(sidecar)
    yield sidecar
    for damaged in seal_corpus.edited(spelt(whole["dsseEnvelope"])):
        yield spelt(replaced(whole, ("dsseEnvelope",), json.loads(damaged)))
    other = json.loads(another)["dsseEnvelope"]
    for path in paths(other):
        yield spelt(replaced(whole, ("dsseEnvelope", *path), at(other, path)))
    [kept] = whole["dsseEnvelope"]["signatures"]
    for further in ({"keyid": "0" * 64, "sig": kept["sig"]}, {**kept, "keyid": ""}):
        for both in ([kept, further], [further, kept], [further]):
            yield spelt(replaced(whole, ("dsseEnvelope", "signatures"), both))


def flipped_envelopes(sidecar: bytes, draw: random.Random) -> Iterator[bytes]:
    """The same with each byte of payload, signature and type changed."""
    whole = json.loads(sidecar)
    for path in (("payload",), ("signatures", 0, "sig")):
        raw = base64.b64decode(at(whole["dsseEnvelope"], path))
        for damaged in seal_corpus.flipped(raw, draw, every_bit=CORPUS_ROUNDS > 1):
            text = base64.b64encode(damaged).decode()
            yield spelt(replaced(whole, ("dsseEnvelope", *path), text))
    kind = whole["dsseEnvelope"]["payloadType"]
    for place in range(len(kind)):
        other = f"{kind[:place]}{chr(ord(kind[place]) ^ 1)}{kind[place + 1 :]}"
        yield spelt(replaced(whole, ("dsseEnvelope", "payloadType"), other))


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("seed", range(CORPUS_ROUNDS))
def test_ours_and_theirs_agree_on_a_corpus_of_good_and_damaged_envelopes(seed: int) -> None:
    draw = random.Random(seed)
    log = SealLog(draw)
    log.grow(4)
    sidecar, another = log.sidecar(1, 3), log.sidecar(2, 3)
    cases = [*damaged_envelopes(sidecar, another), *flipped_envelopes(sidecar, draw)]
    whole = [json.loads(one) for one in cases]
    asked = [(one, two) for one, two in zip(cases, whole, strict=True) if "dsseEnvelope" in two]
    said = python(
        [envelope_case(two["dsseEnvelope"], log.trust) for _, two in asked],
        needs="securesystemslib",
    )
    genuine = json.loads(sidecar)["dsseEnvelope"]
    counts: Counter[str] = Counter()
    for (one, two), theirs in zip(asked, said, strict=True):
        ok = signed(one, log.trust)
        assert theirs or not ok, f"we accept what they refuse: {one!r}"
        if ok or not theirs:
            counts["accepted" if ok else "refused"] += 1
            continue
        rows = rows_of_envelope(two["dsseEnvelope"], genuine)
        assert rows, f"they accept what we refuse, and it is on no list: {one!r}"
        counts.update(rows)
    print(f"seed {seed}, {len(asked)} cases: {dict(sorted(counts.items()))}")  # noqa: T201
    assert counts["refused"] > 500
    assert counts.keys() == {"accepted", "refused", "spelling", "several-signatures"}
    assert {row for row in counts if row in ACCEPTED_ELSEWHERE} <= {
        row for row, who in ACCEPTED_ELSEWHERE.items() if DSSE in who
    }


def test_a_signed_envelope_of_another_type_or_with_another_statement_is_one_of_theirs() -> None:
    """The seal key itself made them; the list has them as `payload-type` and `statement`."""
    log = SealLog(random.Random(12))
    grope = b'{"_type":"https://in-toto.io/Statement/v1"}'
    log.append(grope)
    log.append(grope, payload_type="text/plain")
    plain = json.loads(log.sidecar(1, 2))
    plain = replaced(plain, ("dsseEnvelope", "payloadType"), "text/plain")
    sidecars = [log.sidecar(0, 2), spelt(plain)]
    cases = [envelope_case(json.loads(one)["dsseEnvelope"], log.trust) for one in sidecars]
    assert python(cases, needs="securesystemslib") == [True, True]
    assert [seal_corpus.accepts(one, log.trust) for one in sidecars] == [False, False]


# --- in-toto-attestation: the statement ---


def statement_case(payload: bytes) -> dict[str, object]:
    return {"kind": "statement", "payload": base64.b64encode(payload).decode()}


def is_ours(payload: bytes) -> bool:
    try:
        check_statement(payload)
    except DeedbookError:
        return False
    return True


def test_statements_of_seals_and_of_changes_of_keys_are_statements_to_others(
    real: tuple[Trust, list[bytes]],
) -> None:
    _, sidecars = real
    payloads = [parse_bundle(one).statement for one in sidecars]
    payloads += [published_sidecar().statement, *changes()]
    assert len(changes()) > 2
    assert all(is_ours(one) for one in payloads)
    said = python([statement_case(one) for one in payloads], needs="in_toto_attestation")
    assert said == [True] * len(payloads)


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("seed", range(CORPUS_ROUNDS))
def test_no_statement_is_ours_and_none_to_others(seed: int) -> None:
    """Their schema is wide, ours is exact: what it takes beyond ours is the list's `statement`."""
    draw = random.Random(seed)
    sound = [published_sidecar().statement, draw.choice(changes())]
    cases = [*sound, sound[0].replace(b"Statement/v1", b"Statement/v2")]
    for one in sound:
        cases += seal_corpus.flipped(one, draw, every_bit=CORPUS_ROUNDS > 1)
        cases += seal_corpus.edited(one)
        cases += seal_corpus.respelt(one)
    said = python([statement_case(one) for one in cases], needs="in_toto_attestation")
    counts: Counter[str] = Counter()
    for one, theirs in zip(cases, said, strict=True):
        ours = is_ours(one)
        assert theirs or not ours, f"we take for a statement what they do not: {one!r}"
        counts["accepted" if ours else "statement" if theirs else "refused"] += 1
    print(f"seed {seed}, {len(cases)} cases: {dict(sorted(counts.items()))}")  # noqa: T201
    assert STATEMENT in ACCEPTED_ELSEWHERE["statement"]
    assert counts["accepted"] > 100
    assert counts["refused"] > 300
    assert said[2] is False


# --- openssl: the signature ---


class OpenSsl:
    """`openssl dgst -verify`, as a reader types it.

    Args:
        folder: Where `seal.pub`, `pae.bin` and `sig.der` are written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.openssl = program("openssl")

    def __call__(self, pem: bytes, signed: bytes, signature: bytes) -> bool:
        files = {"seal.pub": pem, "pae.bin": signed, "sig.der": signature}
        for name, content in files.items():
            (self.folder / name).write_bytes(content)
        words = ["dgst", "-sha256", "-verify", "seal.pub", "-signature", "sig.der", "pae.bin"]
        done = subprocess.run(
            [self.openssl, *words],
            cwd=self.folder,
            capture_output=True,
            check=False,
            timeout=SECONDS,
        )
        assert (done.returncode == 0) == (done.stdout == b"Verified OK\n")
        return done.returncode == 0


def test_openssl_verifies_the_signature_over_the_pae_with_the_ledgers_pem(
    real: tuple[Trust, list[bytes]], tmp_path: Path
) -> None:
    trust, sidecars = real
    openssl = OpenSsl(tmp_path)
    pem = public_files(trust)["seal.pub"]
    for one in (*sidecars, encode_bundle(published_sidecar())):
        read = parse_bundle(one)
        assert openssl(pem, pae(read.statement), read.signature)
        assert not openssl(pem, read.statement, read.signature)  # the payload is not what is signed
        assert not openssl(pem, pae(read.statement, "text/plain"), read.signature)


def test_openssl_and_we_say_the_same_of_every_damaged_signature(tmp_path: Path) -> None:
    draw = random.Random(13)
    openssl = OpenSsl(tmp_path)
    trust = published_trust()
    pem = public_files(trust)["seal.pub"]
    text = pae(published_sidecar().statement)
    assert SIGNATURE is not None
    assert SPKI is not None
    damaged = [*seal_corpus.flipped(SIGNATURE, draw), SIGNATURE[:-1], SIGNATURE + b"\0", b""]
    damaged += [b"0\x06\x02\x01\x00\x02\x01\x00", b"0\x06\x02\x01\x01\x02\x01\x01", SIGNATURE]
    said = [openssl(pem, text, one) for one in damaged]
    assert said == [verify_p256(SPKI, text, one) for one in damaged]
    assert said == [False] * (len(damaged) - 1) + [True]
    texts = [*seal_corpus.flipped(text, draw)][::16]
    assert [openssl(pem, one, SIGNATURE) for one in texts] == [False] * len(texts)
    another = public_files(SealLog(draw).trust)["seal.pub"]
    assert not openssl(another, text, SIGNATURE)
    assert trust.seal_keys[0].hint == HINT
