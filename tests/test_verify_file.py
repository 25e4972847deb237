"""`deedbook verify`: what it says of a file, and how it leaves."""

import hashlib
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import msgspec
import pytest

from app.cli import failure
from app.cli.root import run
from app.offline.verify import verify_file
from domain.events import ArtifactWritten, ProjectCreated
from domain.merkle import leaf_hash, tree_root
from projections.bundle import Scope
from projections.verify_report import Report
from tests.export_samples import (
    MemoryLog,
    files_of,
    hostile_log,
    mended,
    published_zip,
    sample_log,
    zip_of,
)

ROOT = Path(__file__).parent.parent
LOG = sample_log()
FILES = files_of(LOG.lines, LOG.blobs)
GOOD = zip_of(FILES)


def ignore(_done: int, _total: int | None) -> None:
    """No bar."""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    file = tmp_path / "alpha-16.zip"
    file.write_bytes(GOOD)
    return file


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    file = tmp_path / "bad.zip"
    path = "alpha-16/data/artifacts/PRD/main.v2.md"
    file.write_bytes(zip_of(mended({**FILES, path: b"# Forged\n"})))
    return file


def _failures(report: Report) -> list[str]:
    return [one.detail for one in report.checks if one.ok is False]


def _pin(size: int) -> str:
    return f"{tree_root([leaf_hash(line) for line in LOG.lines[:size]]).hex()}@{size}"


def test_flipping_any_single_byte_fails_and_the_place_is_named(tmp_path: Path) -> None:
    log = MemoryLog()
    log.add("project", ProjectCreated(title="Alpha"))
    log.add("artifact/PRD/main", ArtifactWritten(**log.content(b"# Alpha\n")))
    raw = zip_of(files_of(log.lines, log.blobs))
    file = tmp_path / "small.zip"
    file.write_bytes(raw)
    assert verify_file(file, progress=ignore).sound
    descriptor = os.open(file, os.O_RDWR)
    try:
        for at, byte in enumerate(raw):
            os.pwrite(descriptor, bytes([byte ^ 0xFF]), at)
            report = verify_file(file, progress=ignore)
            os.pwrite(descriptor, bytes([byte]), at)
            assert report.state == "FAILED", at
            found = _failures(report)
            # In a container the offset is the place, in a body the file's name.
            assert any("offset" in one or "alpha-2/" in one for one in found), (at, found)
    finally:
        os.close(descriptor)
    assert file.read_bytes() == raw


