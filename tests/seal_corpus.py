"""Valid and damaged seals, checkpoints and proofs, made from a seed: for comparing verifiers.

The logs here exist only as values: our formats and our tree, with keys drawn from the seed.
"""

import base64
import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters.ed25519_key import FileSigner
from adapters.p256_key import FileSealSigner
from app.offline.signatures import SIGNATURES
from domain import canonical
from domain.checkpoint import Checkpoint, format_checkpoint
from domain.dsse import IN_TOTO, pae
from domain.errors import DeedbookError
from domain.hashed_rekord import LeafKey, encode_leaf
from domain.key_change import KeyChange, encode_key_change, parse_key_change
from domain.log_entry import LogEntry
from domain.merkle import inclusion_proof, leaf_hash, tree_root
from domain.seal import Head, Seal, encode_statement, parse_statement
from domain.signed_note import NoteKey, format_note, sign
from domain.sigstore_bundle import SignedSeal, encode_bundle, parse_bundle
from domain.trust import LogKey, SealKey, Trust, hint_of
from projections.verify_seal import check_signed

HOST = "ledger.example"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class Entry(msgspec.Struct, frozen=True):
    """One of a seal log: what was signed, by what, and its leaf's data."""

    statement: bytes
    signature: bytes
    line: bytes


class SealLog:
    """A seal log with one key of each kind.

    Args:
        draw: The source of all that is random in it.
        host: The ledger's.
    """

    def __init__(self, draw: random.Random, host: str = HOST) -> None:
        self.host = host
        self.signer = FileSigner(Ed25519PrivateKey.from_private_bytes(draw.randbytes(32)))
        secret = draw.randrange(1, P256_ORDER)
        self.seal_signer = FileSealSigner(ec.derive_private_key(secret, ec.SECP256R1()))
        self.entries: list[Entry] = []
        self._draw = draw

    @property
    def trust(self) -> Trust:
        """What its reader knows."""
        keys = (LogKey(self.signer.public_key),), (SealKey(self.seal_signer.spki),)
        return Trust(self.host, *keys)

    @property
    def leaves(self) -> list[bytes]:
        """The hashes of its leaves."""
        return [leaf_hash(entry.line) for entry in self.entries]

    def append(self, statement: bytes, **leaf: Any) -> int:
        """Seal a statement; answers its index. The leaf can be told to be other than it should."""
        signed = pae(statement, leaf.get("payload_type", IN_TOTO))
        signature = leaf.get("signature") or self.seal_signer.sign_dsse(signed)
        key = leaf.get("key", LeafKey(self.seal_signer.spki))
        line = encode_leaf(hashlib.sha256(signed).digest(), signature, key)
        self.entries.append(Entry(statement, signature, leaf.get("spelt", lambda same: same)(line)))
        return len(self.entries) - 1

    def grow(self, count: int) -> None:
        """Append seals, and now and then a change of keys."""
        for _ in range(count):
            change = self._draw.random() < 0.1
            self.append(self._key_change() if change else encode_statement(self._seal()))

    def note(self, size: int) -> str:
        """The checkpoint at a size."""
        root = tree_root(self.leaves[:size])
        text = format_checkpoint(Checkpoint(self.host, size, root))
        return format_note(sign(text, self.host, self.signer))

    def sidecar(self, index: int, size: int) -> bytes:
        """The bundle of an entry, with the proof that leads to the log's root at a size."""
        entry, leaves = self.entries[index], self.leaves[:size]
        return encode_bundle(
            SignedSeal(
                entry.statement,
                entry.signature,
                hint_of(self.seal_signer.spki),
                LogEntry(
                    log_id=NoteKey(self.host, self.signer.public_key).log_id,
                    index=index,
                    body=entry.line,
                    proof_index=index,
                    size=size,
                    root=tree_root(leaves),
                    hashes=tuple(inclusion_proof(index, leaves)),
                    checkpoint=self.note(size),
                ),
            )
        )

    def _seal(self) -> Seal:
        draw = self._draw
        position = draw.randrange(1, 10_000)
        head = Head(draw.randbytes(20).hex(), "https://git.example/alpha")
        return Seal(
            file_name=f"alpha-{position}.zip",
            zip_sha256=draw.randbytes(32),
            manifest_sha256=draw.randbytes(32),
            origin=f"alpha.{self.host}",
            position=position,
            root=draw.randbytes(32),
            scope=draw.choice(["project", "project+originals", "run:r1"]),
            head=draw.choice([None, head]),
        )

    def _key_change(self) -> bytes:
        size = len(self.entries) + 1
        spki = self.seal_signer.spki
        return encode_key_change(
            KeyChange(
                ledger=self.host,
                role="seal",
                retired=spki,
                successor=spki[:-32] + self._draw.randbytes(32),
                until=size,
                since=size,
                reason="a yearly change",
            )
        )


