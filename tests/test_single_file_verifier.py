"""The verifier as one file: the same code and answers as `deedbook verify`, where nothing else is."""

import io
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from app.cli import failure
from app.cli.root import run
from app.cli.verify import verify_command
from app.offline.verifier import main as single
from app.offline.verifier.closure import closure_of
from app.offline.verifier.pack import FROM_OUTSIDE, MAIN, ROOT, packed, write_packed
from app.version import VERSION
from domain.errors import Conflict, Invalid
from domain.trust import encode_trust
from projections.bundle import Scope
from tests.export_samples import files_of, hostile_log, mended, sample_log, zip_of
from tests.sealed_samples import HEAD, MemoryLedger, export_of, small_log
from tests.test_verify_file import _pin

LOG = sample_log()
FILES = files_of(LOG.lines, LOG.blobs)
OF_SIGNATURES = ("cryptography", "cffi", "_cffi_backend", "pycparser")
"""What is beside Python on the bare machine."""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the verifier, and packages in it that are only what signatures need."""
    folder = tmp_path_factory.mktemp("bare")
    (folder / "deedbook-verify.pyz").write_bytes(packed())
    packages = folder / "packages"
    packages.mkdir()
    for kind in ("purelib", "platlib"):
        for one in Path(sysconfig.get_path(kind)).iterdir():
            if one.name.partition(".")[0] in OF_SIGNATURES and not (packages / one.name).exists():
                (packages / one.name).symlink_to(one)
    assert (packages / "cryptography").exists()
    return folder


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Exports, good and bad."""
    hostile = hostile_log()
    forged = {**FILES, "alpha-16/data/artifacts/PRD/main.v2.md": b"# Forged\n"}
    events = FILES["alpha-16/data/events.jsonl"]
    contents = {
        "good": zip_of(FILES),
        "run": zip_of(files_of(LOG.lines, LOG.blobs, Scope("r1"))),
        "hostile": zip_of(files_of(hostile.lines, hostile.blobs)),
        "forged": zip_of(mended(forged)),
        "spaced": zip_of(
            mended({**FILES, "alpha-16/data/events.jsonl": events.replace(b":1,", b": 1,", 1)})
        ),
        "nothing": b"\x1b[31m no ZIP, although long enough for the end of one",
    }
    folder = tmp_path_factory.mktemp("exports")
    files = {}
    for name, content in contents.items():
        files[name] = folder / f"{name}.zip"
        files[name].write_bytes(content)
    return files


