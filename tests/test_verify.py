"""Verification says what is wrong with an export, where, and what it could not establish."""

import hashlib
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import msgspec
import pytest

from domain.digest import digest_of
from domain.errors import Invalid
from domain.events import ArtifactErased, ArtifactWritten, Content, PlanRecorded, RunStarted
from domain.merkle import leaf_hash, tree_root
from projections import manifest as lists
from projections.bundle import Scope
from projections.verify import Archive, ArchiveEntry, verify
from projections.verify_evidence import Evidence, Pin, read_pin
from projections.verify_report import Report
from tests.export_samples import ORIGIN, MemoryLog, files_of, mended, sample_log

FOLDER = "alpha-16"
DERIVED = (
    "data/README.md",
    "data/citations/PRD/main.v2.json",
    "data/manifest.json",
    "data/runs/r1/bundle.json",
    "data/runs/other/bundle.json",
    "data/tree.json",
)


class _Entry(NamedTuple):
    path: str
    size_bytes: int
    crc32: int
    body: bytes


class _Files:
    """Files as an archive that has no container to doubt."""

    tail = b""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.entries = tuple(
            _Entry(path, len(files[path]), zlib.crc32(files[path]), files[path])
            for path in sorted(files)
        )

    def chunks(self, entry: ArchiveEntry) -> Iterator[bytes]:
        assert isinstance(entry, _Entry)
        for at in range(0, len(entry.body), 1000):  # lines must survive being cut
            yield entry.body[at : at + 1000]


def check(files: Mapping[str, bytes], pin: Pin | None = None) -> Report:
    archive: Archive = _Files(files)
    return verify(archive, Evidence(pin=pin))


def failed_steps(report: Report) -> set[str]:
    return {one.id for one in report.checks if one.ok is False}


def details(report: Report) -> str:
    return "\n".join(one.detail for one in report.checks if one.ok is False)


@pytest.fixture(scope="module")
def log() -> MemoryLog:
    return sample_log()


@pytest.fixture(scope="module")
def files(log: MemoryLog) -> dict[str, bytes]:
    return files_of(log.lines, log.blobs)


def with_lines(files: Mapping[str, bytes], lines: list[bytes]) -> dict[str, bytes]:
    """A forger's export: other events, with every list made to agree."""
    changed = dict(files)
    changed[f"{FOLDER}/data/events.jsonl"] = b"".join(line + b"\n" for line in lines)
    return mended(changed)


def test_a_good_export_passes_every_step_and_says_that_nothing_vouches_for_it(
    files: dict[str, bytes],
) -> None:
    report = check(files)
    assert report.state == "INCOMPLETE"
    assert [(one.id, one.ok) for one in report.checks] == [
        *((name, True) for name in ("shape", "bag", "events", "leaves", "root", "blobs", "replay")),
        ("seal", None),
    ]
    assert report.sound
    assert report.summary.origin == ORIGIN
    assert report.summary.position == 16
    assert report.summary.withheld == 0
    assert "Who made it is shown by its seal" in report.notes[0]


def test_t16_the_report_says_that_what_was_never_recorded_cannot_be_seen(
    files: dict[str, bytes],
) -> None:
    assert "Not shown: that everything was recorded" in check(files).notes[-1]


def test_a_runs_export_says_how_many_events_are_withheld(log: MemoryLog) -> None:
    report = check(files_of(log.lines, log.blobs, Scope("r1")))
    assert report.sound
    assert report.summary.withheld == 6
    assert report.notes[0].startswith("6 of 16 events withheld;")


def test_a_known_root_of_the_whole_log_makes_it_verified_and_one_of_its_beginning_does_not(
    log: MemoryLog, files: dict[str, bytes]
) -> None:
    for size in (1, 7, 16):
        root = tree_root([leaf_hash(line) for line in log.lines[:size]])
        report = check(files, read_pin(f"{root.hex()}@{size}"))
        assert report.state == ("VERIFIED" if size == 16 else "INCOMPLETE")
        assert (report.checks[-1].id, report.checks[-1].ok) == ("anchor", True)