def accepts(sidecar: bytes, trust: Trust) -> bool:
    """What we say of a sidecar; anything but a clear refusal raises."""
    try:
        read = parse_bundle(sidecar)
        check_statement(read.statement)
        check_signed(read, trust, SIGNATURES)
    except DeedbookError:
        return False
    return True


def check_statement(raw: bytes) -> None:
    """A statement of ours: of a seal or of a change of keys.

    Raises:
        Damaged: `statement-malformed`.
    """
    try:
        parse_statement(raw)
    except DeedbookError:
        parse_key_change(raw)


def flipped(raw: bytes, draw: random.Random, *, every_bit: bool = False) -> Iterator[bytes]:
    """The bytes with one bit changed: one in each byte, or each."""
    for at in range(len(raw)):
        for bit in range(8) if every_bit else [draw.randrange(8)]:
            damaged = bytearray(raw)
            damaged[at] ^= 1 << bit
            yield bytes(damaged)


Path = tuple[str | int, ...]


def paths(value: Any, before: Path = ()) -> Iterator[Path]:
    """Every place in a JSON value, the whole included."""
    yield before
    members = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for name, member in members:
        yield from paths(member, (*before, name))


def at(value: Any, path: Path) -> Any:
    for name in path:
        value = value[name]
    return value


def replaced(value: Any, path: Path, new: Any) -> Any:
    """A copy with something else at a place."""
    if not path:
        return new
    copy = json.loads(json.dumps(value))
    at(copy, path[:-1])[path[-1]] = new
    return copy


def spelt(value: Any) -> bytes:
    """JSON as we spell it."""
    return canonical.write(value)


def edited(raw: bytes) -> Iterator[bytes]:
    """A JSON text with each member left out, doubled in its list, or made something else."""
    whole = json.loads(raw)
    for path in paths(whole):
        old = at(whole, path)
        for new in (None, "", "0", "1", 0, [], {}, [old], {"raw": old}, True):
            yield spelt(replaced(whole, path, new))
        if isinstance(old, str):
            for text in _texts(old):
                yield spelt(replaced(whole, path, text))
        if isinstance(old, list):
            yield spelt(replaced(whole, path, [*old, *old]))
            yield spelt(replaced(whole, path, old[::-1]))
            yield spelt(replaced(whole, path, old[1:]))
            yield spelt(replaced(whole, path, old[:-1]))
            yield spelt(replaced(whole, path, [*old, _text(bytes(32))]))
        if path and isinstance(path[-1], str):
            copy = json.loads(raw)
            del at(copy, path[:-1])[path[-1]]
            yield spelt(copy)
            yield spelt(replaced(whole, (*path[:-1], f"{path[-1]}2"), old))


def respelt(raw: bytes) -> Iterator[bytes]:
    """The same content in other bytes."""
    whole = json.loads(raw)
    yield json.dumps(whole, indent=1).encode()
    yield json.dumps(whole, separators=(", ", ":")).encode()
    yield json.dumps(dict(reversed(whole.items())), separators=(",", ":")).encode()
    yield json.dumps(whole, separators=(",", ":"), sort_keys=True).encode()  # other escapes
    yield raw + b"\n"
    yield b" " + raw
    yield b"\xef\xbb\xbf" + raw
    yield raw + raw
    yield raw[:-1]
    yield raw[:-1] + b',"more":1}'
    yield raw[:-1] + b"," + raw[1:]


def swapped(one: bytes, other: bytes) -> Iterator[bytes]:
    """One JSON text with each place taken from the other."""
    first, second = json.loads(one), json.loads(other)
    for path in paths(first):
        try:
            yield spelt(replaced(first, path, at(second, path)))
        except (LookupError, TypeError):
            continue