def test_flipping_any_byte_of_any_file_fails_also_when_the_container_is_made_anew(
    tmp_path: Path,
) -> None:
    file = tmp_path / "again.zip"
    for path, body in FILES.items():
        for at in range(0, len(body), max(1, len(body) // 25)):
            changed = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
            file.write_bytes(zip_of({**FILES, path: changed}))
            report = verify_file(file, progress=ignore)
            assert report.state == "FAILED", (path, at)
            inside = path.partition("/")[2]
            assert any(inside in one or "tagmanifest" in one for one in _failures(report)), (
                path,
                at,
                _failures(report),
            )


def test_the_digest_of_the_whole_file_comes_with_every_report(good: Path, bad: Path) -> None:
    (bad.parent / "none.zip").write_bytes(b"not a ZIP")
    for file in (good, bad, bad.parent / "none.zip"):
        report = verify_file(file, progress=ignore)
        assert report.zip_sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_published_example_has_a_sound_container_and_lacks_what_came_later(
    tmp_path: Path,
) -> None:
    file = tmp_path / "alpha-3.zip"
    file.write_bytes(published_zip())
    report = verify_file(file, progress=ignore)
    passed = {one.id for one in report.checks if one.ok}
    assert passed == {"shape", "bag", "events", "leaves", "root", "blobs"}
    assert any("data/README.md follows from the events" in one for one in _failures(report))


def test_hostile_keys_verify_and_meet_in_no_path(tmp_path: Path) -> None:
    log = hostile_log()
    files = files_of(log.lines, log.blobs)
    assert len({path.lower() for path in files}) == len(files) == len(log.lines) + 8
    file = tmp_path / "hostile.zip"
    file.write_bytes(zip_of(files))
    report = verify_file(file, progress=ignore)
    assert report.sound, report.checks


def test_progress_goes_from_nothing_to_everything(good: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    verify_file(good, progress=lambda done, total: seen.append((done, total)))
    done = [one for one, _ in seen]
    assert done == sorted(done)
    assert seen[-1][0] == seen[-1][1]


def test_memory_does_not_grow_with_the_contents(tmp_path: Path) -> None:
    log = MemoryLog()
    for number in range(6):
        content = bytes([number]) * 8_000_000
        log.add(f"artifact/NOTE/n{number}", ArtifactWritten(**log.content(content, "image/png")))
    file = tmp_path / "large.zip"
    file.write_bytes(zip_of(files_of(log.lines, log.blobs)))
    log.blobs.clear()
    tracemalloc.start()
    try:
        assert verify_file(file, progress=ignore).sound
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6_000_000


def test_verifying_needs_no_database_no_network_and_no_clock(good: Path) -> None:
    script = (
        "import sys\n"
        "from app.cli.root import run\n"
        f"code = run(['verify', '--json', {str(good)!r}])\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(loaded & {'psycopg', 'psycopg_pool', 'eventsourcing', 'httpx2', 'starlette',"
        " 'uvicorn', 'ssl', 'asyncio', 'subprocess'}), file=sys.stderr)\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == failure.NOT_VERIFIED
    assert done.stderr.splitlines()[-1] == "[]"
    assert msgspec.json.decode(done.stdout)["state"] == "INCOMPLETE"


def test_a_good_export_without_its_seal_leaves_with_3_and_says_what_is_wanting(
    good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify", str(good)]) == failure.NOT_VERIFIED
    written = capsys.readouterr()
    assert "INCOMPLETE" in written.out
    assert [line.split()[1:3] for line in written.out.splitlines()[:8]] == [
        ["1", "shape"],
        ["2", "bag"],
        ["3", "events"],
        ["4", "leaves"],
        ["5", "root"],
        ["6", "blobs"],
        ["7", "replay"],
        ["8", "seal"],
    ]
    assert written.err.startswith("warning: What was given does not contradict itself")


def test_requiring_an_anchor_leaves_with_3_where_there_is_none(
    good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify", "--require-anchor", str(good)]) == failure.NOT_VERIFIED
    capsys.readouterr()
    assert run(["verify", "--require-anchor", "--pin", _pin(16), str(good)]) == failure.OK
    assert "9 anchor" in capsys.readouterr().out


def test_a_pin_may_be_a_file_with_a_root_or_with_a_checkpoint(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pin.txt").write_text(_pin(16) + "\n")
    assert run(["--json", "verify", "--pin", str(tmp_path / "pin.txt"), str(good)]) == failure.OK
    assert msgspec.json.decode(capsys.readouterr().out)["state"] == "VERIFIED"
    assert run(["verify", "--pin", "nonsense", str(good)]) == failure.USAGE
    assert "A pin is ROOT@SIZE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("pin", "state"),
    [("0" * 64 + "@3", "FAILED"), ("0" * 64 + "@17", "INCOMPLETE")],
)
def test_a_pin_that_does_not_vouch_leaves_with_3(
    good: Path, pin: str, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify", "--json", "--pin", pin, str(good)]) == failure.NOT_VERIFIED
    report = msgspec.json.decode(capsys.readouterr().out)
    assert report["state"] == state
    assert report["checks"][-1]["id"] == "anchor"


def test_a_forged_export_leaves_with_3_and_says_where(
    bad: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify", str(bad)]) == failure.NOT_VERIFIED
    written = capsys.readouterr()
    assert "FAIL  6 blobs" in written.out
    assert "data/artifacts/PRD/main.v2.md" in written.out
    assert "FAILED" in written.out
    assert run(["verify", "--json", str(bad)]) == failure.NOT_VERIFIED
    report = msgspec.json.decode(capsys.readouterr().out)
    assert report["state"] == "FAILED"
    assert {"id": "blobs", "ok": False} in [
        {name: one[name] for name in ("id", "ok")} for one in report["checks"]
    ]


def test_something_else_than_an_export_leaves_with_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "note.zip").write_bytes(b"\x1b[31mnot a ZIP at all, although it is long enough")
    assert run(["verify", str(tmp_path / "note.zip")]) == failure.NOT_VERIFIED
    written = capsys.readouterr()
    assert "archive-end" in written.out
    assert "could not run" in written.out


def test_a_file_that_is_not_there_leaves_with_5_and_a_link_with_2(
    good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify", str(good.parent / "none.zip")]) == failure.NOT_FOUND
    link = good.parent / "link.zip"
    link.symlink_to(good)
    assert run(["verify", str(link)]) == failure.USAGE
    assert "archive-unreadable" in capsys.readouterr().err


def test_the_export_of_a_run_says_what_is_withheld(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.zip"
    file.write_bytes(zip_of(files_of(LOG.lines, LOG.blobs, Scope("r1"))))
    assert run(["verify", str(file)]) == failure.NOT_VERIFIED
    assert "6 of 16 events withheld" in capsys.readouterr().err