def test_t03_t04_another_history_fails_against_a_pin(log: MemoryLog) -> None:
    root = tree_root([leaf_hash(line) for line in log.lines[:5]])
    fork = MemoryLog()
    fork.add("artifact/PRD/main", ArtifactWritten(**fork.content(b"# Other\n")))
    for _ in range(8):
        fork.add("artifact/PRD/main", ArtifactWritten(**fork.content(b"# Other\n")))
    report = check(files_of(fork.lines, fork.blobs), Pin(root, 5))
    assert report.state == "FAILED"
    assert failed_steps(report) == {"anchor"}


def test_a_pin_from_the_future_or_for_another_log_does_not_verify(files: dict[str, bytes]) -> None:
    assert check(files, Pin(bytes(32), 17)).state == "INCOMPLETE"
    assert check(files, Pin(hashlib.sha256(b"").digest(), 0)).state == "INCOMPLETE"
    assert check(files, Pin(bytes(32), 3, "beta.ledger.example")).state == "FAILED"


def test_a_pin_is_a_root_with_a_size_or_a_checkpoint() -> None:
    root = "1fc89e6fe4b4eec240edebc9f595dc9f452f24d0600baf7733942cdf0bf90553"
    checkpoint = f"{ORIGIN}\n3\nH8ieb+S07sJA7evJ9ZXcn0UvJNBgC693M5Qs3wv5BVM=\n"
    signed = f"{checkpoint}\n— x AAAAAAA=\n"
    assert read_pin(f"{root}@3") == read_pin(f"sha256:{root}@3\n") == Pin(bytes.fromhex(root), 3)
    assert read_pin(checkpoint) == Pin(bytes.fromhex(root), 3, ORIGIN)
    assert read_pin(signed) == Pin(bytes.fromhex(root), 3, ORIGIN, signed)
    for wrong in ("", f"{root}@03", f"{root[1:]}@3", checkpoint.replace("\n3\n", "\n03\n")):
        with pytest.raises(Invalid, match="pin"):
            read_pin(wrong)


@pytest.mark.parametrize("path", DERIVED)
def test_t10_an_edited_derived_file_fails_at_replay_even_with_its_lists_mended(
    files: dict[str, bytes], path: str
) -> None:
    body = files[f"{FOLDER}/{path}"]
    at = len(body) - 20
    other = b"a" if body[at : at + 1] != b"a" else b"b"
    edited = body[:at] + other + body[at + 1 :]
    report = check(mended({**files, f"{FOLDER}/{path}": edited}))
    assert report.state == "FAILED"
    assert "replay" in failed_steps(report)
    assert f"{path}, byte {at}:" in details(report)


def test_t10_leaves_of_a_narrower_scope_cannot_be_edited(log: MemoryLog) -> None:
    files = files_of(log.lines, log.blobs, Scope("r1"))
    path = "alpha-r1-16/data/leaves.txt"
    body = files[path]
    for at in (0, 65 * 8, len(body) - 3):
        other = b"0" if body[at : at + 1] != b"0" else b"1"
        report = check(mended({**files, path: body[:at] + other + body[at + 1 :]}))
        assert failed_steps(report) & {"leaves", "root"}


def test_t09_dropped_and_swapped_events_fail_at_their_own_steps(
    log: MemoryLog, files: dict[str, bytes]
) -> None:
    lines = log.lines
    changes = {
        "the first": lines[1:],
        "one in the middle": lines[:7] + lines[8:],
        "the last": lines[:-1],
        "a whole stream": [line for line in lines if b'"run/r1"' not in line],
        "two swapped": [*lines[:3], lines[4], lines[3], *lines[5:]],
    }
    for what, changed in changes.items():
        report = check(with_lines(files, changed))
        assert {"events", "root"} <= failed_steps(report), what
        assert "data/events.jsonl" in details(report), what


