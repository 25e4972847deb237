"""Differences: applying one gives the new text, and it is what diff(1) and git would say."""

import re
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import diff
from domain.diff import TextDiff, compare, unified

LINES = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "\n", "d\r\n", "e\u2028\n"]), max_size=14)
TEXTS = st.builds(lambda lines, end: "".join(lines) + end, LINES, st.sampled_from(["", "a", "z"]))


def applied(old: str, change: TextDiff) -> str:
    """The text after the hunks; checks that each fits where it says."""
    before = re.findall(r"[^\n]*\n|[^\n]+", old)
    out: list[str] = []
    at = 0
    for hunk in change.hunks:
        start = hunk.old_start - 1 if hunk.old_lines else hunk.old_start
        assert start >= at
        out += before[at:start]
        assert len(out) == (hunk.new_start - 1 if hunk.new_lines else hunk.new_start)
        at = start
        for line in hunk.lines:
            text = line.text + ("\n" if line.newline else "")
            if line.mark != "+":
                assert before[at] == text
                at += 1
            if line.mark != "-":
                out.append(text)
        assert at == start + hunk.old_lines
        assert sum(line.mark != "-" for line in hunk.lines) == hunk.new_lines
    return "".join(out + before[at:])


@given(TEXTS, TEXTS, st.integers(0, 4))
def test_applying_a_difference_gives_the_new_text(old: str, new: str, context: int) -> None:
    change = compare(old, new, context=context)
    assert applied(old, change) == new
    marks = [line.mark for hunk in change.hunks for line in hunk.lines]
    assert (marks.count("+"), marks.count("-")) == (change.lines_added, change.lines_deleted)
    assert not change.coarse


@given(TEXTS, TEXTS)
def test_a_difference_is_the_shortest(old: str, new: str) -> None:
    """As many lines stay as in a longest common subsequence."""
    change = compare(old, new)
    before, after = diff._lines(old), diff._lines(new)
    best = [[0] * (len(after) + 1) for _ in range(len(before) + 1)]
    for i, one in enumerate(before):
        for j, other in enumerate(after):
            best[i + 1][j + 1] = (
                best[i][j] + 1 if one == other else max(best[i][j + 1], best[i + 1][j])
            )
    assert len(before) - change.lines_deleted == best[-1][-1]
    assert len(after) - change.lines_added == best[-1][-1]


@given(TEXTS)
def test_equal_texts_have_no_difference(text: str) -> None:
    change = compare(text, text)
    assert change == TextDiff(lines_added=0, lines_deleted=0, coarse=False, hunks=())
    assert unified(change, "a", "b") == ""


@given(TEXTS, TEXTS)
def test_there_and_back_are_mirrored_in_number(old: str, new: str) -> None:
    there, back = compare(old, new), compare(new, old)
    assert (there.lines_added, there.lines_deleted) == (back.lines_deleted, back.lines_added)


def numbered(*numbers: int) -> str:
    return "".join(f"{number}\n" for number in numbers)


TEN = numbered(*range(1, 11))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "a\n", "@@ -0,0 +1 @@\n+a\n"),
        ("a\n", "", "@@ -1 +0,0 @@\n-a\n"),
        ("", "a", "@@ -0,0 +1 @@\n+a\n\\ No newline at end of file\n"),
        ("a", "a\n", "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n"),
        ("a\nb", "c\nb", "@@ -1,2 +1,2 @@\n-a\n+c\n b\n\\ No newline at end of file\n"),
        ("a\r\n", "a\n", "@@ -1 +1 @@\n-a\r\n+a\n"),
        (
            TEN,
            TEN.replace("5\n", "five\n"),
            "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n",
        ),
        (
            TEN,
            TEN.replace("1\n", "one\n", 1).replace("8\n", ""),
            "@@ -1,10 +1,9 @@\n-1\n+one\n 2\n 3\n 4\n 5\n 6\n 7\n-8\n 9\n 10\n",
        ),
        (
            TEN,
            TEN.replace("1\n", "one\n", 1).replace("9\n", ""),
            "@@ -1,4 +1,4 @@\n-1\n+one\n 2\n 3\n 4\n@@ -6,5 +6,4 @@\n 6\n 7\n 8\n-9\n 10\n",
        ),
    ],
)
def test_the_unified_form_is_that_of_diff(old: str, new: str, expected: str) -> None:
    assert unified(compare(old, new), "old", "new") == "--- old\n+++ new\n" + expected


