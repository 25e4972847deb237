"""The data folder: made private, left as it is, and held by one process at a time."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.data_folder import FolderLock, make_data_folder
from domain.errors import Unavailable

ROOT = Path(__file__).parent.parent


def test_a_new_folder_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = make_data_folder(tmp_path / "above" / "data")
    finally:
        os.umask(before)
    assert stat.S_IMODE(made.stat().st_mode) & 0o066 == 0


def test_a_folder_that_is_there_keeps_its_permissions(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o750)
    assert stat.S_IMODE(make_data_folder(tmp_path / "data").stat().st_mode) == 0o750


def test_a_link_leads_to_the_one_true_name(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert make_data_folder(tmp_path / "link") == (tmp_path / "real").resolve()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_what_cannot_be_a_folder_is_said(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="DEEDBOOK_DATA") as caught:
        make_data_folder(tmp_path / place)
    assert caught.value.code == "data-folder-unusable"


def test_one_holds_it_and_the_others_can_read_who(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with FolderLock(file) as first, FolderLock(file) as second:
        assert first.take("1\n")
        assert not second.take("2\n")
        assert second.note() == "1\n"
        assert first.take("1 again\n")
        assert second.note() == "1 again\n"
        first.release()
        assert second.take("2\n")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == ""


def test_who_was_killed_holds_it_no_more(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    code = (
        "import sys; from pathlib import Path; from adapters.data_folder import FolderLock; "
        "lock = FolderLock(Path(sys.argv[1])); print(lock.take('killed'), flush=True); "
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(file)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as holder:  # fmt: skip
        assert holder.stdout is not None
        holder.stdout.readline()
        with FolderLock(file) as lock:
            assert not lock.take("mine")
            holder.kill()
            holder.wait()
            assert lock.take("mine")
            assert lock.note() == "mine"


def test_a_lock_of_somebody_else_is_said(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(Unavailable, match="cannot be used"):
        FolderLock(tmp_path / "lock")


def test_where_there_are_no_such_locks_everybody_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with FolderLock(tmp_path / "lock") as lock:
        assert lock.take("as on Windows")