def test_t09_an_event_left_out_of_a_run_fails(log: MemoryLog) -> None:
    files = files_of(log.lines, log.blobs, Scope("r1"))
    path = "alpha-r1-16/data/events.jsonl"
    lines = files[path].splitlines(keepends=True)
    for at in (0, 3, len(lines) - 1):
        left = b"".join(lines[:at] + lines[at + 1 :])
        report = check(mended({**files, path: left}))
        assert report.state == "FAILED"
        assert failed_steps(report) & {"events", "replay"}, at


def test_t05_an_event_older_than_the_one_before_fails(log: MemoryLog) -> None:
    lines = [re.sub(rb"T10:00:05", b"T09:00:05", line) for line in log.lines]
    blobs = log.blobs
    report = check(files_of(lines, blobs))
    assert failed_steps(report) == {"events"}
    assert "line 5" in details(report)
    assert "time" in details(report)


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        (rb'"version":3\}', b'"version":4}'),
        (rb"019a9f60-7c00-7000-8a00-000000000005", b"019A9f60-7c00-7000-8a00-000000000005"),
        (rb'"stream":"project"', b'"stream":"profile"'),
        (rb'"stream":"artifact/ADR/Readme"', b'"stream":"run/r9"'),
        (rb'"actor":"user:bob"', b'"actor":""'),
        (rb'"title":"Alpha"\}', b'"title":"Al\\\\u0000pha"}'),
        (rb'"type":"RunStarted"', b'"type":"os.system"'),
        (rb'\{"actor"', b'{ "actor"'),
        (rb'"result":"PASSED"', b'"result":"GOOD"'),
    ],
)
def test_events_that_break_a_rule_fail_at_step_three_even_in_a_consistent_log(
    log: MemoryLog, files: dict[str, bytes], pattern: bytes, replacement: bytes
) -> None:
    lines = [re.sub(pattern, replacement, line, count=1) for line in log.lines]
    assert lines != log.lines
    tree = lists.encode_tree(ORIGIN, tree_root([leaf_hash(line) for line in lines]), len(lines))
    report = check(with_lines({**files, f"{FOLDER}/data/tree.json": tree}, lines))
    assert "events" in failed_steps(report)
    assert "root" not in failed_steps(report)
    assert re.search(r"line \d+ \(byte \d+\)", details(report))


def test_a_content_that_is_not_there_fails_unless_an_event_erased_it(
    log: MemoryLog, files: dict[str, bytes]
) -> None:
    path = f"{FOLDER}/data/artifacts/ADR/Readme+1.v1.md"
    changed = dict(files)
    del changed[path]
    report = check(mended(changed))
    assert "blobs" in failed_steps(report)
    assert "data/artifacts/ADR/Readme+1.v1.md" in details(report)

    erased = sample_log()
    erased.add(
        "erasures",
        ArtifactErased(
            artifact="artifact/ADR/Readme",
            artifact_version=1,
            digest=digest_of(b"# One\n"),
            reason="asked",
        ),
    )
    good = files_of(erased.lines, erased.blobs)
    report = check(good)
    assert report.sound
    assert report.summary.erased == 1
    # T15: present and erased contradict each other.
    report = check(mended({**good, "alpha-17/data/artifacts/ADR/Readme+1.v1.md": b"# One\n"}))
    assert "blobs" in failed_steps(report)


def test_another_content_or_one_too_many_fails_at_blobs(files: dict[str, bytes]) -> None:
    path = f"{FOLDER}/data/artifacts/PRD/main.v2.md"
    report = check(mended({**files, path: b"# Forged\n"}))
    assert {"blobs"} <= failed_steps(report)
    report = check(mended({**files, f"{FOLDER}/data/artifacts/PRD/more.v1.md": b"x"}))
    assert "data/artifacts/PRD/more.v1.md' is not implied by any event" in details(report)


