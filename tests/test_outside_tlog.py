"""Go's own note and tlog packages accept what a ledger of ours hands out, and refuse each tampered twin."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain import merkle
from domain.tiles import format_entries, format_tile, tiles_of
from domain.tlog_proof import format_consistency, format_proof
from domain.tree_nodes import boundary, consistency_ranges, inclusion_ranges
from tests.ledger_samples import another_database, open_ledger
from tests.note_samples import ALPHA_KEY
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
        pytest.skip("go is not installed")
    if not (PACKAGES / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        pytest.skip("golang-golang-x-mod-dev is not installed")
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
        for tile in tiles_of(601):
            put(folder / "tile" / format_tile(tile), ledger.checkpoints.tile("alpha", tile))
            if tile.level == 0:
                raw = ledger.checkpoints.entries("alpha", tile)
                put(folder / "tile/entries" / format_entries(tile), raw)
        for position in (1, 2, 16, 17, 256, 257, 512, 513, 600, 601):
            proof = ledger.checkpoints.inclusion("alpha", position)
            put(folder / f"proofs/{position}", format_proof(proof).encode())
        for old in olds:
            consistency = ledger.checkpoints.consistency("alpha", old)
            put(folder / f"proofs/since-{old}", format_consistency(consistency).encode())
        yield folder


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
