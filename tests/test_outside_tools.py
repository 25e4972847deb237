"""Programs of others accept our exports: archivers, BagIt, coreutils, and strip-nondeterminism."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from domain.merkle import leaf_hash
from domain.sigstore_bundle import parse_bundle
from tests.export_samples import files_of, hostile_log, published_zip, zip_of
from tests.ledger_samples import another_database, make_project, open_ledger, write_export
from tests.outside_programs import program

pytestmark = pytest.mark.outside

SECONDS = 120


@pytest.fixture(scope="module")
def real(
    postgres_server: str, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """An export out of a ledger that sealed it; the sidecar lies beside it."""
    file = tmp_path_factory.mktemp("real") / "alpha.zip"
    with (
        another_database(postgres_server, template_database) as url,
        open_ledger(url) as ledger,
    ):
        position = make_project(ledger, url)
        write_export(ledger, file, position)
        sealed = ledger.seals.seal("alpha", position, "project", None)
        file.with_name("alpha.zip.sigstore.json").write_bytes(sealed.sidecar)
        yield file


@pytest.fixture(params=["published", "real", "hostile"])
def export(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    file = tmp_path / "export.zip"
    match request.param:
        case "published":
            file.write_bytes(published_zip())
        case "hostile":
            log = hostile_log()
            file.write_bytes(zip_of(files_of(log.lines, log.blobs)))
        case _:
            shutil.copyfile(request.getfixturevalue("real"), file)
    return file


def accepts(
    command: Sequence[str], *, folder: Path | None = None, given: Path | None = None
) -> str:
    """Run a program to a good end; answers what it said."""
    with (given or Path(os.devnull)).open("rb") as stdin:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            check=False,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
    said = done.stdout.decode("utf-8", "replace")
    assert done.returncode == 0, said
    return said


def refuses(command: Sequence[str], *, folder: Path | None = None) -> bool:
    """Whether a program comes to a bad end, and not by a signal."""
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=SECONDS, check=False)
    return done.returncode > 0


def unpacked(export: Path, folder: Path) -> Path:
    """The top folder of an export, extracted."""
    with zipfile.ZipFile(export) as opened:
        opened.extractall(folder)
    (top,) = folder.iterdir()
    return top


def names_of(export: Path) -> list[str]:
    with zipfile.ZipFile(export) as opened:
        return opened.namelist()


def test_bagit_validates_the_folder(export: Path, tmp_path: Path) -> None:
    bagit = program("bagit.py")
    top = unpacked(export, tmp_path / "here")
    accepts([bagit, "--validate", str(top)])
    for name in ("bagit.txt", "bag-info.txt", "manifest-sha256.txt", "data/tree.json"):
        good = (top / name).read_bytes()
        (top / name).write_bytes(good + b"\n")
        assert refuses([bagit, "--validate", str(top)]), name
        (top / name).write_bytes(good)
    (top / "data" / "more").write_bytes(b"")
    assert refuses([bagit, "--validate", str(top)])
    (top / "data" / "more").unlink()
    accepts([bagit, "--validate", str(top)])
    (top / "data" / "events.jsonl").unlink()
    assert refuses([bagit, "--validate", str(top)])


@pytest.mark.parametrize("manifest", ["manifest-sha256.txt", "tagmanifest-sha256.txt"])
def test_sha256sum_checks_the_manifests_from_inside(
    export: Path, manifest: str, tmp_path: Path
) -> None:
    top = unpacked(export, tmp_path / "here")
    said = accepts([program("sha256sum"), "-c", "--strict", manifest], folder=top)
    listed = (top / manifest).read_text().splitlines()
    assert said.splitlines() == [f"{line.partition('  ')[2]}: OK" for line in listed]
    for line in listed:
        file = top / line.partition("  ")[2]
        good = file.read_bytes()
        file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]) if good else b"x")
        assert refuses([program("sha256sum"), "-c", "--strict", manifest], folder=top)
        file.write_bytes(good)
    accepts([program("sha256sum"), "-c", "--strict", manifest], folder=top)


def test_sha256sum_of_the_file_is_the_subject_of_its_seal(real: Path) -> None:
    sidecar = parse_bundle(real.with_name("alpha.zip.sigstore.json").read_bytes())
    subject = json.loads(sidecar.statement)["subject"][0]
    assert accepts([program("sha256sum"), str(real)]).split()[0] == subject["digest"]["sha256"]


def test_unzip_tests_it(export: Path) -> None:
    said = accepts([program("unzip"), "-t", str(export)])
    assert "No errors detected" in said
    assert "warning" not in said.lower()


def test_7z_tests_it(export: Path) -> None:
    said = accepts([program("7z"), "t", str(export)])
    assert "Everything is Ok" in said
    assert "arning" not in said


def test_bsdtar_lists_it_from_a_file_and_from_a_pipe(export: Path) -> None:
    bsdtar = program("bsdtar")
    names = names_of(export)
    assert accepts([bsdtar, "-tf", str(export)]).splitlines() == names
    assert accepts(["sh", "-c", f"cat | '{bsdtar}' -tf -"], given=export).splitlines() == names


def test_python_tests_it(export: Path) -> None:
    assert "Done testing" in accepts([sys.executable, "-m", "zipfile", "-t", str(export)])


def test_jar_lists_it(export: Path) -> None:
    assert accepts([program("jar"), "tf", str(export)]).splitlines() == names_of(export)


@pytest.mark.parametrize("variables", [{}, {"SOURCE_DATE_EPOCH": "1700000000", "TZ": "Asia/Tokyo"}])
def test_strip_nondeterminism_finds_nothing_to_change(
    export: Path, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    strip = program("strip-nondeterminism")
    copy = export.with_name("copy.zip")
    shutil.copyfile(export, copy)
    accepts([strip, "--type", "zip", str(copy)])
    assert copy.read_bytes() == export.read_bytes()


def test_the_first_leaf_by_hand_is_the_one_that_the_tree_has(export: Path, tmp_path: Path) -> None:
    program("sha256sum")
    top = unpacked(export, tmp_path / "here")
    by_hand = "(printf '\\0'; head -1 data/events.jsonl | tr -d '\\n') | sha256sum"
    line = (top / "data" / "events.jsonl").read_bytes().splitlines()[0]
    said = accepts(["sh", "-c", by_hand], folder=top)
    assert said.split()[0] == leaf_hash(line).hex()