def test_lists_that_do_not_agree_fail_at_the_bag(files: dict[str, bytes]) -> None:
    path = f"{FOLDER}/data/artifacts/PRD/main.v2.md"
    report = check({**files, path: files[path].replace(b"Second", b"Zecond")})
    assert {"bag", "blobs"} <= failed_steps(report)
    assert "manifest-sha256.txt, line" in details(report)
    for name in ("bagit.txt", "bag-info.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt"):
        body = files[f"{FOLDER}/{name}"]
        report = check({**files, f"{FOLDER}/{name}": body[:-2] + b"?\n"})
        assert "bag" in failed_steps(report), name
        missing = {key: value for key, value in files.items() if key != f"{FOLDER}/{name}"}
        report = check(missing)
        assert "bag" in failed_steps(report), name
        assert f"{name} is not there" in details(report)


def test_a_manifest_that_lies_fails_at_the_bag(files: dict[str, bytes]) -> None:
    path = f"{FOLDER}/data/manifest.json"
    for old, new in ((b'"size_bytes":0', b'"size_bytes":1'), (b'"what":"tree"', b'"what":"tre"')):
        assert old in files[path]
        report = check(mended({**files, path: files[path].replace(old, new)}))
        assert "replay" in failed_steps(report)
    lying = files[path].replace(b'"size_bytes":0', b'"size_bytes":1')
    assert "bag" in failed_steps(check(mended({**files, path: lying})))


def test_an_export_under_another_folder_or_name_is_not_this_export(files: dict[str, bytes]) -> None:
    moved = {path.replace(FOLDER, "beta-16"): body for path, body in files.items()}
    report = check(moved)
    assert "the top folder is 'beta-16', its contents say alpha-16" in details(report)


def test_hostile_text_is_shown_escaped(files: dict[str, bytes]) -> None:
    line = files[f"{FOLDER}/data/events.jsonl"].splitlines()[0]
    evil = line.replace(b'"stream":"project"', b'"stream":"\\u001b[31m"')
    report = check(with_lines(files, [evil]))
    assert "\x1b" not in details(report)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        b'{"origin":"alpha.ledger.example","root":"sha256:00","size":3}',
        b'{"origin":"../x","root":"sha256:' + b"0" * 64 + b'","size":3}',
        b'{"origin":"alpha","root":"sha256:' + b"0" * 64 + b'","size":99999999999999999999}',
        b"\xff" * 70_000,
    ],
)
def test_a_hostile_tree_file_is_a_finding_and_the_rest_says_that_it_could_not_run(
    files: dict[str, bytes], raw: bytes
) -> None:
    report = check(mended({**files, f"{FOLDER}/data/tree.json": raw}))
    assert report.state == "FAILED"
    assert "data/tree.json" in details(report)
    assert [one.ok for one in report.checks if one.id == "replay"] == [None]


@pytest.mark.parametrize(
    "body", [b"x" * 100_000, b"\n" * 50, b'{"a":1}', b"\xff\xfe\n", b"[" * 60_000 + b"\n"]
)
def test_hostile_event_files_are_findings(files: dict[str, bytes], body: bytes) -> None:
    report = check(mended({**files, f"{FOLDER}/data/events.jsonl": body}))
    assert report.state == "FAILED"
    assert "events" in failed_steps(report)


def test_failures_are_counted_but_not_all_printed(files: dict[str, bytes]) -> None:
    report = check(mended({**files, f"{FOLDER}/data/events.jsonl": b"?\n" * 1000}))
    events = [one for one in report.checks if one.id == "events"]
    assert len(events) == 11
    assert re.fullmatch(r"and \d+ more of these", events[-1].detail)


def _nothing(body: bytes) -> bytes:
    return b""


