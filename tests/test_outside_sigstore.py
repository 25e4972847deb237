"""@sigstore/verify, unmodified, accepts what a ledger seals and refuses each tampered twin; and the two never disagree.

Where it accepts what we refuse, that stands on the written list (`outside_list.py`).
"""

import base64
import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from app.settings import Settings
from domain.dsse import pae
from domain.hashed_rekord import LeafKey
from domain.seal import Head, parse_statement
from domain.sigstore_bundle import MEDIA_TYPE, encode_bundle, parse_bundle
from domain.trust import LogKey, SealKey, Trust, parse_trust
from tests import seal_corpus, wrong_exports
from tests.ledger_samples import make_project, open_ledger, write_export
from tests.note_samples import PUBLIC
from tests.outside_list import ACCEPTED_ELSEWHERE, SIGSTORE, rows_of_bundle
from tests.outside_programs import CORPUS_ROUNDS, ROOT, Case, Verdict, reader, sigstore
from tests.seal_corpus import SealLog, accepts, at, replaced, spelt
from tests.seal_samples import SPKI, STATEMENT, published_sidecar
from tests.test_key_rotation import change, seal, service
from tests.wrong_exports import SIDECAR, TRUST

pytestmark = pytest.mark.outside

ENTRY: seal_corpus.Path = ("verificationMaterial", "tlogEntries", 0)
PROOF: seal_corpus.Path = (*ENTRY, "inclusionProof")
NOTE: seal_corpus.Path = (*PROOF, "checkpoint", "envelope")


def asked(sidecars: Sequence[bytes], trust: Trust) -> list[bool]:
    """What @sigstore/verify says to a reader with the ledger's public files; we say the same."""
    said = [one.ok for one in sigstore([Case(one) for one in sidecars], {"": reader(trust)})]
    assert [accepts(one, trust) for one in sidecars] == said
    return said


def published_trust() -> Trust:
    assert SPKI is not None
    return Trust("ledger.example", (LogKey(PUBLIC),), (SealKey(SPKI),))


def grown(seed: int, count: int) -> SealLog:
    log = SealLog(random.Random(seed))
    log.grow(count)
    return log


# --- what a ledger hands out ---


def test_the_seals_of_a_real_export_are_accepted_with_the_ledgers_public_files(
    database_url: str, tmp_path: Path
) -> None:
    with open_ledger(database_url) as ledger:
        position = make_project(ledger, database_url)
        sealed = [ledger.seals.seal("alpha", position, "project", None)]
        for number in range(20):
            head = Head(f"{number:040x}", "https://git.example/alpha")
            sealed.append(ledger.seals.seal("alpha", position, "project", head))
        digest = write_export(ledger, tmp_path / "alpha.zip", position)
        trust = ledger.seals.trust()
    assert {parse_statement(one.statement).zip_sha256.hex() for one in sealed} == {digest}
    assert [parse_bundle(one.sidecar).entry.size for one in sealed] == list(range(1, 22))
    assert asked([one.sidecar for one in sealed], trust) == [True] * 21
    others = [reparsed(one.sidecar, statement=sealed[0].statement + b" ") for one in sealed]
    assert asked(others, trust) == [False] * 21


def test_the_published_seal_is_accepted_and_not_by_a_reader_of_another_ledger() -> None:
    sidecar = encode_bundle(published_sidecar())
    assert asked([sidecar], published_trust()) == [True]
    assert asked([sidecar], grown(1, 1).trust) == [False]


def test_after_changes_of_both_keys_all_seals_are_accepted_and_the_changes_too(
    database_url: str, tmp_path: Path
) -> None:
    settings = Settings(
        database_url=database_url,
        deedbook_host="ledger.example",
        deedbook_log_key=f"file:{tmp_path / 'log.key'}",
        deedbook_seal_key=f"file:{tmp_path / 'seal.key'}",
    )
    with service(settings) as ledger:
        ledger.create_project("alpha", title="Alpha", actor="user:ada")
        ledger.write_artifact("alpha", "PRD", "main", b"# Alpha\n", actor="user:ada")
        sidecars = [seal(ledger, 1)]
    change(settings, "seal")
    with service(settings) as ledger:
        sidecars.append(seal(ledger, 2))
    change(settings, "log")
    with service(settings) as ledger:
        sidecars.append(seal(ledger, 3))
        trust = ledger.seals.trust()
    sidecars += kept_changes(database_url)
    assert [parse_bundle(one).entry.index for one in sidecars] == [0, 2, 4, 1, 3]
    assert parse_bundle(sidecars[-1]).entry.checkpoint.count("\n— ") == 2
    assert asked(sidecars, trust) == [True] * 5
    by_the_other_key = [
        reparsed(one, hint=key.hint)
        for one in sidecars
        for key in trust.seal_keys
        if key.hint != parse_bundle(one).hint
    ]
    assert asked(by_the_other_key, trust) == [False] * 5