def test_a_name_cannot_break_the_form() -> None:
    shown = unified(compare("", "a\n"), "a\n--- b", "c\x1b")
    assert shown.splitlines()[:2] == ["--- a?--- b", "+++ c?"]


def test_a_difference_is_json() -> None:
    change = compare("a\nb", "a\nc\n")
    assert msgspec.json.encode(change.hunks[0].lines) == (
        b'[{"mark":" ","text":"a"},{"mark":"-","text":"b","newline":false},{"mark":"+","text":"c"}]'
    )


@settings(max_examples=15, deadline=None)
@given(TEXTS, TEXTS)
def test_git_applies_it(tmp_path_factory: pytest.TempPathFactory, old: str, new: str) -> None:
    program = shutil.which("git")
    if program is None or old == new:
        return
    folder = tmp_path_factory.mktemp("patch")
    (folder / "file").write_bytes(old.encode())
    (folder / "new").write_bytes(new.encode())
    text = unified(compare(old, new), "a/file", "b/file")
    command = [program, "apply", "--unidiff-zero", "--whitespace=nowarn", "-"]
    done = subprocess.run(
        command, cwd=folder, input=text.encode(), capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, (done.stderr, text)
    assert (folder / "file").read_bytes() == new.encode()


@pytest.mark.outside
def test_plain_changes_read_as_diff_writes_them(tmp_path: Path) -> None:
    """Where only one shortest difference exists, the two must be equal to the byte."""
    program = shutil.which("diff")
    if program is None:
        pytest.skip("diff is absent")
    old = numbered(*range(40))
    for number, new in enumerate(
        [
            old.replace("7\n", "seven\n", 1),
            old + "tail\n",
            "head\n" + old,
            old.replace("20\n21\n", ""),
            numbered(*range(10), 100, 101, *range(15, 40)),
            old.rstrip("\n"),
            "",
        ]
    ):
        (tmp_path / "old").write_text(old)
        (tmp_path / "new").write_text(new)
        done = subprocess.run(
            [program, "-u", "--label", "old", "--label", "new", "old", "new"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert unified(compare(old, new), "old", "new") == done.stdout, number


def test_beyond_the_limits_a_part_is_replaced_and_said_to_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(diff, "MAX_LINES", 20)
    old = numbered(*range(50))
    new = numbered(0, *(100 + n for n in range(1, 49)), 49)
    change = compare(old, new)
    assert change.coarse
    assert (change.lines_added, change.lines_deleted) == (48, 48)
    assert applied(old, change) == new
    small = compare(old, old.replace("7\n", "x\n", 1))
    assert not small.coarse  # what is equal at both ends does not count


def test_more_edits_than_the_limit_are_one_replacement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diff, "MAX_EDITS", 4)
    old, new = "a\nb\nc\nd\ne\nf\n", "f\ne\nd\nc\nb\na\n"
    change = compare(old, new)
    assert change.coarse
    assert applied(old, change) == new
    assert not compare("a\nb\nc\n", "c\na\nb\n").coarse


def test_lines_of_one_side_alone_are_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diff, "MAX_EDITS", 2)
    old = numbered(*range(100))
    new = "".join(f"{n}\nnew {n}\n" for n in range(100))
    change = compare(old, new)
    assert not change.coarse
    assert (change.lines_added, change.lines_deleted) == (100, 0)
    assert applied(old, change) == new