def _half(body: bytes) -> bytes:
    return body[: len(body) // 2]


@pytest.mark.parametrize("cut", [_nothing, _half])
def test_cutting_any_file_fails(log: MemoryLog, cut: Callable[[bytes], bytes]) -> None:
    for scope in (Scope(), Scope("r1")):
        files = files_of(log.lines, log.blobs, scope)
        for path, body in files.items():
            if cut(body) == body:
                continue
            assert check({**files, path: cut(body)}).state == "FAILED", path
            if "/data/" in path:
                assert check(mended({**files, path: cut(body)})).state == "FAILED", path


def test_a_report_is_json_with_a_state_and_checks(files: dict[str, bytes]) -> None:
    value = msgspec.json.decode(msgspec.json.encode(check(files)))
    assert value["state"] == "INCOMPLETE"
    assert set(value["checks"][0]) == {"id", "ok", "detail"}


def test_a_file_that_every_export_has_is_missed_by_name(
    log: MemoryLog, files: dict[str, bytes]
) -> None:
    left = {path: body for path, body in files.items() if not path.endswith("events.jsonl")}
    report = check(mended(left))
    assert "data/events.jsonl is not there" in details(report)
    run = files_of(log.lines, log.blobs, Scope("r1"))
    left = {path: body for path, body in run.items() if not path.endswith("leaves.txt")}
    assert "data/leaves.txt is not there" in details(check(mended(left)))
    both = {**files, f"{FOLDER}/data/leaves.txt": run["alpha-r1-16/data/leaves.txt"]}
    assert "data/leaves.txt does not belong into this scope" in details(check(mended(both)))


def test_a_tree_file_has_one_spelling(files: dict[str, bytes]) -> None:
    path = f"{FOLDER}/data/tree.json"
    report = check(mended({**files, path: files[path].replace(b":", b": ", 1)}))
    assert "data/tree.json: not in canonical form" in details(report)


def test_the_events_of_a_run_stand_in_order_and_belong_to_it(log: MemoryLog) -> None:
    files = files_of(log.lines, log.blobs, Scope("r1"))
    path = "alpha-r1-16/data/events.jsonl"
    lines = files[path].splitlines(keepends=True)
    for changed, says in (
        ([lines[1], lines[0], *lines[2:]], "position 2 after 3"),
        ([*lines, log.lines[15] + b"\n"], "its stream does not belong into this scope"),
        ([*lines[:4], b"garbage\n", *lines[4:]], "The line is not an event"),
        ([*lines, lines[-1].replace(b'"position":15', b'"position":17')], "position 17 after 15"),
    ):
        report = check(mended({**files, path: b"".join(changed)}))
        assert report.state == "FAILED"
        assert says in details(report)


def test_leaves_have_one_spelling_and_are_whole(log: MemoryLog) -> None:
    files = files_of(log.lines, log.blobs, Scope("r1"))
    path = "alpha-r1-16/data/leaves.txt"
    body = files[path]
    for changed, says in (
        (body[:-7], "the last line is cut"),
        (b"x" + body[1:], "line 1: not a leaf hash in hex"),
        (body[:64].upper() + body[64:], "line 1: not a leaf hash in hex"),
        (body[:64] + b" " + body[65:], "line 1: not a leaf hash in hex"),
        (b"\xff" + body[1:], "line 1: not a leaf hash in hex"),
        (b"x" * 65 + body * 3, "line 1: not a leaf hash in hex"),
    ):
        report = check(mended({**files, path: changed}))
        assert "leaves" in failed_steps(report)
        assert says in details(report)


def test_an_event_of_another_kind_later_in_a_stream_fails() -> None:
    log = sample_log()
    log.add("artifact/PRD/main", RunStarted())
    report = check(files_of(log.lines, log.blobs))
    assert "a RunStarted is not for this stream" in details(report)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"2026-11-20T10:00:16", b"2026-13-20T10:00:16"),
        (b"2026-11-20T10:00:16", b"2026-11-20 10:00:16"),
        (b'"version":1}', b'"version":99999999999999999999}'),
    ],
)
def test_numbers_and_times_that_no_ledger_records_fail(
    log: MemoryLog, files: dict[str, bytes], old: bytes, new: bytes
) -> None:
    lines = [*log.lines[:15], log.lines[15].replace(old, new)]
    assert lines != log.lines
    report = check(with_lines(files, lines))
    assert "line 16" in details(report)
    assert "events" in failed_steps(report)


def test_an_integer_beyond_what_json_numbers_carry_fails(files: dict[str, bytes]) -> None:
    log = sample_log()
    plan = Content(digest=digest_of(b""), size_bytes=2**53, media_type="text/plain")
    log.add("run/other", PlanRecorded(content=plan))
    log.blobs[hashlib.sha256(b"").digest()] = b""
    report = check(files_of(log.lines, log.blobs))
    assert "outside ±(2^53 - 1)" in details(report)


