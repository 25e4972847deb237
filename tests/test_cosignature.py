"""Cosignatures: of real witnesses, and each way in which one does not hold."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters.signature_check import verify_signature
from domain.cosignature import (
    MAX_TIME,
    CosignerKey,
    cosignatures_of,
    cosigned_message,
    format_cosignature,
    format_cosigner_key,
    parse_cosigner_key,
)
from domain.errors import DeedbookError
from domain.signed_note import (
    NoteKey,
    NoteSignature,
    SignedNote,
    format_key,
    format_note,
    format_signature,
    parse_note,
    parse_signature,
)
from tests.cosigned_samples import ABSENT, COSIGNED, LOG_KEY, TIME, WITNESS_KEYS
from tests.note_samples import ALPHA, ALPHA_KEY, NOTE, PUBLIC, SECRET, TEXT

WITNESS = CosignerKey("witness.example/w1", PUBLIC)


def by_witness(time: int, *, text: str = TEXT, signed_time: int | None = None) -> NoteSignature:
    """A line of a witness with the published key."""
    message = f"cosignature/v1\ntime {time if signed_time is None else signed_time}\n{text}"
    signature = Ed25519PrivateKey.from_private_bytes(SECRET).sign(message.encode())
    raw = time.to_bytes(8, "big") + signature
    return NoteSignature(WITNESS.name, WITNESS.key_id, raw)


def refused(signature: NoteSignature, text: str = TEXT) -> str:
    with pytest.raises(DeedbookError) as caught:
        cosignatures_of(SignedNote(text, (signature,)), [WITNESS], verify_signature)
    return caught.value.code


@pytest.mark.parametrize("vkey", WITNESS_KEYS.values())
def test_the_cosignatures_of_public_witnesses_hold(vkey: str) -> None:
    key = parse_cosigner_key(vkey)
    assert format_cosigner_key(key) == vkey
    (found,) = cosignatures_of(parse_note(COSIGNED), [key], verify_signature)
    assert (found.key, found.time) == (key, TIME)
    assert format_signature(found.signature) in COSIGNED


def test_no_flipped_bit_leaves_a_public_cosignature_good() -> None:
    key = parse_cosigner_key(WITNESS_KEYS["remora"])
    note = parse_note(COSIGNED)
    (mine,) = [one for one in note.signatures if one.name == key.name]
    for bit in range(len(mine.signature) * 8):
        raw = bytearray(mine.signature)
        raw[bit // 8] ^= 1 << bit % 8
        changed = NoteSignature(mine.name, mine.key_id, bytes(raw))
        with pytest.raises(DeedbookError) as caught:
            cosignatures_of(SignedNote(note.text, (changed,)), [key], verify_signature)
        assert caught.value.code == "signature-wrong"


def test_those_of_others_mean_nothing() -> None:
    note = parse_note(COSIGNED)
    assert cosignatures_of(note, [parse_cosigner_key(ABSENT)], verify_signature) == ()
    # The log's own key under a witness's type is another key, with another id.
    assert cosignatures_of(parse_note(NOTE), [WITNESS], verify_signature) == ()
    same_id = NoteSignature("witness.example/w2", WITNESS.key_id, b"x" * 72)
    same_name = NoteSignature(WITNESS.name, ALPHA.key_id, b"x" * 72)
    strange = SignedNote(TEXT, (same_id, same_name))
    assert cosignatures_of(strange, [WITNESS], verify_signature) == ()


def test_one_that_is_made_here_holds_and_reads_back() -> None:
    key = Ed25519PrivateKey.from_private_bytes(SECRET)
    for time in (1, TIME, MAX_TIME):
        line = format_cosignature(WITNESS, time, key.sign(cosigned_message(TEXT, time)))
        note = format_note(SignedNote(TEXT, (line,)))
        (found,) = cosignatures_of(parse_note(note), [WITNESS], verify_signature)
        assert found.time == time
        assert parse_signature(format_signature(line).removesuffix("\n")) == line


def test_the_message_is_that_of_the_specification() -> None:
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    assert cosigned_message(text, 1_679_315_147) == (
        b"cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\n"
        b"CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    )


@pytest.mark.parametrize(
    ("signature", "text"),
    [
        (by_witness(5, signed_time=6), TEXT),
        (by_witness(5), TEXT.replace("\n3\n", "\n4\n")),
        (by_witness(5, text=TEXT[:-1]), TEXT),
        (by_witness(0), TEXT),
        (by_witness(2**63), TEXT),
        (NoteSignature(WITNESS.name, WITNESS.key_id, by_witness(5).signature[:-1]), TEXT),
        (NoteSignature(WITNESS.name, WITNESS.key_id, by_witness(5).signature + b"\0"), TEXT),
        (NoteSignature(WITNESS.name, WITNESS.key_id, by_witness(5).signature[8:]), TEXT),
        (NoteSignature(WITNESS.name, WITNESS.key_id, b"\0"), TEXT),
    ],
    ids=(
        "time",
        "size",
        "newline",
        "no-time",
        "too-late",
        "short",
        "long",
        "no-time-bytes",
        "byte",
    ),
)
def test_each_way_to_be_wrong_spoils_the_note(signature: NoteSignature, text: str) -> None:
    assert refused(signature, text) == "signature-wrong"


def test_a_signature_of_another_length_is_none_whatever_checks_it() -> None:
    for raw in (by_witness(5).signature[:-1], by_witness(5).signature + b"\0"):
        note = SignedNote(TEXT, (NoteSignature(WITNESS.name, WITNESS.key_id, raw),))
        with pytest.raises(DeedbookError):
            cosignatures_of(note, [WITNESS], lambda *_: True)


def test_one_that_holds_does_not_cover_for_one_that_does_not() -> None:
    note = SignedNote(TEXT, (by_witness(5), by_witness(6, signed_time=7)))
    with pytest.raises(DeedbookError):
        cosignatures_of(note, [WITNESS], verify_signature)


@pytest.mark.parametrize(
    "text",
    [
        ALPHA_KEY,
        LOG_KEY,
        format_key(NoteKey(WITNESS.name, PUBLIC)),
        format_cosigner_key(WITNESS)[:-4],
        format_cosigner_key(WITNESS).replace("w1", "w2"),
        format_cosigner_key(WITNESS) + "\n",
        f"w+00000000+{base64.b64encode(bytes([6]) + PUBLIC).decode()}",
        "",
    ],
)
def test_what_is_no_key_of_a_witness_is_refused(text: str) -> None:
    with pytest.raises(DeedbookError) as caught:
        parse_cosigner_key(text)
    assert caught.value.code == "verifier-key-malformed"