def bare_run(
    bare: Path,
    arguments: Sequence[str | Path],
    *,
    signatures: bool = True,
    terminal: str = "",
    folder: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run the file in a Python that sees no packages but those of the bare machine."""
    script = (
        "import runpy, sys\n"
        f"sys.path[:] = [one for one in sys.path if 'site-packages' not in one]\n"
        f"sys.path += {[str(bare / 'packages')] if signatures else []!r}\n"
        "try:\n"
        "    import msgspec\n"
        "except ImportError:\n"
        "    pass\n"
        "else:\n"
        "    raise SystemExit('msgspec is here')\n"
        f"sys.argv = {['deedbook-verify.pyz', *map(str, arguments)]!r}\n"
        f"runpy.run_path({str(bare / 'deedbook-verify.pyz')!r}, run_name='__main__')\n"
    )
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", script],
        cwd=folder or bare,
        env={"PATH": os.environ["PATH"], "PYTHONIOENCODING": terminal},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_same_sources_give_the_same_bytes(tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    for name in ("domain", "projections", "adapters", "app"):
        shutil.copytree(
            ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.sql")
        )
    for file in copy.rglob("*"):
        os.utime(file, (1, 1))
    assert packed(copy) == packed()
    with zipfile.ZipFile(io.BytesIO(packed())) as archive:
        assert archive.testzip() is None
        assert {one.compress_type for one in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {one.date_time[:3] for one in archive.infolist()} == {(1980, 1, 1)}
        assert archive.namelist() == sorted(archive.namelist())


def test_it_is_packed_from_the_sources_that_deedbook_verify_runs() -> None:
    script = (
        "import sys\n"
        "from app.cli.root import run\n"
        "from pathlib import Path\n"
        "run(['verify', '--json', sys.argv[1]])\n"
        "print(*sorted(name for name in sys.modules if name.split('.')[0] in"
        " {'domain', 'projections', 'adapters', 'app'}), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "absent.zip"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stderr.splitlines()[-1].split())
    needed = {name for name in loaded if not name.startswith("app.cli")}
    assert {"projections.verify", "adapters.zip_reader", "domain.merkle"} < needed
    found = closure_of(ROOT, (MAIN,))
    assert needed <= found.sources.keys()
    assert found.outside.keys() <= FROM_OUTSIDE
    packed_names = _names().keys()
    for name, file in found.sources.items():
        assert file.relative_to(ROOT).as_posix() in packed_names, name


def _names() -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(packed())) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_every_file_in_it_is_a_source_as_it_stands() -> None:
    for name, content in _names().items():
        if name == "__main__.py":
            continue
        path = f"app/offline/verifier/{name}" if name.startswith("msgspec/") else name
        assert (ROOT / path).read_bytes() == content, name


def test_what_cannot_be_packed_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "app/offline/verifier").mkdir(parents=True)
    (tmp_path / "app/offline/verifier/main.py").write_text(
        "from ..verifier import more\nimport click\n"
    )
    with pytest.raises(RuntimeError, match=r"app\.offline\.verifier\.main imports click"):
        packed(tmp_path)


def test_imports_for_types_alone_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app/one.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import click\nelse:\n    from . import two\n"
        "def later():\n    from app.three import x\n"
    )
    (tmp_path / "app/two.py").write_text("import json, cryptography.x509\n")
    (tmp_path / "app/three.py").write_text("x = 1\n")
    found = closure_of(tmp_path, ("app.one",))
    assert list(found.sources) == ["app.one", "app.three", "app.two"]
    assert found.outside == {"cryptography": "app.two"}


@pytest.mark.parametrize("name", ["good", "run", "hostile", "forged", "spaced", "nothing"])
def test_a_bare_machine_says_what_deedbook_verify_says(
    name: str, bare: Path, exports: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for options in (
        [],
        ["--json"],
        ["--output", "ndjson", "--pin", _pin(9)],
        ["--require-anchor"],
        ["--quiet", "--pin", "0" * 64 + "@17", "--no-color"],
    ):
        code = run(["verify", str(exports[name]), *options])
        ours = capsys.readouterr()
        done = bare_run(bare, [exports[name], *options])
        assert done.returncode == code, (options, done.stderr)
        assert done.stdout == ours.out, options
        assert done.stderr == ours.err, options


@pytest.mark.parametrize(
    "arguments",
    [
        ["absent.zip"],
        ["absent.zip", "--json"],
        ["--pin", "nonsense", "EXPORT"],
        ["--pin", "nonsense", "EXPORT", "--output=json"],
        ["EXPORT", "--pin", "LINK"],
        ["LINK"],
        ["/dev/null"],
    ],
)
def test_wrong_input_leaves_as_from_deedbook_verify(
    arguments: list[str],
    bare: Path,
    exports: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    link = tmp_path / "link.zip"
    link.symlink_to(exports["good"])
    names = {"EXPORT": str(exports["good"]), "LINK": str(link)}
    arguments = [names.get(one, one) for one in arguments]
    code = run(["verify", *arguments])
    ours = capsys.readouterr()
    done = bare_run(bare, arguments)
    assert (done.returncode, done.stdout) == (code, ours.out)
    assert done.stderr == ours.err


def test_wrong_usage_leaves_with_2(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["a.zip", "b.zip"], ["--unknown", "a.zip"], ["--pi", "x", "a.zip"]):
        assert single.main(arguments) == failure.USAGE
        assert capsys.readouterr().err.startswith("error: ")
        assert single.main([*arguments, "--json"]) == failure.USAGE
        assert msgspec.json.decode(capsys.readouterr().err)["code"] == "usage"
    done = bare_run(bare, ["--unknown"])
    assert (done.returncode, done.stdout) == (failure.USAGE, "")


def test_help_and_version_leave_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert single.main(["--help"]) == failure.OK
    assert "VERIFIED-UNANCHORED  genuine, and nothing" in capsys.readouterr().out
    assert single.main(["--version"]) == failure.OK
    assert capsys.readouterr().out == f"deedbook-verify {VERSION}\n"


def test_it_has_the_options_of_deedbook_verify_and_no_others() -> None:
    of_a_ledger = {"--url", "--token", "--project"}
    theirs = {name for one in verify_command.params for name in one.opts} - of_a_ledger
    parser = single.command_line()
    ours = {name for one in parser._actions for name in one.option_strings or [one.dest]}
    assert ours - {"-h", "--help", "--version"} == theirs


def test_the_results_are_those_that_deedbook_verify_explains() -> None:
    table = [line.strip() for line in single.HELP.splitlines() if line.startswith("  ")]
    assert verify_command.help is not None
    explained = [line.strip() for line in verify_command.help.splitlines()]
    assert len(table) == 6
    assert all(line in explained for line in table)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sealed export, an older one, a forked one, keys and a pin."""
    folder = tmp_path_factory.mktemp("sealed")
    ledger, log = MemoryLedger(), small_log(6)
    exports = {
        "alpha-6.zip": (log, HEAD),
        "alpha-4.zip": (small_log(4), None),
        "fork/alpha-6.zip": (small_log(6, fork=3), None),
    }
    (folder / "fork").mkdir()
    for name, (of, head) in exports.items():
        content = export_of(of)
        (folder / name).write_bytes(content)
        sidecar = ledger.seal(of, content, head=head)
        (folder / f"{name}.sigstore.json").write_bytes(sidecar)
    (folder / "trust.json").write_bytes(encode_trust(ledger.trust()))
    (folder / "other.json").write_bytes(encode_trust(MemoryLedger(2).trust()))
    (folder / "pin").write_text(ledger.checkpoint(log.lines))
    grown = small_log(9).lines
    (folder / "grown").write_text(ledger.checkpoint(grown))
    (folder / "consistency").write_text(ledger.consistency(6, grown))
    return folder


SEALED = (
    ["alpha-6.zip", "--trust", "trust.json"],
    ["alpha-6.zip", "--trust", "other.json"],
    ["alpha-6.zip", "--trust", "trust.json", "--pin", "pin", "--head", HEAD.commit],
    ["alpha-6.zip", "--trust", "trust.json", "--head", "0" * 40],
    ["alpha-6.zip", "--trust", "trust.json", "--pin", "grown", "--consistency", "consistency"],
    ["alpha-6.zip", "--trust", "trust.json", "--pin", "grown"],
    ["alpha-6.zip", "--trust", "trust.json", "--since", "alpha-4.zip", "--require-anchor"],
    ["fork/alpha-6.zip", "--trust", "trust.json", "--since", "alpha-4.zip"],
    ["alpha-6.zip", "--trust", "trust.json", "--sidecar", "alpha-4.zip.sigstore.json"],
    ["alpha-6.zip", "--trust", "pin"],
    ["alpha-6.zip", "--consistency", "consistency"],
    ["alpha-6.zip", "--trust", "absent.json"],
)


@pytest.mark.parametrize("arguments", SEALED, ids=" ".join)
def test_seals_pins_heads_and_older_exports_are_judged_alike(
    arguments: list[str],
    bare: Path,
    sealed: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(sealed)
    code = run(["verify", "--json", *arguments])
    ours = capsys.readouterr()
    done = bare_run(bare, ["--json", *arguments], folder=sealed)
    assert (done.returncode, done.stdout) == (code, ours.out), done.stderr
    if code != failure.USAGE:
        assert done.stderr == ours.err


def test_without_cryptography_all_that_needs_no_signature_runs(
    bare: Path, exports: dict[str, Path], sealed: Path
) -> None:
    done = bare_run(bare, [exports["forged"]], signatures=False)
    assert done.returncode == failure.NOT_VERIFIED
    assert "FAILED" in done.stdout
    given = ["alpha-6.zip", "--trust", "trust.json", "--pin", "pin"]
    done = bare_run(bare, ["--json", *given], signatures=False, folder=sealed)
    assert done.returncode == failure.NOT_VERIFIED, done.stderr
    assert "The Python package cryptography is not here" in done.stderr
    report = msgspec.json.decode(done.stdout)
    assert report["state"] == "INCOMPLETE"
    assert {one["id"]: one["ok"] for one in report["checks"]}["seal"] is None
    assert bare_run(bare, given, folder=sealed).returncode == failure.OK


def test_a_terminal_that_knows_ascii_alone_is_no_trap(bare: Path, exports: dict[str, Path]) -> None:
    odd = exports["good"].with_name("caf\u00e9.zip")
    odd.write_bytes(exports["good"].read_bytes())
    done = bare_run(bare, [odd], terminal="ascii")
    assert done.returncode == failure.NOT_VERIFIED, done.stderr
    assert "INCOMPLETE" in done.stdout


def test_whoever_reads_may_stop_reading(
    exports: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail_with(error: BaseException) -> int:
        def instead(*arguments: object) -> None:
            raise error

        monkeypatch.setattr(single, "verify_given", instead)
        return single.main([str(exports["good"])])

    assert fail_with(KeyboardInterrupt()) == failure.INTERRUPTED
    assert fail_with(ZeroDivisionError("\x1b[2J")) == failure.UNEXPECTED
    assert capsys.readouterr().err == "error: ZeroDivisionError: \\u001b[2J (unexpected)\n"
    piped = subprocess.run(
        f"{sys.executable} -m app verifier -o {exports['good'].with_name('v.pyz')} >/dev/null 2>&1; "
        f"{sys.executable} {exports['good'].with_name('v.pyz')} {exports['good']} | true; "
        "echo ${PIPESTATUS[0]}",
        shell=True,
        executable="/bin/bash",
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert piped.stdout == "0\n"
    assert "Traceback" not in piped.stderr


def test_the_command_writes_it_once_and_overwrites_nothing_else(
    tmp_path: Path, exports: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "verify.pyz"
    assert run(["verifier", "-o", str(file), "--json"]) == failure.OK
    shown = msgspec.json.decode(capsys.readouterr().out)
    assert (shown["path"], shown["size_bytes"]) == (str(file), file.stat().st_size)
    assert os.access(file, os.X_OK)
    assert run(["verifier", "-o", str(file)]) == failure.OK
    assert "is there already, byte for byte" in capsys.readouterr().err
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    assert run(["verifier", "-o", str(file)]) == failure.CONFLICT
    assert "(file-exists)" in capsys.readouterr().err
    assert run(["verifier", "-o", str(file), "--force"]) == failure.OK
    assert file.read_bytes() == packed()
    assert [one.name for one in tmp_path.iterdir()] == ["verify.pyz"]
    started = subprocess.run(
        [file, exports["good"]], capture_output=True, text=True, check=False, timeout=60
    )
    assert started.returncode == failure.NOT_VERIFIED, started.stderr
    assert "INCOMPLETE" in started.stdout


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="cannot be written"):
        write_packed(tmp_path / "absent/x.pyz", b"", overwrite=False)
    (tmp_path / "x.pyz").write_bytes(b"other")
    with pytest.raises(Conflict, match="differs"):
        write_packed(tmp_path / "x.pyz", b"", overwrite=False)
    with pytest.raises(Invalid):
        write_packed(tmp_path, b"", overwrite=True)
    assert [one.name for one in tmp_path.iterdir()] == ["x.pyz"]


def test_an_old_python_gets_a_clear_line(bare: Path) -> None:
    script = (
        "import runpy, sys\n"
        "sys.version_info = (3, 8, 1)\n"
        "sys.version = '3.8.1 (old)'\n"
        f"runpy.run_path({str(bare / 'deedbook-verify.pyz')!r}, run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == failure.USAGE
    assert done.stderr == "error: this needs Python 3.11 or newer, and runs on 3.8.1\n"


@pytest.mark.timeout(900)
def test_whatever_the_tests_verify_gets_the_same_answer_from_the_stand_in() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "--noconftest", "-p", "tests.verify_twice"),
            *("-p", "no:cacheprovider", "--timeout=800"),
            *("tests/test_verify.py", "tests/test_verify_file.py"),
            # Its archive is another one each time that it is read.
            "--deselect",
            "tests/test_verify.py::test_an_archive_that_is_not_the_same_when_read_again_fails",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=850,
    )
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-2_000:]
    [count] = [line for line in done.stdout.splitlines() if line.startswith("verified twice: ")]
    assert int(count.partition(": ")[2]) > 3_000
