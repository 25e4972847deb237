"""Checkpoints and notes: published values, round trips, and one case for each way to be wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.signature_check import verify_signature
from domain.checkpoint import (
    Checkpoint,
    format_checkpoint,
    open_checkpoint,
    parse_checkpoint,
)
from domain.errors import DeedbookError
from domain.signed_note import (
    MAX_NOTE_BYTES,
    MAX_SIGNATURES,
    NoteKey,
    NoteSignature,
    SignedNote,
    format_key,
    format_note,
    parse_key,
    parse_note,
    sign,
    verify_note,
)
from tests.note_samples import (
    ALPHA,
    ALPHA_KEY,
    LEDGER_KEY,
    NOTE,
    PUBLIC,
    ROOT_OF_3,
    SIGNATURE,
    TEXT,
    published_signer,
)

STRANGER = "— other.example AAAAAAAAAAAA\n"


def test_the_published_checkpoint_is_written_and_signed_byte_for_byte() -> None:
    text = format_checkpoint(Checkpoint("alpha.ledger.example", 3, ROOT_OF_3))
    assert text == TEXT
    assert format_note(sign(text, "alpha.ledger.example", published_signer())) == NOTE


def test_the_published_verifier_keys_are_written_and_read() -> None:
    assert format_key(ALPHA) == ALPHA_KEY
    assert parse_key(ALPHA_KEY) == ALPHA
    assert parse_key(LEDGER_KEY) == NoteKey("ledger.example", PUBLIC)


def test_the_key_of_another_implementation_is_read() -> None:
    key = parse_key("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    assert key.key_id.hex() == "c74f20a3"


def test_a_signed_checkpoint_is_opened_with_its_key() -> None:
    opened = open_checkpoint(NOTE, [parse_key(LEDGER_KEY), ALPHA], verify_signature)
    assert opened == Checkpoint("alpha.ledger.example", 3, ROOT_OF_3)


def test_signatures_by_others_are_ignored() -> None:
    note = parse_note(f"{TEXT}\n{STRANGER}{SIGNATURE}{STRANGER}")
    assert verify_note(note, [ALPHA], verify_signature) == (ALPHA,)
    assert verify_note(note, [], verify_signature) == ()
    assert verify_note(parse_note(f"{TEXT}\n{STRANGER}"), [ALPHA], verify_signature) == ()


def test_a_checkpoint_signed_by_nobody_known_is_not_opened() -> None:
    for keys in ([], [parse_key(LEDGER_KEY)], [NoteKey("alpha.ledger.example", bytes(32))]):
        with pytest.raises(DeedbookError) as caught:
            open_checkpoint(NOTE, keys, verify_signature)
        assert caught.value.code == "signature-missing"


def test_a_key_of_another_log_does_not_speak_for_this_one() -> None:
    """One key serves every log of a ledger: only the name in the text keeps them apart."""
    foreign = parse_key(LEDGER_KEY)
    note = format_note(sign(TEXT, foreign.name, published_signer()))
    with pytest.raises(DeedbookError) as caught:
        open_checkpoint(note, [foreign], verify_signature)
    assert caught.value.code == "signature-missing"


@pytest.mark.parametrize(
    "note",
    [
        NOTE.replace("\n3\n", "\n4\n"),
        NOTE.replace("H8ieb", "I8ieb"),
        NOTE.replace("eurTmwI=", "eurTmwM="),
        f"{TEXT}\n{SIGNATURE}{SIGNATURE.replace('eurT', 'furT')}",
        f"{TEXT}\n— alpha.ledger.example Q9gnzgAA\n",
    ],
)
def test_a_signature_of_a_known_key_that_does_not_hold_spoils_the_note(note: str) -> None:
    with pytest.raises(DeedbookError) as caught:
        open_checkpoint(note, [ALPHA], verify_signature)
    assert caught.value.code in {"signature-wrong", "note-malformed"}


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "\n",
        "\n\n",
        TEXT,
        f"{TEXT}\n",
        f"\n\n{SIGNATURE}",
        NOTE.removesuffix("\n"),
        f"{NOTE}\n",
        f"{TEXT}{SIGNATURE}",
        NOTE.replace("\n", "\r\n"),
        NOTE.replace("3\n", "3\x00\n"),
        NOTE.replace("3\n", "3\t\n"),
        NOTE.replace("3\n", "3\x7f\n"),
        NOTE.replace("3\n", "3\ud800\n"),
        NOTE.replace("—", "-"),
        NOTE.replace("— alpha", "—  alpha"),
        NOTE.replace("mwI=", "mwI"),
        NOTE.replace("mwI=", "mwJ="),
        NOTE.replace("mwI=\n", "mwI= \n"),
        NOTE.replace("— alpha.", "— al+pha."),
        f"{TEXT}\n— alpha.ledger.example Q9gnzg==\n",
        f"{TEXT}\n— alpha.ledger.example\n",
        f"{TEXT}\n{SIGNATURE}text\n",
        f"{TEXT}\n{STRANGER * (MAX_SIGNATURES + 1)}",
        "x" * MAX_NOTE_BYTES + NOTE,
    ],
)
def test_what_is_no_note_is_refused(raw: str) -> None:
    with pytest.raises(DeedbookError) as caught:
        parse_note(raw)
    assert caught.value.code == "note-malformed"


@pytest.mark.parametrize(
    "text",
    [
        "",
        TEXT.removesuffix("\n"),
        f"{TEXT}extension\n",
        f"{TEXT}\n",
        TEXT.replace("\n3\n", "\n03\n"),
        TEXT.replace("\n3\n", "\n+3\n"),
        TEXT.replace("\n3\n", "\n-3\n"),
        TEXT.replace("\n3\n", "\n3 \n"),
        TEXT.replace("\n3\n", "\n٣\n"),
        TEXT.replace("\n3\n", "\n9223372036854775808\n"),
        TEXT.replace("\n3\n", "\n\n"),
        TEXT.replace("alpha", "Alpha"),
        TEXT.replace("alpha", "al pha"),
        TEXT.replace("alpha.ledger.example", ""),
        TEXT.replace("BVM=", "BV="),
        TEXT.replace("BVM=", "BVN="),
        TEXT.replace("H8ieb+S0", ""),
        TEXT.replace("+", "-"),
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(DeedbookError) as caught:
        parse_checkpoint(text)
    assert caught.value.code == "checkpoint-malformed"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "alpha.ledger.example",
        ALPHA_KEY.replace("43d827ce", "43d827cf"),
        ALPHA_KEY.replace("43d827ce", "43D827CE"),
        ALPHA_KEY.replace("alpha", "beta"),
        ALPHA_KEY.replace("Adda", "Bdda"),
        ALPHA_KEY.removesuffix("B1Ea"),
        f"{ALPHA_KEY}\n",
        f" {ALPHA_KEY}",
    ],
)
def test_what_is_no_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(DeedbookError) as caught:
        parse_key(text)
    assert caught.value.code == "verifier-key-malformed"


NAMES = st.from_regex(r"[a-z0-9.-]{1,40}", fullmatch=True)


@given(NAMES, st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_every_checkpoint_reads_back_as_it_was(origin: str, size: int, root: bytes) -> None:
    checkpoint = Checkpoint(origin, size, root)
    assert parse_checkpoint(format_checkpoint(checkpoint)) == checkpoint


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1)),
    st.lists(
        st.builds(
            NoteSignature,
            NAMES,
            st.binary(min_size=4, max_size=4),
            st.binary(min_size=1, max_size=80),
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_every_note_reads_back_as_it_was(lines: list[str], signatures: list[NoteSignature]) -> None:
    note = SignedNote("".join(f"{line}\n" for line in ["first", *lines]), tuple(signatures))
    assert parse_note(format_note(note)) == note


@given(st.text())
def test_whatever_is_read_is_written_the_same(raw: str) -> None:
    for text in (raw, NOTE + raw, raw + NOTE):
        try:
            note = parse_note(text)
        except DeedbookError:
            continue
        assert format_note(note) == text


@given(st.integers(0, len(NOTE.encode()) * 8 - 1))
def test_no_flipped_bit_leaves_a_checkpoint_good(bit: int) -> None:
    raw = bytearray(NOTE.encode())
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises((DeedbookError, UnicodeDecodeError)):
        open_checkpoint(raw.decode(), [ALPHA], verify_signature)
