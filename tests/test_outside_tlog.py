"""Go's own note and tlog packages accept what a ledger of ours hands out, and refuse each tampered twin."""

import base64
import os
import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from adapters.signature_check import verify_signature
from app.ledger import Ledger
from domain import merkle
from domain.checkpoint import open_checkpoint
from domain.errors import DeedbookError
from domain.seal import SEAL_LOG, Head
from domain.signed_note import (
    NoteKey,
    format_key,
    format_note,
    parse_key,
    parse_note,
    sign,
    verify_note,
)
from domain.tiles import format_entries, format_tile, parse_bundle, parse_hashes, tiles_of
from domain.tlog_proof import format_consistency, format_proof, parse_consistency, parse_proof
from domain.tree_nodes import boundary, consistency_ranges, inclusion_ranges
from tests.ledger_samples import another_database, make_project, open_ledger
from tests.note_samples import ALPHA_KEY, LEDGER_KEY
from tests.outside_list import ACCEPTED_ELSEWHERE, GO, rows_of_note
from tests.outside_programs import CORPUS_ROUNDS, INSTALL
from tests.seal_corpus import SealLog, damaged_hashes, damaged_notes, flipped
from tests.test_tlog_proofs import leaves, read

pytestmark = pytest.mark.outside

SOURCE = Path(__file__).parent / "outside_tlog" / "main.go"
PACKAGES = Path("/usr/share/gocode")
"""Where Debian puts the sources of Go packages."""
BUILD_SECONDS = 240
SECONDS = 60
SIZES = 100


@pytest.fixture(scope="module")
def tlog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, built from packages of the system alone."""
    go = shutil.which("go")
    if go is None:
        pytest.skip(f"go is not installed: {INSTALL}")
    if not (PACKAGES / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        pytest.skip(f"golang-golang-x-mod-dev is not installed: {INSTALL}")
    folder = tmp_path_factory.mktemp("go")
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOPATH": str(PACKAGES),
        "GOCACHE": str(folder / "cache"),
        "GOFLAGS": "",
        "CGO_ENABLED": "0",
    }
    built = subprocess.run(
        [go, "build", "-o", str(folder / "tlog"), str(SOURCE)],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return folder / "tlog"


@pytest.fixture(scope="module")
def handed_out(
    postgres_server: str, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """Everything that a ledger hands out of a log of 601 events, signed at several sizes."""
    folder = tmp_path_factory.mktemp("log")
    (folder / "proofs").mkdir()
    (folder / "vkey").write_text(ALPHA_KEY)
    with (
        another_database(postgres_server, template_database) as url,
        open_ledger(url) as ledger,
    ):
        ledger.create_project("alpha", title="Alpha", actor="user:ada")
        olds = []
        for more in (0, 1, 14, 240, 1, 344):
            for _ in range(more):
                ledger.write_artifact("alpha", "NOTE", "n", b"same", actor="user:ada")
            signed = ledger.checkpoints.latest("alpha")
            olds.append(signed.size)
            (folder / f"checkpoint-{signed.size}").write_text(signed.note)
            (folder / "checkpoint").write_text(signed.note)
        assert olds == [1, 2, 16, 256, 257, 601]
        hand_out(ledger, "alpha", folder, olds, (1, 2, 16, 17, 256, 257, 512, 513, 600, 601))
        yield folder


def hand_out(
    ledger: Ledger, log: str, folder: Path, olds: Sequence[int], positions: Sequence[int]
) -> None:
    """Write a log's tiles and entries, of its older sizes too, and proofs, as they are handed out."""
    for tile in (one for size in olds for one in tiles_of(size)):
        put(folder / "tile" / format_tile(tile), ledger.checkpoints.tile(log, tile))
        if tile.level == 0:
            raw = ledger.checkpoints.entries(log, tile)
            put(folder / "tile/entries" / format_entries(tile), raw)
    for position in positions:
        proof = ledger.checkpoints.inclusion(log, position)
        put(folder / f"proofs/{position}", format_proof(proof).encode())
    for old in olds:
        consistency = ledger.checkpoints.consistency(log, old)
        put(folder / f"proofs/since-{old}", format_consistency(consistency).encode())


