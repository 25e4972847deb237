"""Signed notes (C2SP signed-note): a text, and Ed25519 signatures under names that readers know.

A reader brings its keys. Signatures by others are kept and mean nothing; one under a known key that
does not hold makes the note bad, whatever else signed it.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Protocol

import msgspec

from domain.base64_text import decode64, encode64
from domain.errors import Damaged, Malformed

MAX_NOTE_BYTES = 65_536
MAX_SIGNATURES = 100
PUBLIC_KEY_BYTES = 32
KEY_ID_BYTES = 4
ED25519 = b"\x01"
"""The type of signature, as it stands before a public key."""

_SIGNATURE = re.compile(r"— (\S+) ([A-Za-z0-9+/]+={0,2})")
_NAME = re.compile(r"[^\s+]{1,255}")
_KEY = re.compile(r"([^\s+]{1,255})\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


class Signer(Protocol):
    """Signs notes with one Ed25519 key, wherever that lies."""

    @property
    def public_key(self) -> bytes:
        """The public half, 32 bytes."""

    def sign_note(self, text: bytes) -> bytes:
        """The Ed25519 signature over a note's text (RFC 8032, pure).

        Raises:
            Unavailable: `signing-key-unusable`.
        """


class Verifier(Protocol):
    """Checks one Ed25519 signature."""

    def __call__(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether the key signed exactly this."""


class NoteKey(msgspec.Struct, frozen=True):
    """A public key under the name with which it signs."""

    name: str
    public_key: bytes

    @property
    def log_id(self) -> bytes:
        """The whole hash by which Sigstore's clients know a log: 32 bytes."""
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.public_key).digest()

    @property
    def key_id(self) -> bytes:
        """What stands before a signature of this key: a hint, not proof."""
        return self.log_id[:KEY_ID_BYTES]


class NoteSignature(msgspec.Struct, frozen=True):
    """One signature line: whose, and what; the key id stands apart."""

    name: str
    key_id: bytes
    signature: bytes


class SignedNote(msgspec.Struct, frozen=True):
    """A text that ends with a newline, and the signatures under it."""

    text: str
    signatures: tuple[NoteSignature, ...]


def format_key(key: NoteKey) -> str:
    """The verifier key: name, key id and public key in one word that can be handed on."""
    return format_key_of_type(key.name, ED25519, key.public_key)


def parse_key(text: str) -> NoteKey:
    """The key of a verifier key.

    Raises:
        Malformed: `verifier-key-malformed`.
    """
    return NoteKey(*parse_key_of_type(text, ED25519))


def key_id_of(name: str, kind: bytes, public_key: bytes) -> bytes:
    """The id of a key for one type of signature, which is a byte."""
    return hashlib.sha256(name.encode() + b"\n" + kind + public_key).digest()[:KEY_ID_BYTES]


def format_key_of_type(name: str, kind: bytes, public_key: bytes) -> str:
    """The verifier key for one type of signature."""
    encoded = encode64(kind + public_key)
    return f"{name}+{key_id_of(name, kind, public_key).hex()}+{encoded}"


def parse_key_of_type(text: str, kind: bytes) -> tuple[str, bytes]:
    """Name and Ed25519 key of a verifier key that is for this type of signature.

    Raises:
        Malformed: `verifier-key-malformed`.
    """
    found = _KEY.fullmatch(text)
    if found is None:
        raise _bad_key("it is not NAME+ID+KEY")
    raw = decode64(found[3])
    if raw is None or len(raw) != PUBLIC_KEY_BYTES + 1 or raw[:1] != kind:
        raise _bad_key(f"its last part is no Ed25519 key of type 0x{kind.hex()}")
    key_id = key_id_of(found[1], kind, raw[1:]).hex()
    if key_id != found[2]:
        raise _bad_key(f"its id is {key_id}, not {found[2]}")
    return found[1], raw[1:]


def sign(text: str, name: str, signer: Signer) -> SignedNote:
    """The text, signed under a name."""
    key_id = NoteKey(name, signer.public_key).key_id
    return SignedNote(text, (NoteSignature(name, key_id, signer.sign_note(text.encode())),))


def format_note(note: SignedNote) -> str:
    """The note as it is handed out."""
    return f"{note.text}\n{''.join(format_signature(one) for one in note.signatures)}"


def format_signature(signature: NoteSignature) -> str:
    """One signature line, with its newline."""
    encoded = encode64(signature.key_id + signature.signature)
    return f"— {signature.name} {encoded}\n"


def parse_note(raw: str) -> SignedNote:
    """A note, strictly: no spelling is taken that `format_note` would not give.

    Raises:
        Damaged: `note-malformed`.
    """
    if len(raw.encode("utf-8", "surrogatepass")) > MAX_NOTE_BYTES:
        raise _bad_note(f"it has more than {MAX_NOTE_BYTES} bytes")
    if _CONTROL.search(raw) or not _is_text(raw):
        raise _bad_note("it holds a control character or is not UTF-8")
    if not raw.endswith("\n"):
        raise _bad_note("its last line does not end")
    text, blank, below = raw.rpartition("\n\n")
    if not blank or not text:
        raise _bad_note("there is no blank line between text and signatures")
    lines = below.removesuffix("\n").split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise _bad_note(f"it has more than {MAX_SIGNATURES} signatures")
    return SignedNote(text + "\n", tuple(parse_signature(line) for line in lines))


def parse_signature(line: str) -> NoteSignature:
    """One signature line, without its newline.

    Raises:
        Damaged: `note-malformed`.
    """
    found = _SIGNATURE.fullmatch(line)
    raw = None if found is None else decode64(found[2])
    if found is None or raw is None or _NAME.fullmatch(found[1]) is None:
        raise _bad_note("a line below the blank one is no signature")
    if len(raw) <= KEY_ID_BYTES:
        raise _bad_note("a signature is empty")
    return NoteSignature(found[1], raw[:KEY_ID_BYTES], raw[KEY_ID_BYTES:])


def verify_note(note: SignedNote, keys: Sequence[NoteKey], verify: Verifier) -> tuple[NoteKey, ...]:
    """Which of the keys signed the note; none when all signatures are by others.

    Raises:
        Damaged: `signature-wrong`: a signature stands under a known key and does not hold.
    """
    signed: list[NoteKey] = []
    for one in note.signatures:
        for key in keys:
            if (key.name, key.key_id) != (one.name, one.key_id):
                continue
            if not verify(key.public_key, note.text.encode(), one.signature):
                raise Damaged(
                    "signature-wrong",
                    f"The signature of {key.name} does not hold: the text is not what was signed.",
                )
            if key not in signed:
                signed.append(key)
    return tuple(signed)


def _is_text(raw: str) -> bool:
    try:
        raw.encode()
    except UnicodeEncodeError:
        return False
    return True


def _bad_note(why: str) -> Damaged:
    return Damaged("note-malformed", f"This is not a signed note: {why}.")


def _bad_key(why: str) -> Malformed:
    return Malformed(
        "verifier-key-malformed",
        f"This is not a verifier key: {why}. `deedbook key show` prints one.",
    )