def test_a_list_without_lines_is_named_and_not_read_to_its_end(files: dict[str, bytes]) -> None:
    report = check({**files, f"{FOLDER}/manifest-sha256.txt": b"x" * 200_000})
    assert "manifest-sha256.txt, line 1: cut, or a file is not listed" in details(report)


def test_a_manifest_that_leaves_a_file_out_fails_at_the_bag(
    files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"{FOLDER}/data/manifest.json"
    value = msgspec.json.decode(files[path], type=lists.Manifest)
    short = lists.encode_manifest(lists.Manifest(value.files[:-1]))
    changed = mended({**files, path: short})
    assert "data/manifest.json lists 13 files, there are 14" in details(check(changed))
    changed[path] = b"[]"
    assert "data/manifest.json: Expected" in details(check(mended(changed)))
    monkeypatch.setattr("projections.verify.MAX_EXPLAINED_BYTES", 10)
    changed[path] = short
    assert "data/manifest.json is not the one that belongs here" in details(check(mended(changed)))


def test_a_pin_says_when_it_could_not_be_held_against_the_leaves(
    log: MemoryLog, files: dict[str, bytes]
) -> None:
    broken = mended({**files, f"{FOLDER}/data/tree.json": b"{}"})
    report = check(broken, Pin(bytes(32), 3))
    assert report.checks[-1].detail == "could not run: the log's size is not known"
    report = check(with_lines(files, log.lines[:4]), Pin(bytes(32), 9))
    assert report.checks[-1].detail == "could not run: there are no 9 leaves"
    no_root = f"{ORIGIN}\n3\nno base64!\n\n"
    with pytest.raises(Invalid):
        read_pin(no_root)


def test_an_archive_that_is_not_the_same_when_read_again_fails(files: dict[str, bytes]) -> None:
    class Changing(_Files):
        def __init__(self) -> None:
            super().__init__(files)
            self.reads = 0

        def chunks(self, entry: ArchiveEntry) -> Iterator[bytes]:
            if entry.path.endswith("events.jsonl"):
                self.reads += 1
                if self.reads > 1:
                    yield b"?" * entry.size_bytes
                    return
            yield from super().chunks(entry)

    assert "data/events.jsonl was not the same when read again" in details(verify(Changing()))


def test_an_event_that_says_another_position_fails_in_a_consistent_log(
    log: MemoryLog, files: dict[str, bytes]
) -> None:
    lines = [line.replace(b'"position":5,', b'"position":6,') for line in log.lines]
    tree = lists.encode_tree(ORIGIN, tree_root([leaf_hash(line) for line in lines]), len(lines))
    report = check(with_lines({**files, f"{FOLDER}/data/tree.json": tree}, lines))
    assert "position 6 stands where 5 belongs" in details(report)


def test_an_edited_event_of_a_run_does_not_hash_to_its_leaf(log: MemoryLog) -> None:
    good = files_of(log.lines, log.blobs, Scope("r1"))
    edited = [line.replace(b"8a00-000000000009", b"8a00-0000000000ff") for line in log.lines]
    forged = files_of(edited, log.blobs, Scope("r1"))
    for name in ("data/leaves.txt", "data/tree.json"):  # what the ledger has published
        forged[f"alpha-r1-16/{name}"] = good[f"alpha-r1-16/{name}"]
    report = check(mended(forged))
    assert "leaves" in failed_steps(report)
    assert "root" not in failed_steps(report)
    assert "it does not hash to line 9 of data/leaves.txt" in details(report)


def test_the_bags_description_is_what_the_files_imply(files: dict[str, bytes]) -> None:
    path = f"{FOLDER}/bag-info.txt"
    for old, new in ((b"Format: 1", b"Format: 2"), (b"example@16", b"example@15")):
        report = check(mended({**files, path: files[path].replace(old, new)}))
        assert "bag" in failed_steps(report)
        assert "differs from what tree.json and the files give" in details(report)