def put(file: Path, raw: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(raw)


def said(tlog: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [str(tlog), *arguments], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_go_accepts_checkpoint_tiles_entries_and_proofs(tlog: Path, handed_out: Path) -> None:
    code, text = said(tlog, "log", str(handed_out))
    assert (code, text) == (0, f"accepted {1 + 601 + 10 + 6}\n")


@pytest.mark.parametrize(
    ("name", "at"),
    [
        ("checkpoint", 3),
        ("checkpoint", 23),
        ("checkpoint", 30),
        ("checkpoint", -10),
        ("tile/0/000", 0),
        ("tile/0/001", 8_000),
        ("tile/0/002.p/89", 89 * 32 - 1),
        ("tile/1/000.p/2", 40),
        ("tile/entries/000", 500),
        ("tile/entries/002.p/89", -1),
        ("proofs/257", 60),
        ("proofs/601", 31),
        ("proofs/since-257", 20),
        ("checkpoint-16", 30),
        ("vkey", 40),
    ],
)
def test_go_refuses_each_with_a_byte_changed(
    tlog: Path, handed_out: Path, tmp_path: Path, name: str, at: int
) -> None:
    folder = tmp_path / "twin"
    shutil.copytree(handed_out, folder)
    raw = bytearray((folder / name).read_bytes())
    raw[at] ^= 1
    (folder / name).write_bytes(raw)
    code, text = said(tlog, "log", str(folder))
    assert (code, text[:7]) == (1, "refused")


def proof_lines() -> list[str]:
    """Every inclusion and consistency proof of every log of up to 100 events."""
    lines = []
    for size in range(1, SIZES + 1):
        root = read([], size).root((0, size))
        for index in range(size):
            nodes = read([index], size)
            hashes = [nodes.root(one) for one in inclusion_ranges(index, size)]
            words = [root, leaves()[index], *hashes]
            lines.append(f"record {size} {index} {' '.join(one.hex() for one in words)}")
            nodes = read(boundary(index + 1), size)
            hashes = [nodes.root(one) for one in consistency_ranges(index + 1, size)]
            words = [nodes.root((0, index + 1)), root, *hashes]
            lines.append(f"tree {index + 1} {size} {' '.join(one.hex() for one in words)}")
    return lines


def test_go_and_we_agree_on_every_proof_of_every_log_of_a_hundred_events(
    tlog: Path, tmp_path: Path
) -> None:
    lines = proof_lines()
    (tmp_path / "proofs").write_text("\n".join(lines))
    assert said(tlog, "proofs", str(tmp_path / "proofs")) == (0, f"accepted {len(lines)}\n")
    for line in lines[7::977]:
        word, first, second, *hashes = line.split()
        for place in range(len(hashes)):
            damaged = [*hashes]
            damaged[place] = f"{int(damaged[place][0], 16) ^ 1:x}{damaged[place][1:]}"
            (tmp_path / "one").write_text(" ".join([word, first, second, *damaged]))
            assert said(tlog, "proofs", str(tmp_path / "one"))[0] == 1
            assert not ours(word, int(first), int(second), damaged)


def ours(word: str, first: int, second: int, hexes: list[str]) -> bool:
    """What our own check says of such a line."""
    one, two, *proof = (bytes.fromhex(each) for each in hexes)
    if word == "record":
        return merkle.verify_inclusion(two, second, first, proof, one)
    return merkle.verify_consistency(first, second, proof, one, two)


# --- the seal log ---

GO_LARGEST = 2**62
"""Go's tlog never ends when it is asked about a larger log (golang.org/x/mod 0.7 at least)."""
SEAL_SIZES = (1, 2, 16, 256, 257, 300)


@pytest.fixture(scope="module")
def sealed(
    postgres_server: str, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """Everything that a ledger hands out of a seal log of 300 seals."""
    folder = tmp_path_factory.mktemp("seals")
    (folder / "proofs").mkdir()
    (folder / "vkey").write_text(LEDGER_KEY)
    with (
        another_database(postgres_server, template_database) as url,
        open_ledger(url) as ledger,
    ):
        position = make_project(ledger, url)
        for number in range(SEAL_SIZES[-1]):
            head = Head(f"{number:040x}", "https://git.example/alpha")
            ledger.seals.seal("alpha", position, "project", head)
            if number + 1 in SEAL_SIZES:
                note = ledger.checkpoints.latest(SEAL_LOG).note
                (folder / f"checkpoint-{number + 1}").write_text(note)
                (folder / "checkpoint").write_text(note)
        hand_out(ledger, SEAL_LOG, folder, SEAL_SIZES, (1, 2, 16, 17, 256, 257, 299, 300))
        yield folder


@pytest.mark.parametrize("size", SEAL_SIZES)
def test_go_accepts_the_seal_log_as_it_is_and_as_it_was(
    tlog: Path, sealed: Path, tmp_path: Path, size: int
) -> None:
    folder = tmp_path / "then"
    shutil.copytree(sealed, folder)
    shutil.copyfile(sealed / f"checkpoint-{size}", folder / "checkpoint")
    assert said(tlog, "log", str(folder)) == (0, f"accepted {1 + size + 8 + 6}\n")
    assert our_log(folder)


def test_go_and_we_refuse_the_seal_log_with_a_byte_changed_in_any_of_its_files(
    tlog: Path, sealed: Path, tmp_path: Path
) -> None:
    """Files of older sizes are read with the checkpoint of that size."""
    folder = tmp_path / "twin"
    shutil.copytree(sealed, folder)
    draw = random.Random(17)
    tried = 0
    for size in SEAL_SIZES:
        shutil.copyfile(sealed / f"checkpoint-{size}", folder / "checkpoint")
        for name in files_of(size):
            good = (folder / name).read_bytes()
            for _ in range(3 * CORPUS_ROUNDS):
                place = draw.randrange(len(good))
                bad = bytearray(good)
                bad[place] ^= 1 << draw.randrange(8)
                (folder / name).write_bytes(bad)
                assert said(tlog, "log", str(folder))[0] == 1, f"{name} at {place}"
                assert not our_log(folder), f"{name} at {place}"
                tried += 1
            (folder / name).write_bytes(good)
    print(f"{tried} files with one byte changed")  # noqa: T201
    assert tried >= 120


def files_of(size: int) -> list[str]:
    """The files that a reader of the log at a size needs, and what leads from it to the last."""
    names = ["checkpoint", f"proofs/since-{size}", f"checkpoint-{size}"]
    for tile in tiles_of(size):
        names.append(f"tile/{format_tile(tile)}")
        if tile.level == 0:
            names.append(f"tile/entries/{format_entries(tile)}")
    if size == SEAL_SIZES[-1]:
        names += [f"proofs/{position}" for position in (1, 2, 16, 17, 256, 257, 299, 300)]
    return names


def our_log(folder: Path) -> bool:
    """What our own readers say of such a folder."""
    keys = [parse_key((folder / "vkey").read_text())]
    try:
        signed = open_checkpoint((folder / "checkpoint").read_text(), keys, verify_signature)
        entries: list[bytes] = []
        tiles: dict[int, list[bytes]] = {}
        for tile in tiles_of(signed.size):
            raw = (folder / "tile" / format_tile(tile)).read_bytes()
            tiles.setdefault(tile.level, []).extend(parse_hashes(raw, tile))
            if tile.level == 0:
                entries += parse_bundle(
                    (folder / "tile/entries" / format_entries(tile)).read_bytes()
                )
        hashes = [merkle.leaf_hash(one) for one in entries]
        if hashes != tiles[0] or merkle.tree_root(hashes) != signed.root:
            return False
        full = range(0, len(hashes) - 255, 256)
        if [merkle.tree_root(hashes[at : at + 256]) for at in full] != tiles.get(1, []):
            return False
        return all(our_proof(folder, keys, file) for file in (folder / "proofs").iterdir())
    except (DeedbookError, UnicodeDecodeError):
        return False


def our_proof(folder: Path, keys: Sequence[NoteKey], file: Path) -> bool:
    text = file.read_text()
    if text.startswith("old"):
        proof = parse_consistency(text)
        before = (folder / f"checkpoint-{proof.old}").read_text()
        old = open_checkpoint(before, keys, verify_signature)
        new = open_checkpoint(proof.checkpoint, keys, verify_signature)
        return old.size == proof.old and merkle.verify_consistency(
            old.size, new.size, proof.hashes, old.root, new.root
        )
    one = parse_proof(text)
    signed = open_checkpoint(one.checkpoint, keys, verify_signature)
    bundles = [tile for tile in tiles_of(signed.size) if tile.level == 0]
    raw = (folder / "tile/entries" / format_entries(bundles[one.index // 256])).read_bytes()
    leaf = merkle.leaf_hash(parse_bundle(raw)[one.index % 256])
    return merkle.verify_inclusion(leaf, one.index, signed.size, one.hashes, signed.root)


# --- a corpus from seeds ---


def verdicts(tlog: Path, lines: Sequence[str], file: Path) -> list[bool]:
    file.write_text("\n".join(lines) + "\n")
    code, text = said(tlog, "verdicts", str(file))
    assert code == 0, text
    found = [line == "accepted" for line in text.splitlines()]
    assert len(found) == len(lines)
    return found


class Proof(msgspec.Struct, frozen=True):
    """A proof as a line has it: of one leaf, or of an older log."""

    word: str
    first: int
    second: int
    hashes: Sequence[bytes]

    @property
    def line(self) -> str:
        """For Go; a hash of no bytes is no hexadecimal word there either."""
        words = (one.hex() or "-" for one in self.hashes)
        return " ".join([self.word, str(self.first), str(self.second), *words])


def damaged_proofs(draw: random.Random) -> Iterator[Proof]:
    """Proofs of both kinds, good, of other places and sizes, and with hashes damaged."""
    nodes = [draw.randbytes(32) for _ in range(draw.randrange(2, 70))]
    size = len(nodes)
    root = merkle.tree_root(nodes)
    index, old = draw.randrange(size), draw.randrange(1, size)
    path = merkle.inclusion_proof(index, nodes)
    since = merkle.consistency_proof(old, nodes)
    before = merkle.tree_root(nodes[:old])
    for hashes in (path, *damaged_hashes(path, draw)):
        yield Proof("record", size, index, [root, nodes[index], *hashes])
    for hashes in (since, *damaged_hashes(since, draw)):
        yield Proof("tree", old, size, [before, root, *hashes])
    places = [-1, 0, 1, old, index, size - 1, size, size + 1, 2 * size, 2**61, GO_LARGEST]
    for first in places:
        for second in places:
            yield Proof("record", first, second, [root, nodes[index], *path])
            yield Proof("tree", first, second, [before, root, *since])
            yield Proof("tree", first, second, [root, root])
    for roots in ([before, before], [root, before], [root, root], [bytes(32), root]):
        yield Proof("tree", old, size, [*roots, *since])
        yield Proof("tree", size, size, [*roots])
    yield Proof("record", size, index, [nodes[index], root, *path])
    # The two halves of the first node, cut at another place: the same bytes to a careless hash.
    leaf, sibling = nodes[index], path[0]
    if index % 2:
        yield Proof("record", size, index, [root, leaf[1:], sibling + leaf[:1], *path[1:]])
    else:
        yield Proof("record", size, index, [root, leaf + sibling[:1], sibling[1:], *path[1:]])


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("seed", range(CORPUS_ROUNDS))
def test_go_and_we_agree_on_a_corpus_of_good_and_damaged_proofs(
    tlog: Path, tmp_path: Path, seed: int
) -> None:
    draw = random.Random(seed)
    proofs = [one for _ in range(20) for one in damaged_proofs(draw)]
    theirs = verdicts(tlog, [one.line for one in proofs], tmp_path / "lines")
    for one, go in zip(proofs, theirs, strict=True):
        hexes = [each.hex() for each in one.hashes]
        assert ours(one.word, one.first, one.second, hexes) == go, one
    counts = Counter(theirs)
    print(f"seed {seed}, {len(proofs)} proofs: {dict(counts)}")  # noqa: T201
    assert counts[True] >= 40
    assert counts[False] > 5_000


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("seed", range(CORPUS_ROUNDS))
def test_go_and_we_agree_on_a_corpus_of_good_and_damaged_notes(
    tlog: Path, tmp_path: Path, seed: int
) -> None:
    draw = random.Random(seed)
    log = SealLog(draw)
    log.grow(9)
    key = NoteKey(log.host, log.signer.public_key)
    good, other = log.note(8), log.note(5)
    notes = [good.encode(), other.encode()]
    notes += [one.encode() for one in damaged_notes(good, other) if one]
    notes += flipped(good.encode(), draw, every_bit=True)
    words = [base64.b64encode(one).decode() for one in notes]
    theirs = verdicts(tlog, [f"note {format_key(key)} {one}" for one in words], tmp_path / "notes")
    counts: Counter[str] = Counter()
    for raw, go in zip(notes, theirs, strict=True):
        ok = signed_by(raw, key)
        assert go or not ok, f"we accept what Go refuses: {raw!r}"
        if ok or not go:
            counts["accepted" if ok else "refused"] += 1
            continue
        rows = rows_of_note(raw.decode(), good)
        assert rows, f"Go accepts what we refuse, and it is on no list: {raw!r}"
        counts.update(rows)
    print(f"seed {seed}, {len(notes)} notes: {dict(sorted(counts.items()))}")  # noqa: T201
    by_go = {row for row, who in ACCEPTED_ELSEWHERE.items() if GO in who}
    assert counts.keys() - {"accepted", "refused"} == by_go - {"key-range", "note-limits"}
    assert counts["refused"] > 1_000


def test_go_takes_larger_notes_than_we_do(tlog: Path, tmp_path: Path) -> None:
    """The list's `note-limits`; the first needs the log's key, the second anybody's."""
    log = SealLog(random.Random(18))
    key = NoteKey(log.host, log.signer.public_key)
    long = format_note(sign("a" * 70_000 + "\n", log.host, log.signer))
    odd = format_note(sign("a\x7f\n", log.host, log.signer))
    named = format_note(sign("a\n", log.host, log.signer)) + f"— {'a' * 256} AAAAAAA=\n"
    notes = [one.encode() for one in (long, odd, named)]
    words = [base64.b64encode(one).decode() for one in notes]
    lines = [f"note {format_key(key)} {one}" for one in words]
    assert verdicts(tlog, lines, tmp_path / "notes") == [True] * 3
    assert [signed_by(one, key) for one in notes] == [False] * 3
    control = format_note(sign("a\x01\n", log.host, log.signer)).encode()
    line = f"note {format_key(key)} {base64.b64encode(control).decode()}"
    assert verdicts(tlog, [line], tmp_path / "notes") == [signed_by(control, key)] == [False]


def signed_by(raw: bytes, key: NoteKey) -> bool:
    """Whether we take the note for signed with the key; its text may say anything, as in Go."""
    try:
        return bool(verify_note(parse_note(raw.decode()), [key], verify_signature))
    except (DeedbookError, UnicodeDecodeError):
        return False
