"""Patch sets: golden bytes, a strict reader, and paths that are spelled and spelled back."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import canonical
from domain.errors import Damaged, Invalid
from domain.patchset import (
    Commit,
    FileChange,
    Signature,
    patchset_document,
    path_bytes,
    path_text,
    read_patchset,
    subject_of,
)

ADA = Signature(name="Ada", email="ada@example.com", time="2026-02-01T12:00:00Z", offset="+01:00")
COMMIT = Commit(
    sha="c" * 40,
    tree="d" * 40,
    parents=("a" * 40, "b" * 40),
    author=ADA,
    committer=Signature(name="Bob", email=""),
    message="Say it – at last\n",
    files=(
        FileChange(
            path="a.md",
            change="modified",
            old_mode="100644",
            new_mode="100644",
            old_blob="1" * 40,
            new_blob="2" * 40,
            lines_added=3,
            lines_deleted=0,
        ),
        FileChange(path="b.png", change="deleted", old_mode="100644", old_blob="3" * 40),
    ),
)
GOLDEN = (
    '{"base":"' + "a" * 40 + '","commits":[{"author":{"email":"ada@example.com","name":"Ada",'
    '"offset":"+01:00","time":"2026-02-01T12:00:00Z"},"committer":{"email":"","name":"Bob"},'
    '"message":"Say it – at last\\n","parents":["' + "a" * 40 + '","' + "b" * 40 + '"],'
    '"sha":"' + "c" * 40 + '","tree":"' + "d" * 40 + '"}],"diff_manifest":['
    '{"change":"modified","lines_added":3,"lines_deleted":0,"new_blob":"' + "2" * 40 + '",'
    '"new_mode":"100644","old_blob":"' + "1" * 40 + '","old_mode":"100644","path":"a.md"},'
    '{"change":"deleted","old_blob":"' + "3" * 40 + '","old_mode":"100644","path":"b.png"}],'
    '"head":"' + "c" * 40 + '","repository":"https://example.com/a.git",'
    '"schema":"deedbook/patchset/v1"}'
).encode()


def test_a_patch_set_is_these_bytes() -> None:
    raw = patchset_document(COMMIT, "https://example.com/a.git")
    assert raw == GOLDEN
    assert canonical.write(canonical.read(raw)) == raw


def test_a_patch_set_is_read_back() -> None:
    found = read_patchset(GOLDEN)
    assert found.base == "a" * 40
    assert found.head == COMMIT.sha
    assert found.diff_manifest == COMMIT.files
    assert found.commits[0].author == ADA


def test_the_first_commit_and_a_shallow_one_have_no_base() -> None:
    first = msgspec.structs.replace(COMMIT, parents=())
    assert read_patchset(patchset_document(first)).base is None
    shallow = msgspec.structs.replace(COMMIT, parents_missing=True)
    read = read_patchset(patchset_document(shallow))
    assert read.base is None
    assert read.commits[0].parents == COMMIT.parents
    assert read.commits[0].parents_missing


@pytest.mark.parametrize(
    "raw",
    [
        GOLDEN + b"\n",
        GOLDEN.replace(b'{"base"', b'{ "base"'),
        GOLDEN.replace(b"patchset/v1", b"patchset/v2"),
        GOLDEN.replace(b'"change":"deleted"', b'"change":"renamed"'),
        GOLDEN.replace(b'"path":"b.png"', b'"path":"b.png","x":1'),
        GOLDEN.replace(b'"lines_deleted":0', b'"lines_deleted":null'),
        GOLDEN[:-1],
        b"\xff",
        b"[" * 100_000,
        b"null",
    ],
)
def test_another_spelling_of_a_patch_set_is_refused(raw: bytes) -> None:
    with pytest.raises(Damaged) as caught:
        read_patchset(raw)
    assert caught.value.code == "patchset-malformed"


@pytest.mark.parametrize(
    ("message", "subject"),
    [
        ("One\n\nTwo", "One"),
        ("\n\n  One  \nTwo", "One"),
        ("a\tb\x1b[31m  c", "a b [31m c"),
        ("", ""),
        (" \n\n", ""),
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 199 + "…"),
        ("x" * 198 + " yz", "x" * 198 + "…"),
        (" " * 5_000 + "late", "late"),
    ],
)
def test_a_subject_is_one_printable_line(message: str, subject: str) -> None:
    assert subject_of(message) == subject


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (b"docs/a b.md", "docs/a b.md"),
        ("å/日本.md".encode(), "å/日本.md"),
        (b"a\xff.md", '"a\\377.md"'),
        (b'say "x"', '"say \\"x\\""'),
        (b"a\\b", '"a\\\\b"'),
        (b"\a\b\t\n\v\f\r\x01\x7f", '"\\a\\b\\t\\n\\v\\f\\r\\001\\177"'),
        (b"", ""),
    ],
)
def test_a_path_is_spelled_as_git_prints_it(path: bytes, text: str) -> None:
    assert path_text(path) == text
    assert path_bytes(text) == path


@given(st.binary(max_size=40))
def test_every_path_is_spelled_back(path: bytes) -> None:
    text = path_text(path)
    assert path_bytes(text) == path
    assert text.isascii() or not text.startswith('"') or "\\" in text
    text.encode("utf-8")  # it can stand in an event


@given(st.text(st.sampled_from('"\\a7103x\udcff\n'), max_size=12))
def test_only_its_own_spelling_is_a_path(text: str) -> None:
    try:
        path = path_bytes(text)
    except Invalid:
        return
    assert path_text(path) == text


@pytest.mark.parametrize(
    "text", ['"', '"a"', '"\\x"', '"\\400"', '"\\', "a\nb", "\ud800", '"\\141"']
)
def test_other_spellings_of_a_path_are_refused(text: str) -> None:
    with pytest.raises(Invalid):
        path_bytes(text)


def test_different_commits_give_different_bytes() -> None:
    changes: list[dict[str, Any]] = [
        {"message": "x"},
        {"author": COMMIT.committer},
        {"parents": COMMIT.parents[:1]},
        {"lossy": True},
        {"message_cut": True},
        {"files": ()},
    ]
    made = {patchset_document(msgspec.structs.replace(COMMIT, **change)) for change in changes}
    assert len(made | {patchset_document(COMMIT)}) == len(changes) + 1