def damaged_notes(note: str, other: str) -> Iterator[str]:
    """A checkpoint with lines changed, added and left out, as nobody signed it.

    Args:
        note: A signed note of three lines and a signature.
        other: Another of the same form.
    """
    text, _, below = note.partition("\n\n")
    name = below.split(" ")[1]
    key = below.rsplit(" ", 1)[1].strip()
    raw = base64.b64decode(key)
    wrong = f"— {name} {_text(raw[:4] + bytes(64))}\n"
    unknown = f"— else.example {_text(raw)}\n"
    lines = text.split("\n")
    for mine in (unknown, wrong, "— x\n", "garbage\n", "\n", f"— {name} \n", "— a+b AAAAAAAA\n"):
        yield f"{text}\n\n{below}{mine}"
        yield f"{text}\n\n{mine}{below}"
        yield f"{text}\n{mine}\n{below}"
        yield f"{text}\n\n{mine}"
    for texts in (lines[::-1], lines[:2], lines[1:], [lines[0], *lines], [*lines, "more"]):
        yield "\n".join(texts) + f"\n\n{below}"
    for size in (f"0{lines[1]}", f"+{lines[1]}", f" {lines[1]}", f"{lines[1]}0", "-1", "0x1", ""):
        yield f"{lines[0]}\n{size}\n{lines[2]}\n\n{below}"
    for root in (lines[2].rstrip("="), f"{lines[2]}AAAA", lines[2][4:], other.split("\n")[2]):
        yield f"{lines[0]}\n{lines[1]}\n{root}\n\n{below}"
    for another in (
        name[1:],
        name[:-1],
        f"{name}.",
        name.upper(),
        f"{name}\u00a0",
        "",
        "e",
        "https",
    ):
        yield f"{text}\n\n— {another} {key}\n"
    for sig in (raw[:4], raw[:-1], raw + b"\0", raw[4:], bytes(4) + raw[4:], raw[:4] + raw[:3:-1]):
        yield f"{text}\n\n— {name} {_text(sig)}\n"
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    tail = last[last.index(key.rstrip("=")[-1]) | 1]  # bits that base64 does not use
    for word in (
        key.rstrip("="),
        f"{key}=",
        key.rstrip("=")[:-1] + f"{tail}=",
        f"{key[:8]} {key[8:]}",
    ):
        yield f"{text}\n\n— {name} {word}\n"
    yield f"{text}\n\n- {name} {key}\n"
    yield f"{text}\n\n—  {name} {key}\n"
    yield f"{text}\n\n— {name} {key}"
    yield f"{text}\n\n— {name} {key} \n"
    yield note.replace("\n", "\r\n")
    yield note.replace("\n\n", "\n")
    yield note.replace("\n\n", "\n\n\n")
    yield note + note
    yield other.partition("\n\n")[0] + f"\n\n{below}"
    yield f"{text}\n\n{other.partition(chr(10) * 2)[2]}"
    yield f"{text}\n\n{below}{other.partition(chr(10) * 2)[2]}"
    yield ""


def damaged_checkpoints(sidecar: bytes, other: str) -> Iterator[bytes]:
    """A sidecar with each of those in the place of its checkpoint."""
    whole = json.loads(sidecar)
    path = ("verificationMaterial", "tlogEntries", 0, "inclusionProof", "checkpoint", "envelope")
    for note in damaged_notes(at(whole, path), other):
        yield spelt(replaced(whole, path, note))


def damaged_hashes(proof: Sequence[bytes], draw: random.Random) -> Iterator[list[bytes]]:
    """A list of hashes with one changed, left out, doubled, swapped, cut or lengthened."""
    for place, one in enumerate(proof):
        before, after = list(proof[:place]), list(proof[place + 1 :])
        bit = draw.randrange(256)
        changed = bytearray(one)
        changed[bit // 8] ^= 1 << bit % 8
        for instead in ([bytes(changed)], [], [one, one], [one[:-1]], [one + b"\0"], [b""]):
            yield [*before, *instead, *after]
    yield [*proof, bytes(32)]
    yield [bytes(32), *proof]
    yield list(proof[::-1])
    yield []


def _texts(old: str) -> Iterator[str]:
    yield old + " "
    yield " " + old
    yield old + "\n"
    yield old.rstrip("=")
    yield old + "="
    yield old.swapcase()
    yield old[1:]
    yield old[:-1]
    yield old * 2
    yield "0" + old
    yield old.replace("+", "-").replace("/", "_")
    if len(old) > 8:
        yield f"{old[:8]}\n{old[8:]}"
        yield f"{old[:4]}*{old[4:]}"
    if old.isdigit():
        yield str(int(old) + 1)
        yield str(int(old) - 1)
        yield hex(int(old))
        yield f"{old}.0"
        yield str(int(old) + 2**64)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
