"""The threats that the documents name, one test each: what is done, and what notices it.

The rows stand in `docs/threats.md`; a test there keeps this file and that page in step.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from adapters.signature_check import verify_signature
from app.ledger import Ledger
from app.offline.signatures import SIGNATURES
from app.offline.verify import verify_file
from domain.approval_signature import demand
from domain.checkpoint import open_checkpoint
from domain.errors import Conflict, DeedbookError
from domain.events import ApprovalRecorded
from domain.merkle import extend, frontier_to_bytes, leaf_hash
from domain.policy import Policy
from domain.seal import Head
from domain.signed_note import NoteKey
from domain.sigstore_bundle import parse_bundle
from domain.trust import SealKey, Trust
from projections.bundle import Scope
from projections.timeline import unchecked
from projections.verify_evidence import Evidence, read_pin
from projections.verify_report import Report
from tests.examined_samples import tamper
from tests.export_samples import ORIGIN, files_of, mended, zip_of
from tests.ledger_samples import make_project, open_ledger
from tests.note_samples import PUBLIC
from tests.sealed_samples import HEAD, MemoryLedger, export_of, seal_signer, small_log
from tests.test_doctor import places
from tests.wrong_exports import names, read

ROOT = Path(__file__).parent.parent
ALPHA = NoteKey("alpha.ledger.example", PUBLIC)


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    """A ledger with the project alpha."""
    with open_ledger(database_url) as opened:
        make_project(opened, database_url)
        yield opened


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., Report]:
    """Verifies the ZIP of a log in memory."""

    def verify(content: bytes, **given: object) -> Report:
        file = tmp_path / "export.zip"
        file.write_bytes(content)
        evidence = Evidence(signatures=SIGNATURES, **given)  # type: ignore[arg-type]
        return verify_file(file, evidence=evidence, progress=lambda done, total: None)

    return verify


def failed(report: Report) -> set[str]:
    return {one.id for one in report.checks if one.ok is False}


def alter(url: str, *statements: sql.SQL | sql.Composed) -> None:
    """As the database's owner, with the triggers off."""
    with psycopg.connect(url) as connection:
        tamper(connection, *statements)


