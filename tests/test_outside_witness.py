"""A witness that others wrote (`aics-witness`) cosigns what a ledger of ours sends, and refuses the rest."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.witness_client import KnowsAnother, NotConsistent, Unanswered, WitnessClient
from domain.cosignature import CosignerKey, parse_cosigner_key
from domain.signed_note import format_note, sign
from domain.tlog_proof import ConsistencyProof, format_consistency
from tests.ledger_samples import open_ledger
from tests.note_samples import ALPHA_KEY, published_signer
from tests.test_checkpoints import grow
from tests.test_witnesses import LOG, AnyScene, another_history

pytestmark = pytest.mark.outside

PROGRAM = Path(__file__).parent.parent / ".venv-outside-witness" / "bin" / "aics-witness"
SECONDS = 60
MAX_LINES = 50


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


class OutsideWitness:
    """One that runs: its key, and where it is."""

    def __init__(self, vkey: str, url: str) -> None:
        self.vkey = vkey
        self.key: CosignerKey = parse_cosigner_key(vkey)
        self.url = url

    @property
    def policy_line(self) -> str:
        """Its line of a policy."""
        return f"witness {self.key.name} {self.vkey} {self.url}\n"


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[OutsideWitness]:
    """The program, which trusts the key of our tests for the log of alpha."""
    if not PROGRAM.exists():
        pytest.skip("aics-witness is not installed: it needs Python 3.12 or newer")
    config = str(tmp_path / "witness.json")

    def told(*words: str) -> str:
        return subprocess.run(
            [PROGRAM, words[0], "--config", config, *words[1:]],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
        ).stdout

    vkey = told("init", "--name", "outside.example/w1", "--listen", "127.0.0.1:0").strip()
    told("add-log", "--origin", LOG.name, "--vkey", ALPHA_KEY)
    with subprocess.Popen(
        [PROGRAM, "serve", "--config", config],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as running:
        try:
            assert running.stderr is not None
            lines = (running.stderr.readline() for _ in range(MAX_LINES))
            found = (re.search(r"listening on (http://127\.0\.0\.1:\d+)", line) for line in lines)
            url = next(match[1] for match in found if match is not None)
            yield OutsideWitness(vkey, url)
        finally:
            running.terminate()


@pytest.fixture
def scene(database_url: str, witness: OutsideWitness) -> Iterator[AnyScene[OutsideWitness]]:
    """A ledger that has it as its one witness."""
    with open_ledger(database_url) as opened:
        opened.create_project("alpha", title="Alpha", actor="user:ada")
        made = AnyScene(opened, database_url, [witness])
        with made.closing:
            yield made


def test_a_log_that_grows_is_cosigned(scene: AnyScene[OutsideWitness]) -> None:
    for more in (0, 1, 2, 13, 1, 239, 1, 300):
        grow(scene.ledger, more)
        assert scene.round() == []
        assert scene.cosigned() == ("outside.example/w1",)
    assert scene.handed_out.witnessed("alpha").size == 558
    assert scene.store.alarms("alpha", standing=True) == []


def test_t03_t04_what_it_refuses_stops_the_signing(
    scene: AnyScene[OutsideWitness], postgres_server: str, template_database: str
) -> None:
    grow(scene.ledger, 9)
    scene.round()
    for size, kind in ((4, "rolled-back"), (40, "not-consistent"), (10, "not-consistent")):
        with another_history(postgres_server, template_database, scene.witnesses) as other:
            grow(other.ledger, size - 2)
            other.round()
            assert other.cosigned() == ()
            (alarm,) = other.store.alarms("alpha", standing=True)
            assert (alarm.kind, alarm.old_size, alarm.size) == (kind, 10, size)
    grow(scene.ledger)
    scene.round()
    assert scene.cosigned() == ("outside.example/w1",)


def test_each_damaged_request_is_refused(
    scene: AnyScene[OutsideWitness], witness: OutsideWitness
) -> None:
    grow(scene.ledger, 2)
    scene.round()
    grow(scene.ledger, 4)
    scene.ledger.checkpoints.latest("alpha")
    proof = scene.ledger.checkpoints.consistency("alpha", 3)
    good = format_consistency(proof)
    first, *rest = proof.hashes
    wrong = format_consistency(
        ConsistencyProof(3, (bytes([first[0] ^ 1]) + first[1:], *rest), proof.checkpoint)
    )
    foreign = format_note(
        sign("beta.ledger.example\n1\n" + "A" * 43 + "=\n", "x", published_signer())
    )
    with WitnessClient() as client:
        for body, answer in (
            (wrong, NotConsistent()),
            (good.replace("old 3", "old 2"), KnowsAnother(3)),
            (good.replace("\n7\n", "\n8\n"), Unanswered),
            (good.replace("old 3", "old 03"), Unanswered),
            (f"old 0\n\n{foreign}", Unanswered("it does not know this log (404)", away=False)),
        ):
            said = client.add_checkpoint(witness.url, body)
            assert said == answer or said.__class__ is answer, (body, said)
    scene.round()
    assert scene.cosigned() == ("outside.example/w1",)
