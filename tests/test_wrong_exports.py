"""Frozen exports, good and wrong in one way each: what verification says of them, today and for ever."""

from pathlib import Path

import msgspec
import pytest

from app.cli import failure
from app.cli.root import run
from app.offline.signatures import SIGNATURES
from domain.digest import parse_digest
from domain.trust import parse_trust
from projections.verify_evidence import Evidence
from projections.verify_report import Findings, Report
from projections.verify_seal import Computed, check_seal
from tests import wrong_exports
from tests.wrong_exports import SIDECAR, TRUST, ZIP, cases, names, read

EXIT = {
    "VERIFIED": failure.OK,
    "VERIFIED-UNANCHORED": failure.OK,
    "INCOMPLETE": failure.NOT_VERIFIED,
    "FAILED": failure.NOT_VERIFIED,
}


@pytest.mark.parametrize("name", names())
def test_a_frozen_case_comes_out_as_it_always_did(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    files, told = read(name)
    monkeypatch.chdir(tmp_path)
    for file, body in files.items():
        Path(file).write_bytes(body)
    assert isinstance(told["arguments"], list)
    code = run(["--json", "verify", str(told["zip"]), *told["arguments"]])
    report = msgspec.json.decode(capfd.readouterr().out)
    failed = sorted({one["id"] for one in report["checks"] if one["ok"] is False})
    assert (report["state"], failed) == (told["state"], told["failed"])
    assert code == EXIT[report["state"]]


def test_what_the_samples_make_today_is_what_was_frozen() -> None:
    made = cases()
    assert set(made) == set(names())
    for name, case in made.items():
        frozen, told = read(name)
        assert (list(case.arguments), case.state, sorted(case.failed)) == (
            told["arguments"],
            told["state"],
            told["failed"],
        )
        for file, body in case.files.items():
            assert frozen.get(file) == body, f"{name}/{file}"


def computed() -> Computed:
    """What the good export is, as verification finds it."""
    files, _ = read("good")
    report = verified(files)
    found = report.summary
    assert report.zip_sha256 is not None
    assert found.manifest is not None
    assert found.root is not None
    return Computed(
        folder=ZIP.removesuffix(".zip"),
        zip_sha256=bytes.fromhex(report.zip_sha256),
        manifest_sha256=parse_digest(found.manifest),
        origin=found.origin,
        position=found.position,
        root=parse_digest(found.root),
        scope=found.scope,
    )


def verified(files: dict[str, bytes]) -> Report:
    """The report on the good export, in memory."""
    from tempfile import TemporaryDirectory

    from app.offline.verify import verify_file

    with TemporaryDirectory() as folder:
        file = Path(folder) / ZIP
        file.write_bytes(files[ZIP])
        return verify_file(file, progress=lambda done, total: None)


def seal_holds(sidecar: bytes, found: Computed, trust: bytes) -> bool:
    findings = Findings()
    evidence = Evidence(signatures=SIGNATURES, trust=parse_trust(trust), sidecar=sidecar)
    return check_seal(evidence, found, findings) is not None and not findings.any_failed


def test_any_bit_of_a_sidecar_that_is_flipped_makes_it_fail() -> None:
    files, _ = read("good")
    sidecar, found = files[SIDECAR], computed()
    assert seal_holds(sidecar, found, files[TRUST])
    held = []
    for at in range(len(sidecar)):
        for bit in range(8):
            flipped = bytearray(sidecar)
            flipped[at] ^= 1 << bit
            if seal_holds(bytes(flipped), found, files[TRUST]):
                held.append((at, bit))
    assert held == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("zip_sha256", bytes(32)),
        ("folder", "alpha-5"),
        ("manifest_sha256", bytes(32)),
        ("origin", "beta.ledger.example"),
        ("position", 5),
        ("root", bytes(32)),
        ("scope", "run:r1"),
        ("manifest_sha256", None),
        ("root", None),
    ],
)
def test_a_seal_is_held_to_every_fact_of_the_export(name: str, value: object) -> None:
    files, _ = read("good")
    other = msgspec.structs.replace(computed(), **{name: value})
    assert not seal_holds(files[SIDECAR], other, files[TRUST])


def test_the_frozen_files_are_few_and_small() -> None:
    sizes = [file.stat().st_size for file in wrong_exports.FOLDER.rglob("*") if file.is_file()]
    assert sum(sizes) < 500_000