def rewrite(url: str, upto: int | None = None) -> None:
    """Another second event, or events cut off; leaves and frontier made to agree, as their owner can."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT position, line FROM event WHERE project_id = 'alpha' ORDER BY position"
        ).fetchall()
        statements: list[sql.SQL | sql.Composed] = []
        frontier: list[bytes] = []
        kept = rows if upto is None else rows[:upto]
        for position, line in kept:
            changed = (
                line.replace(b"user:ada", b"user:eve") if upto is None and position == 2 else line
            )
            extend(frontier, position - 1, leaf_hash(changed))
            if changed != line:
                statements.append(
                    sql.SQL(
                        "UPDATE event SET line = {}, leaf = {}, actor = 'user:eve'"
                        " WHERE project_id = 'alpha' AND position = {}"
                    ).format(changed, leaf_hash(changed), position)
                )
        if upto is not None:
            statements.append(
                sql.SQL("DELETE FROM event WHERE project_id = 'alpha' AND position > {}").format(
                    upto
                )
            )
        statements.append(
            sql.SQL(
                "UPDATE project_log SET size = {}, frontier = {} WHERE project_id = 'alpha'"
            ).format(len(kept), frontier_to_bytes(frontier))
        )
        tamper(connection, *statements)


def test_t01_a_row_edited_by_the_databases_owner_is_named(
    ledger: Ledger, database_url: str
) -> None:
    """Every column of every table of evidence: tests/test_doctor.py, by the catalogue."""
    alter(
        database_url,
        sql.SQL("UPDATE event SET actor = 'user:eve' WHERE project_id = 'alpha' AND position = 2"),
    )
    assert "event alpha/2 (actor)" in places(database_url)


def test_t02_a_history_written_anew_fails_against_the_last_checkpoint_and_seal(
    ledger: Ledger, database_url: str
) -> None:
    position = ledger.position("alpha", None)
    old = ledger.checkpoints.latest("alpha")
    ledger.seals.seal("alpha", position, "project", None)
    rewrite(database_url)
    with open_ledger(database_url, first_id=5_000) as restarted:
        restarted.write_artifact("alpha", "NOTE", "more", b"more", actor="user:ada")
        with pytest.raises(DeedbookError) as caught:
            restarted.checkpoints.latest("alpha")
    assert caught.value.code == "checkpoint-refused"
    named = ("checkpoint alpha/", "tree_node alpha/")
    assert any(place.startswith(named) for place in places(database_url))
    assert open_checkpoint(old.note, [ALPHA], verify_signature).root == old.root


def test_t02_a_new_history_under_a_new_key_is_signed_by_nobody_known() -> None:
    for case in ("pin-by-an-unknown-key", "seal-by-a-fresh-ledger", "pin-of-a-fork"):
        assert read(case)[1]["state"] == "FAILED"


def test_t03_events_that_were_cut_off_are_missed_by_who_signed_or_keeps_a_pin(
    ledger: Ledger, database_url: str, check: Callable[..., Report]
) -> None:
    signed = ledger.checkpoints.latest("alpha")
    rewrite(database_url, upto=signed.size - 3)
    with open_ledger(database_url, first_id=5_000) as restarted:
        with pytest.raises(DeedbookError) as caught:
            restarted.checkpoints.latest("alpha")
        assert caught.value.code == "checkpoint-refused"
    log, shorter = small_log(6), small_log(4)
    pin = read_pin(MemoryLedger().checkpoint(log.lines))
    assert check(export_of(shorter), pin=pin).state == "INCOMPLETE"
    on_top = small_log(8, fork=5)
    assert failed(check(export_of(on_top), pin=pin)) == {"anchor"}


def test_t04_two_histories_properly_signed_are_told_apart_by_an_older_export() -> None:
    """And by a witness, which answers 422: tests/test_witnesses.py."""
    assert read("since-a-fork")[1]["failed"] == ["since"]
    one, other = small_log(4), small_log(4, fork=2)
    ledger = MemoryLedger()
    notes = [ledger.checkpoint(log.lines) for log in (one, other)]
    key = NoteKey(ORIGIN, ledger.log_signer.public_key)
    first, second = (open_checkpoint(note, [key], verify_signature) for note in notes)
    assert first.size == second.size
    assert first.root != second.root


def test_t05_an_event_older_than_the_one_before_it_fails() -> None:
    assert "events" in str(read("event-backdated")[1]["failed"])


def test_t06_a_stolen_seal_key_ends_at_an_index_of_the_seal_log(
    check: Callable[..., Report],
) -> None:
    ledger, log = MemoryLedger(), small_log()
    content = export_of(log)
    sidecars = [ledger.seal(log, content, head=Head(f"{n:040x}", HEAD.repository)) for n in (1, 2)]
    trust = ledger.trust(until=1)
    assert failed(check(content, trust=trust, sidecar=sidecars[0])) == set()
    assert failed(check(content, trust=trust, sidecar=sidecars[1])) == {"seal"}
    unlogged = MemoryLedger()
    unlogged.log_signer = MemoryLedger(seed=9).log_signer
    forged = unlogged.seal(log, content)
    assert failed(check(content, trust=ledger.trust(), sidecar=forged)) == {"seal"}


def test_t07_a_fork_signed_with_the_stolen_log_key_fails_against_a_pin(
    check: Callable[..., Report],
) -> None:
    ledger, log, fork = MemoryLedger(), small_log(4), small_log(6, fork=3)
    content = export_of(fork)
    pin = read_pin(ledger.checkpoint(log.lines))
    sidecar = ledger.seal(fork, content)
    alone = check(content, trust=ledger.trust(), sidecar=sidecar)
    assert alone.state == "VERIFIED-UNANCHORED"
    report = check(content, trust=ledger.trust(), sidecar=sidecar, pin=pin)
    assert failed(report) == {"anchor"}


@pytest.mark.parametrize(
    "case",
    ["head-of-another-commit", "pin-of-another-project", "old-export-for-the-present-head"],
)
def test_t08_an_old_or_foreign_export_is_no_evidence_for_a_pull_request(case: str) -> None:
    assert read(case)[1]["state"] == "FAILED"


@pytest.mark.parametrize(
    "case",
    [
        "first-event-dropped",
        "middle-event-dropped",
        "last-event-dropped",
        "stream-dropped",
        "events-swapped",
    ],
)
def test_t09_events_that_were_left_out_or_moved_are_missed(case: str) -> None:
    assert {"events", "root"} <= set(re.findall(r"\w+", str(read(case)[1]["failed"])))


@pytest.mark.parametrize("scope", [Scope(), Scope(originals=True)])
def test_t10_an_edit_of_any_derived_file_fails_though_every_list_agrees(
    scope: Scope, check: Callable[..., Report]
) -> None:
    log = small_log()
    files = files_of(log.lines, log.blobs, scope)
    derived = [path for path in files if "/data/" in path and "/artifacts/" not in path]
    assert len(derived) > 3
    for path in derived:
        changed = bytearray(files[path])
        changed[len(changed) // 2] ^= 1
        report = check(zip_of(mended({**files, path: bytes(changed)})))
        assert report.state == "FAILED", path


def test_t11_no_bit_of_a_small_export_can_be_flipped(check: Callable[..., Report]) -> None:
    """Every bit of a real one, and some 150 crafted archives: tests/test_zip_reader.py."""
    content = export_of(small_log(2))
    for at in range(0, len(content), 7):  # in steps: each bit is a verification
        changed = bytearray(content)
        changed[at] ^= 1 << at % 8
        assert check(bytes(changed)).state == "FAILED", at
    for name in names():
        if name.startswith("zip-"):
            assert read(name)[1]["state"] == "FAILED"


@pytest.mark.parametrize(
    "case",
    [
        "seal-of-another-payload-type",
        "seal-with-two-signatures",
        "seal-by-an-unknown-key",
        "seal-signature-changed",
        "seal-body-changed",
        "seal-in-another-log",
    ],
)
def test_t12_what_signs_how_is_fixed_by_the_key_and_not_by_what_comes(case: str) -> None:
    assert read(case)[1]["state"] == "FAILED"


def test_t12_a_seal_logged_under_another_key_than_it_names_fails(
    check: Callable[..., Report],
) -> None:
    ledger, log = MemoryLedger(), small_log()
    content = export_of(log)
    good = parse_bundle(ledger.seal(log, content))
    other = seal_signer(7)
    keys = (*ledger.trust().seal_keys, SealKey(other.spki))
    trust = Trust(ledger.host, ledger.trust().log_keys, keys)
    mixed = ledger.log(good.statement, other)  # logged under the other key …
    raw = mixed.sidecar.replace(
        parse_bundle(mixed.sidecar).hint.encode(), good.hint.encode()
    )  # … and named as by the first
    assert failed(check(content, trust=trust, sidecar=mixed.sidecar)) == set()
    assert failed(check(content, trust=trust, sidecar=raw)) == {"seal"}


def test_t13_an_export_that_brings_its_own_ledger_is_by_an_unknown_key(
    check: Callable[..., Report],
) -> None:
    mine, theirs, log = MemoryLedger(), MemoryLedger(seed=2), small_log()
    content = export_of(log)
    sidecar = theirs.seal(log, content)
    assert failed(check(content, trust=mine.trust(), sidecar=sidecar)) == {"seal"}
    assert failed(check(content, trust=theirs.trust(), sidecar=sidecar)) == set()


def test_t14_an_approval_that_nobody_signed_is_said_to_be_the_ledgers_word() -> None:
    page = (ROOT / "docs/concepts.md").read_text("utf-8")
    assert "`actor` is the ledger's word" in page
    unsigned = ApprovalRecorded(decision="approved", approval="a1", scope="repo.push")
    assert unchecked(unsigned, "a1", "repo.push").text == "recorded by the ledger"
    # What a signature changes, and that a policy can demand one: `test_signed_approvals.py`.
    with pytest.raises(Conflict) as caught:
        demand(Policy(signed_approvals=True), unsigned, unchecked(unsigned, "a1", "repo.push"))
    assert caught.value.code == "approval-unsigned"


def test_t15_a_content_that_is_gone_needs_the_event_that_says_so() -> None:
    assert read("content-gone")[1]["state"] == "FAILED"
    assert read("erased-and-present")[1]["state"] == "FAILED"
    assert read("erased")[1]["state"] == "VERIFIED-UNANCHORED"


def test_t16_what_was_never_recorded_cannot_be_detected_and_every_report_says_so(
    check: Callable[..., Report],
) -> None:
    ledger, log = MemoryLedger(), small_log()
    content = export_of(log)
    sidecar = ledger.seal(log, content)
    pin = read_pin(ledger.checkpoint(log.lines))
    for given in ({}, {"trust": ledger.trust(), "sidecar": sidecar}, {"pin": pin}):
        assert "never recorded cannot be detected" in check(content, **given).notes[-1]
    for page in ("README.md", "docs/concepts.md", "docs/threats.md"):
        assert "never recorded" in (ROOT / page).read_text("utf-8"), page


def test_every_row_of_the_page_has_its_test() -> None:
    page = (ROOT / "docs/threats.md").read_text("utf-8")
    rows = {int(number) for number in re.findall(r"^\| T(\d+) \|", page, re.MULTILINE)}
    tests = {int(number) for number in re.findall(r"def test_t(\d\d)_", Path(__file__).read_text())}
    assert rows == tests == set(range(1, 17))
