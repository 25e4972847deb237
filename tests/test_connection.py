"""Which ledger the command line talks to."""

import os
import stat
from pathlib import Path

import pytest

from app.remote.connection import (
    Connection,
    choose,
    connection_file,
    read_connection,
    write_connection,
)
from app.settings import Settings
from domain.errors import Malformed

KEPT = Connection(url="http://127.0.0.1:8000", token="kept-token", project="deedbook")


def test_a_connection_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    write_connection(tmp_path / "new", KEPT)
    assert read_connection(tmp_path / "new") == KEPT


def test_the_file_is_for_its_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        file = write_connection(tmp_path, KEPT)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_writing_again_replaces_the_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_connection(tmp_path, KEPT)
    write_connection(tmp_path, Connection(url="http://other:1"))
    assert read_connection(tmp_path) == Connection(url="http://other:1")
    assert [file.name for file in tmp_path.iterdir()] == ["connection.json"]


def test_without_a_file_there_is_no_connection(tmp_path: Path) -> None:
    assert read_connection(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"[]", b'{"token": "x"}', b"\xff"])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    connection_file(tmp_path).write_bytes(content)
    with pytest.raises(Malformed) as caught:
        read_connection(tmp_path)
    assert "connection.json" in caught.value.detail


def test_the_token_does_not_show_in_logs() -> None:
    assert "kept-token" not in repr(KEPT)


def test_a_flag_wins_over_a_variable_and_a_variable_over_the_file() -> None:
    settings = Settings(deedbook_token="variable-token", deedbook_project="variable-project")
    assert choose(Settings(), KEPT) == KEPT
    assert choose(settings, KEPT).token == "variable-token"
    assert choose(settings, KEPT, token="flag-token").token == "flag-token"
    assert choose(settings, KEPT, project="flag-project").project == "flag-project"


def test_the_kept_token_is_never_sent_to_another_ledger() -> None:
    chosen = choose(Settings(), KEPT, url="https://elsewhere.example")
    assert chosen == Connection(url="https://elsewhere.example")
    chosen = choose(Settings(deedbook_url="https://elsewhere.example"), KEPT)
    assert chosen.token is None


def test_a_slash_at_the_end_is_the_same_ledger() -> None:
    assert choose(Settings(), KEPT, url="http://127.0.0.1:8000/").token == "kept-token"


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:9000"),
        ("0.0.0.0", "http://127.0.0.1:9000"),
        ("::1", "http://[::1]:9000"),
    ],
)
def test_without_anything_the_service_of_the_settings_is_meant(listen: str, url: str) -> None:
    settings = Settings(deedbook_listen=listen, deedbook_port=9000)
    assert choose(settings, None) == Connection(url=url)