def kept_changes(database_url: str) -> list[bytes]:
    """The sidecars of the changes of keys, which the database keeps."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT sidecar FROM seal_entry WHERE of_project IS NULL ORDER BY position"
        ).fetchall()
    return [bytes(row[0]) for row in rows]


def test_every_seal_of_a_log_is_accepted_at_every_later_size() -> None:
    log = grown(2, 24)
    sidecars = [log.sidecar(index, size) for size in range(1, 25) for index in range(size)]
    assert asked(sidecars, log.trust) == [True] * 300


# --- tampered twins, by name ---

Twin = Callable[[SealLog], bytes]


def twin(path: seal_corpus.Path, new: Callable[[SealLog, object], object]) -> Twin:
    """The fourth seal of a log of seven, with something else at a place."""

    def make(log: SealLog) -> bytes:
        whole = json.loads(log.sidecar(3, 7))
        return spelt(replaced(whole, path, new(log, at(whole, path))))

    return make


def reparsed(sidecar: bytes, **changed: object) -> bytes:
    """A sidecar with parts exchanged, spelt as ours are."""
    return encode_bundle(msgspec.structs.replace(parse_bundle(sidecar), **changed))


def other(path: seal_corpus.Path, index: int, size: int) -> Callable[[SealLog, object], object]:
    """What stands there in the sidecar of another entry, or at another size."""
    return lambda log, _old: at(json.loads(log.sidecar(index, size)), path)


def text64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def resigned_malleably(log: SealLog) -> bytes:
    """The other signature that everyone can make of an ECDSA signature: (r, n - s)."""
    sidecar = log.sidecar(3, 7)
    r, s = decode_dss_signature(parse_bundle(sidecar).signature)
    return reparsed(sidecar, signature=encode_dss_signature(r, seal_corpus.P256_ORDER - s))


def by_another_log(log: SealLog) -> bytes:
    """The same entries in a log of the same name, under another key."""
    fork = SealLog(random.Random(99))
    fork.entries = log.entries
    return reparsed(fork.sidecar(3, 7), hint=parse_bundle(log.sidecar(3, 7)).hint)


def signed_by_nobody(log: SealLog) -> bytes:
    """The log took it all the same: leaf, proof and checkpoint are right, and the signature is not."""
    index = log.append(STATEMENT, signature=log.entries[0].signature)
    return log.sidecar(index, len(log.entries))


def signed_by_another_key(log: SealLog) -> bytes:
    another = SealLog(random.Random(98)).seal_signer.sign_dsse(pae(STATEMENT))
    return log.sidecar(log.append(STATEMENT, signature=another), len(log.entries))


ENVELOPE_SIG: seal_corpus.Path = ("dsseEnvelope", "signatures", 0, "sig")
PAYLOAD: seal_corpus.Path = ("dsseEnvelope", "payload")
TWINS: dict[str, Twin] = {
    "another payload": twin(PAYLOAD, lambda _log, _old: text64(STATEMENT)),
    "another seal's payload": twin(PAYLOAD, other(PAYLOAD, 2, 7)),
    "another type of payload": twin(
        ("dsseEnvelope", "payloadType"), lambda _log, _old: "text/plain"
    ),
    "another seal's signature": twin(ENVELOPE_SIG, other(ENVELOPE_SIG, 2, 7)),
    "a signature of something else, logged": signed_by_nobody,
    "a signature of another key, logged under this one": signed_by_another_key,
    "no signature": twin(("dsseEnvelope", "signatures"), lambda _log, _old: []),
    "two signatures": twin(("dsseEnvelope", "signatures"), lambda _log, old: [old[0], old[0]]),  # type: ignore[index]
    "the other signature of ECDSA": resigned_malleably,
    "an unknown key": twin(
        ("verificationMaterial", "publicKey", "hint"), lambda _log, _old: "0" * 64
    ),
    "another seal's leaf": twin(
        (*ENTRY, "canonicalizedBody"), other((*ENTRY, "canonicalizedBody"), 2, 7)
    ),
    "no leaf": twin((*ENTRY, "canonicalizedBody"), lambda _log, _old: ""),
    "another kind of leaf": twin((*ENTRY, "kindVersion", "kind"), lambda _log, _old: "dsse"),
    "another version of leaf": twin((*ENTRY, "kindVersion", "version"), lambda _log, _old: "0.0.1"),
    "another index": twin((*PROOF, "logIndex"), lambda _log, _old: "2"),
    "an index behind the end": twin((*PROOF, "logIndex"), lambda _log, _old: "7"),
    "a negative index": twin((*PROOF, "logIndex"), lambda _log, _old: "-1"),
    "no hashes": twin((*PROOF, "hashes"), lambda _log, _old: []),
    "another entry's hashes": twin((*PROOF, "hashes"), other((*PROOF, "hashes"), 2, 7)),
    "a larger log's hashes": twin((*PROOF, "hashes"), other((*PROOF, "hashes"), 3, 8)),
    "a smaller log's checkpoint": twin(NOTE, other(NOTE, 3, 6)),
    "a larger log's checkpoint": twin(NOTE, other(NOTE, 3, 8)),
    "another size in the checkpoint": twin(
        NOTE, lambda _log, old: str(old).replace("\n7\n", "\n8\n")
    ),
    "another root in the checkpoint": twin(
        NOTE,
        lambda log, old: str(old).replace(log.note(7).split("\n")[2], log.note(6).split("\n")[2]),
    ),
    "another signature of the checkpoint": twin(
        NOTE,
        lambda log, old: str(old)[: str(old).index("— ")] + log.note(6)[log.note(6).index("— ") :],
    ),
    "an unsigned checkpoint": twin(NOTE, lambda _log, old: str(old)[: str(old).index("— ")]),
    "another log's id": twin(
        (*ENTRY, "logId", "keyId"), lambda _log, _old: text64(hashlib.sha256(b"else").digest())
    ),
    "the same entries in another log of the same name": by_another_log,
    "no entry of a log": twin(("verificationMaterial", "tlogEntries"), lambda _log, _old: []),
    "the same entry twice": twin(
        ("verificationMaterial", "tlogEntries"),
        lambda _log, old: [old[0], old[0]],  # type: ignore[index]
    ),
    "no proof": twin(PROOF, lambda _log, _old: None),
    "a promise instead of a proof": twin(
        ENTRY,
        lambda _log, old: (
            {
                name: member
                for name, member in old.items()  # type: ignore[attr-defined]
                if name != "inclusionProof"
            }
            | {"inclusionPromise": {"signedEntryTimestamp": text64(bytes(64))}}
        ),
    ),
}


def test_every_tampered_twin_is_refused_by_both() -> None:
    log = grown(3, 8)
    twins = {name: make(log) for name, make in TWINS.items()}
    assert len(set(twins.values()) | {log.sidecar(3, 7)}) == len(TWINS) + 1
    assert asked([log.sidecar(3, 7)], log.trust) == [True]
    said = dict(zip(twins, asked(list(twins.values()), log.trust), strict=True))
    assert [name for name, ok in said.items() if ok] == []


# --- what we refuse and they accept ---


def a_leaf_with_another_key(log: SealLog) -> bytes:
    """The log itself did it: only a leaf made anew with the key that is trusted shows it."""
    another = SealLog(random.Random(5)).seal_signer.spki
    return log.sidecar(log.append(STATEMENT, key=LeafKey(another)), len(log.entries))


def a_leaf_in_other_words(log: SealLog) -> bytes:
    index = log.append(STATEMENT, spelt=lambda line: line.replace(b'":"', b'": "'))
    return log.sidecar(index, len(log.entries))


def another_type_that_was_signed(log: SealLog) -> bytes:
    index = log.append(STATEMENT, payload_type="text/plain")
    whole = json.loads(log.sidecar(index, len(log.entries)))
    return spelt(replaced(whole, ("dsseEnvelope", "payloadType"), "text/plain"))


def no_seal_but_signed(log: SealLog) -> bytes:
    return log.sidecar(log.append(STATEMENT.replace(b'"scope"', b'"grope"')), len(log.entries))


def with_further_line(line: str) -> Twin:
    return twin(NOTE, lambda _log, old: f"{old}{line}")


LISTED: dict[str, list[Twin]] = {
    "outer-index": [twin((*ENTRY, "logIndex"), lambda _log, _old: "4")],
    "proof-size": [twin((*PROOF, "treeSize"), lambda _log, _old: "8")],
    "proof-root": [twin((*PROOF, "rootHash"), lambda _log, _old: text64(bytes(32)))],
    "envelope-keyid": [
        twin(("dsseEnvelope", "signatures", 0, "keyid"), lambda _log, _old: "0" * 64)
    ],
    "integrated-time": [twin((*ENTRY, "integratedTime"), lambda _log, _old: "1700000000")],
    "media-type": [
        twin(("mediaType",), lambda _log, _old: MEDIA_TYPE.replace("v0.3", "v0.9")),
        twin(
            ("mediaType",),
            lambda _log, _old: "application/vnd.dev.sigstore.bundle+json;version=0.2",
        ),
    ],
    "spelling": [
        lambda log: log.sidecar(3, 7) + b"\n",
        lambda log: json.dumps(json.loads(log.sidecar(3, 7)), indent=1).encode(),
        twin(ENVELOPE_SIG, lambda _log, old: str(old).rstrip("=") + "\n"),
        twin((*PROOF, "logIndex"), lambda _log, _old: "03"),
        lambda log: log.sidecar(3, 7)[:-1] + b',"more":1}',
    ],
    "note-lines": [
        with_further_line("garbage\n"),
        with_further_line("— x\n"),
        twin(NOTE, lambda _log, old: str(old).replace("— ledger.example", "— ledger.exampl")),
        twin(
            NOTE,
            lambda _log, old: (
                str(old) + re.sub("[A-Za-z0-9]{8}=$", "AAAAAAA=", str(old).partition("\n\n")[2])
            ),
        ),
    ],
    "leaf-key": [a_leaf_with_another_key],
    "leaf-spelling": [a_leaf_in_other_words],
    "payload-type": [another_type_that_was_signed],
    "statement": [no_seal_but_signed],
}


def test_what_we_refuse_and_they_accept_is_on_the_written_list() -> None:
    named = [(row, make(grown(4, 8))) for row, makes in LISTED.items() for make in makes]
    trust = grown(4, 8).trust
    said = sigstore([Case(one) for _, one in named], {"": reader(trust)})
    assert [(row, one.ok) for (row, _), one in zip(named, said, strict=True)] == [
        (row, True) for row, _ in named
    ]
    assert [row for row, one in named if accepts(one, trust)] == []
    by_them = {row for row, who in ACCEPTED_ELSEWHERE.items() if SIGSTORE in who}
    assert set(LISTED) | {"key-range"} == by_them


def test_they_know_no_range_of_a_key() -> None:
    """After a theft `trust.json` says where the key ended; `trusted_root.json` has no words for it."""
    log = grown(6, 5)
    stolen = Trust(
        log.host,
        log.trust.log_keys,
        (msgspec.structs.replace(log.trust.seal_keys[0], until=3),),
    )
    ended = Trust(log.host, (LogKey(log.signer.public_key, until={"*": 3}),), log.trust.seal_keys)
    sidecars = [log.sidecar(index, index + 1) for index in range(5)]
    for trust in (stolen, ended):
        assert all(one.ok for one in sigstore([Case(one) for one in sidecars], {"": reader(trust)}))
        assert [accepts(one, trust) for one in sidecars] == [True, True, True, False, False]


def test_of_the_frozen_wrong_seals_they_accept_only_what_is_on_the_list() -> None:
    """The cases of `wrong_exports.py`: what is wrong with the ZIP alone is nothing that they look at."""
    found = {name: wrong_exports.read(name)[0] for name in wrong_exports.names()}
    found = {name: files for name, files in found.items() if {SIDECAR, TRUST} <= files.keys()}
    trusts = {name: parse_trust(files[TRUST]) for name, files in found.items()}
    said = sigstore(
        [Case(files[SIDECAR], name) for name, files in found.items()],
        {name: reader(trust) for name, trust in trusts.items()},
    )
    theirs = {name: one.ok for name, one in zip(found, said, strict=True)}
    ours = {name: accepts(files[SIDECAR], trusts[name]) for name, files in found.items()}
    assert {name for name in found if ours[name] and not theirs[name]} == set()
    assert {name for name in found if theirs[name] and not ours[name]} == {
        "seal-index-changed",  # outer-index
        "seal-size-changed",  # proof-size
        "seal-root-changed",  # proof-root
        "seal-spelt-otherwise",  # spelling
        "seal-before-its-keys-begin",  # key-range, with the next two
        "seal-past-its-keys-end",
        "seal-past-its-log-keys-end",
    }
    assert len([name for name in found if not theirs[name]]) >= 13


def test_the_written_list_is_the_one_in_the_documentation() -> None:
    page = (ROOT / "docs" / "outside-verifiers.md").read_text("utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \| .* \| ([^|]*) \|$", page, re.MULTILINE)
    assert {row: frozenset(who.split(", ")) for row, who in rows} == dict(ACCEPTED_ELSEWHERE)


# --- a corpus from seeds ---


def corpus(log: SealLog, draw: random.Random) -> Iterator[bytes]:
    """Good and damaged sidecars of a log."""
    last = len(log.entries)
    index = draw.randrange(last - 1)
    size = draw.randrange(index + 1, last)
    one, later = log.sidecar(index, size), log.sidecar(index, last)
    another = log.sidecar((index + 1) % last, last)
    yield from (one, later, another)
    yield from seal_corpus.flipped(one, draw, every_bit=CORPUS_ROUNDS > 1)
    for sidecar in (one, later):
        yield from seal_corpus.edited(sidecar)
        yield from seal_corpus.respelt(sidecar)
    for pair in ((one, later), (later, one), (one, another), (another, later)):
        yield from seal_corpus.swapped(*pair)
    yield from seal_corpus.damaged_checkpoints(one, log.note(last))
    yield from seal_corpus.damaged_checkpoints(later, log.note(size))
    whole = json.loads(later)
    for proof in seal_corpus.damaged_hashes(parse_bundle(later).entry.hashes, draw):
        yield spelt(replaced(whole, (*PROOF, "hashes"), [text64(hashed) for hashed in proof]))
    for number in (*range(last + 2), 2**62, 2**63 - 1, 2**63, 2**64, 10**30):
        yield spelt(replaced(whole, (*PROOF, "logIndex"), str(number)))
        both = replaced(whole, (*PROOF, "logIndex"), str(number))
        yield spelt(replaced(both, (*ENTRY, "logIndex"), str(number)))


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("seed", range(CORPUS_ROUNDS))
def test_ours_and_theirs_agree_on_a_corpus_of_good_and_damaged_seals(seed: int) -> None:
    draw = random.Random(seed)
    log = SealLog(draw)
    log.grow(draw.randrange(3, 40))
    cases = list(dict.fromkeys(corpus(log, draw)))
    said = sigstore([Case(one) for one in cases], {"": reader(log.trust)})
    counts = compared(cases, said, log.trust)
    print(f"seed {seed}, {len(cases)} cases: {dict(sorted(counts.items()))}")  # noqa: T201
    assert counts["accepted"] >= 3
    assert counts["refused"] > 2_000
    rows = {row for row, who in ACCEPTED_ELSEWHERE.items() if SIGSTORE in who}
    needs_a_key = {"leaf-key", "leaf-spelling", "payload-type", "statement", "key-range"}
    assert counts.keys() - {"accepted", "refused"} == rows - needs_a_key


def compared(cases: Sequence[bytes], said: Sequence[Verdict], trust: Trust) -> Counter[str]:
    """How often both said what; a disagreement that is on no list fails."""
    counts: Counter[str] = Counter()
    ours = [accepts(one, trust) for one in cases]
    genuine = [one for one, ok in zip(cases, ours, strict=True) if ok]
    for one, ok, theirs in zip(cases, ours, said, strict=True):
        assert theirs.ok or not ok, f"we accept what they refuse ({theirs.why}): {one!r}"
        if ok or not theirs.ok:
            counts["accepted" if ok else "refused"] += 1
            continue
        rows = rows_of_bundle(theirs.read, genuine)
        assert rows, f"they accept what we refuse, and it is on no list: {one!r}"
        counts.update(rows)
    return counts


def test_a_difference_that_is_on_no_list_would_be_found() -> None:
    """The comparison itself, held to something that nobody should accept."""
    log = grown(7, 3)
    sidecar = log.sidecar(1, 3)
    forged = twin(PAYLOAD, lambda _log, _old: text64(b"{}"))(grown(7, 8))
    with pytest.raises(AssertionError, match="on no list"):
        compared(
            [sidecar, forged],
            [Verdict(ok=True, read=json.loads(sidecar)), Verdict(ok=True, read=json.loads(forged))],
            log.trust,
        )
    with pytest.raises(AssertionError, match="they refuse"):
        compared([sidecar], [Verdict(ok=False)], log.trust)
