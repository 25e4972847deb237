"""What a real git repository says, and that neither it nor the machine decides how it is read."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from adapters.git_commit import parse_commit
from adapters.git_process import Git, GitProcess
from adapters.git_repository import GitRepository, Step, _diff
from domain.errors import Damaged, DeedbookError, NotFound, TooLarge, Unavailable
from domain.patchset import FileChange, path_bytes
from tests.git_samples import Repository

EMPTY_BLOB = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


def steps(repository: Repository, *recorded: str) -> list[Step]:
    with GitRepository(repository.folder) as opened:
        return list(opened.history(frozenset(recorded)))


def documents(step: Step) -> list[str]:
    return [one.path for one in step.documents]


def files(step: Step) -> dict[str, str]:
    return {one.path: one.change for one in step.commit.files}


def contents(repository: Repository, step: Step) -> dict[str, str]:
    with GitRepository(repository.folder) as opened:
        return {one.path: opened.content(one.blob).decode() for one in step.documents}


def test_commits_come_oldest_first_with_what_they_say(repository: Repository) -> None:
    first = repository.commit("Begin\n\nMore of it.", a="one\n")
    second = repository.commit("Go on", a="one\ntwo\n", b="x")
    with GitRepository(repository.folder) as opened:
        assert (opened.head, opened.count(), opened.shallow) == (second, 2, False)
        assert opened.object_format == "sha1"
        found = list(opened.history())
        assert [one.path for one in opened.documents()] == ["a.md", "b.md"]
    assert [(step.number, step.commit.sha) for step in found] == [(1, first), (2, second)]
    begin = found[0].commit
    assert begin.message == "Begin\n\nMore of it.\n"
    assert begin.parents == ()
    assert (begin.author.name, begin.author.email) == ("Ada", "ada@example.com")
    assert (begin.author.time, begin.author.offset) == ("2026-02-01T12:01:00Z", "+01:00")
    assert begin.tree == repository.git("rev-parse", f"{first}^{{tree}}")
    assert not begin.lossy
    assert found[1].commit.parents == (first,)
    changed = found[1].commit.files[0]
    assert changed == FileChange(
        path="a.md",
        change="modified",
        old_mode="100644",
        new_mode="100644",
        old_blob=repository.git("rev-parse", f"{first}:a.md"),
        new_blob=repository.git("rev-parse", f"{second}:a.md"),
        lines_added=1,
        lines_deleted=0,
    )
    assert [documents(step) for step in found] == [["a.md"], ["a.md", "b.md"]]


def test_a_rename_is_a_deletion_and_an_addition(repository: Repository) -> None:
    repository.commit(old="the same text\n" * 20)
    repository.git("mv", "old.md", "new.md")
    repository.commit()
    found = steps(repository)
    assert files(found[1]) == {"new.md": "added", "old.md": "deleted"}
    assert [documents(step) for step in found] == [[], ["new.md"]]


def test_only_documents_at_head_are_followed(repository: Repository) -> None:
    repository.commit(gone="x", kept="1")
    repository.remove("gone.md")
    repository.commit(kept="2")
    assert [documents(step) for step in steps(repository)] == [["kept.md"], ["kept.md"]]


def test_a_document_that_comes_back_as_it_was_is_no_new_version(repository: Repository) -> None:
    repository.commit(a="x")
    repository.remove("a.md")
    repository.commit()
    repository.commit(a="x")
    repository.commit(a="y")
    repository.commit(a="x")
    assert [documents(step) for step in steps(repository)] == [["a.md"], [], [], ["a.md"], ["a.md"]]


def test_a_merge_ends_with_what_it_has_whichever_branch_comes_first(
    repository: Repository,
) -> None:
    start = repository.commit(a="start", b="start", c="start")
    repository.branch("side", start)
    repository.commit(a="side", b="side")
    repository.switch("main")
    repository.commit(c="main")
    repository.merge("side")
    for branch, expected in (("main", "main"), ("side", "start")):
        repository.switch(branch)
        found = steps(repository)
        latest: dict[str, str] = {}
        for step in found:
            latest |= contents(repository, step)
        assert latest == {"a.md": "side", "b.md": "side", "c.md": expected}


def test_a_merge_that_drops_a_branch_brings_back_what_was_there(repository: Repository) -> None:
    start = repository.commit(a="start")
    repository.branch("side", start)
    repository.commit(a="side")
    repository.switch("main")
    repository.commit(b="x")
    merged = repository.merge("side", how="ours")
    repository.commit(c="later")
    *_, merge, last = steps(repository)
    assert (merge.commit.sha, len(merge.commit.parents)) == (merged, 2)
    given = [(path, text) for path, text in contents(repository, merge).items() if path == "a.md"]
    assert given == [("a.md", "start")]
    assert files(merge) == {}
    assert documents(last) == ["c.md"]


def test_a_merge_of_three_is_compared_with_all(repository: Repository) -> None:
    start = repository.commit(a="0", b="0", c="0")
    for name in ("b", "c"):
        repository.branch(f"side-{name}", start)
        repository.commit(**{name: "1"})
    repository.switch("main")
    repository.commit(a="1")
    repository.merge("side-b", "side-c")
    found = steps(repository)
    assert len(found[-1].commit.parents) == 3
    assert set(files(found[-1])) == {"b.md", "c.md"}
    latest: dict[str, str] = {}
    for step in found:
        latest |= contents(repository, step)
    assert latest == {"a.md": "1", "b.md": "1", "c.md": "1"}


def test_one_merge_after_another_is_compared(repository: Repository) -> None:
    start = repository.commit(a="0")
    for name in ("one", "two"):
        repository.branch(name, start)
        repository.commit(**{name: name})
    repository.switch("main")
    repository.commit(b="1")
    repository.merge("one")
    repository.merge("two")
    merges = [step for step in steps(repository) if len(step.commit.parents) > 1]
    assert [list(files(step)) for step in merges] == [["one.md"], ["two.md"]]
    given = [path for step in steps(repository) for path in documents(step)]
    assert sorted(given) == ["a.md", "b.md", "one.md", "two.md"]


def test_what_is_recorded_is_passed_over(repository: Repository) -> None:
    shas = [repository.commit(a=str(n)) for n in range(4)]
    rest = steps(repository, shas[0], shas[1], "main", "0" * 40, "f" * 64)
    assert [(step.number, step.commit.sha) for step in rest] == [(3, shas[2]), (4, shas[3])]
    assert [documents(step) for step in rest] == [["a.md"], ["a.md"]]
    assert steps(repository, *shas) == []


def test_an_object_that_is_no_commit_is_no_recorded_commit(repository: Repository) -> None:
    sha = repository.commit(a="x")
    blob = repository.git("rev-parse", "HEAD:a.md")
    assert [step.commit.sha for step in steps(repository, blob)] == [sha]


def test_a_branch_that_is_merged_later_gives_its_versions_and_ends_as_head_has_it(
    repository: Repository,
) -> None:
    start = repository.commit(a="0")
    repository.branch("side", start)
    side = repository.commit(a="side")
    repository.switch("main")
    main = repository.commit(a="main")
    merged = repository.merge("side", how="ours")
    rest = steps(repository, start, main)
    assert [step.commit.sha for step in rest] == [side, merged]
    assert [contents(repository, step) for step in rest] == [{"a.md": "side"}, {"a.md": "main"}]


def test_a_branch_that_replaced_another_ends_as_it_is(repository: Repository) -> None:
    start = repository.commit(a="0", b="0")
    given_up = repository.commit(a="given up")
    repository.git("reset", "--quiet", "--hard", start)
    repository.commit(c="new")
    [step] = steps(repository, start, given_up)
    assert contents(repository, step) == {"a.md": "0", "b.md": "0", "c.md": "new"}


def test_commits_below_recorded_ones_give_no_documents(repository: Repository) -> None:
    shas = [repository.commit(a=str(n)) for n in range(3)]
    older = steps(repository, shas[2])
    assert [step.commit.sha for step in older] == shas[:2]
    assert [documents(step) for step in older] == [[], []]
    assert [list(files(step)) for step in older] == [["a.md"], ["a.md"]]


def test_a_shallow_clone_says_so_and_lists_its_first_tree(
    repository: Repository, tmp_path: Path
) -> None:
    repository.commit(a="0", b="0")
    second = repository.commit(a="1")
    third = repository.commit(a="2")
    subprocess.run(
        ["git", "clone", "--quiet", "--depth=2", repository.folder.as_uri(), "shallow"],
        cwd=tmp_path,
        check=True,
        timeout=60,
    )
    with GitRepository(tmp_path / "shallow") as opened:
        assert opened.shallow
        assert opened.count() == 2
        found = list(opened.history())
    assert [step.commit.sha for step in found] == [second, third]
    assert found[0].commit.parents_missing
    assert len(found[0].commit.parents) == 1
    assert files(found[0]) == {"a.md": "added", "b.md": "added"}
    assert not found[1].commit.parents_missing


def test_symbolic_links_and_submodules_are_changes_but_no_documents(
    repository: Repository, tmp_path: Path
) -> None:
    inner = Repository(tmp_path / "inner")
    inner.commit(a="x")
    repository.commit(real="x")
    (repository.folder / "link.md").symlink_to("real.md")
    repository.git("submodule", "--quiet", "add", str(inner.folder), "part.md")
    repository.commit()
    found = steps(repository)
    changed = {one.path: one for one in found[1].commit.files}
    assert changed["link.md"].new_mode == "120000"
    assert changed["part.md"].new_mode == "160000"
    assert changed["part.md"].new_blob == inner.git("rev-parse", "HEAD")
    assert changed["part.md"].lines_added is None
    assert documents(found[1]) == []
    (repository.folder / "real.md").unlink()
    (repository.folder / "real.md").symlink_to("link.md")
    repository.commit()
    assert files(steps(repository)[2]) == {"real.md": "type_changed"}
    assert documents(steps(repository)[0]) == []


def test_modes_and_binary_content_are_said(repository: Repository) -> None:
    repository.write("raw", bytes(range(256)))
    script = repository.write("run.md", "#!/bin/sh\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    repository.write("empty.MD", "")
    repository.commit()
    [step] = steps(repository)
    changed = {one.path: one for one in step.commit.files}
    assert (changed["raw"].lines_added, changed["raw"].lines_deleted) == (None, None)
    assert changed["run.md"].new_mode == "100755"
    assert changed["run.md"].old_mode is None
    assert changed["run.md"].old_blob is None
    assert changed["empty.MD"].lines_added == 0
    assert documents(step) == ["empty.MD", "run.md"]
    assert {one.path: one.blob for one in step.documents}["empty.MD"] == EMPTY_BLOB


def test_paths_of_any_bytes_are_spelled_and_spelled_back(repository: Repository) -> None:
    odd = [b"caf\xe9.md", b'say "x".md', b"tab\tand\nline.md", "日本/å.md".encode(), b"-x.md"]
    for path in odd:
        repository.write(path, "x")
    repository.commit()
    [step] = steps(repository)
    assert sorted(path_bytes(one.path) for one in step.documents) == sorted(odd)
    assert '"caf\\351.md"' in documents(step)
    assert "日本/å.md" in documents(step)
    assert [path_bytes(one) for one in documents(step)] == sorted(odd)


@pytest.mark.parametrize(
    ("headers", "message", "expected", "lossy"),
    [
        (b"encoding ISO-8859-1\n", b"caf\xe9\n", "café\n", False),
        (b"", b"caf\xe9\n", "caf�\n", True),
        (b"encoding unicode_escape\n", b"\\x41\xe9\n", "\\x41�\n", True),
        (b"encoding ascii\n", b"caf\xe9\n", "caf�\n", True),
        (b"", b"a\0b\n", "a�b\n", True),
        (b"gpgsig -----BEGIN\n tree 0\n \n -----END\n", b"signed\n", "signed\n", False),
        (b"", b"", "", False),
    ],
    ids=["declared", "undeclared", "no codec", "wrong", "nul", "signed", "no message"],
)
def test_messages_of_any_bytes_are_text(
    repository: Repository, headers: bytes, message: bytes, expected: str, lossy: bool
) -> None:
    repository.commit(a="x")
    person = b"Ada <ada@example.com> 1769947200 +0100\n"
    sha = repository.raw_commit(b"author " + person + b"committer " + person + headers, message)
    commit = steps(repository)[-1].commit
    assert (commit.sha, commit.message, commit.lossy) == (sha, expected, lossy)
    assert commit.author.name == "Ada"


@pytest.mark.parametrize(
    ("person", "name", "email", "time", "offset"),
    [
        (b"A <a@b> 0 +0000", "A", "a@b", "1970-01-01T00:00:00Z", "+00:00"),
        (b"A <a@b> -62135596800 -1130", "A", "a@b", "0001-01-01T00:00:00Z", "-11:30"),
        (b"A <a@b> -62135596801 +0000", "A", "a@b", None, None),
        (b"A <a@b> 999999999999999 +0000", "A", "a@b", None, None),
        (b"A <a@b> 1 +9999", "A", "a@b", "1970-01-01T00:00:01Z", None),
        (b"A <a@b> 1", "A", "a@b", "1970-01-01T00:00:01Z", None),
        (b"A <a@b> soon", "A", "a@b", None, None),
        (b"<a@b> 1 +0000", "", "a@b", "1970-01-01T00:00:01Z", "+00:00"),
        (b"nobody", "nobody", "", None, None),
        (b"", "", "", None, None),
    ],
)
def test_who_and_when_are_read_as_far_as_they_make_sense(
    person: bytes, name: str, email: str, time: str | None, offset: str | None
) -> None:
    read = parse_commit(b"tree 0\nauthor " + person + b"\n\nx").author
    assert (read.name, read.email, read.time, read.offset) == (name, email, time, offset)


def test_a_commit_needs_a_tree() -> None:
    with pytest.raises(Damaged, match="names no tree"):
        parse_commit(b"author A <a@b> 0 +0000\n\nx")
    assert parse_commit(b"tree 0").author.name == ""


def test_a_long_message_is_cut_and_said_to_be(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.git_repository.MAX_COMMIT_BYTES", 500)
    repository.commit(a="x")
    repository.commit("y" * 1_000)
    short, long = steps(repository)
    assert not short.commit.message_cut
    assert long.commit.message_cut
    assert long.commit.message.startswith("yyy")


def test_a_repository_with_sha256_is_read(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository", "--object-format=sha256")
    sha = repository.commit(a="x")
    with GitRepository(repository.folder) as opened:
        assert opened.object_format == "sha256"
        assert [step.commit.sha for step in opened.history()] == [sha]
    assert len(sha) == 64


def test_a_bare_repository_a_worktree_and_a_folder_inside_are_read(
    repository: Repository, tmp_path: Path
) -> None:
    sha = repository.commit(a="x")
    repository.git("branch", "other")
    repository.git("worktree", "add", "--quiet", str(tmp_path / "tree"), "other")
    repository.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare"))
    repository.write("inside/x", "")
    for place in (tmp_path / "tree", tmp_path / "bare", repository.folder / "inside"):
        with GitRepository(place) as opened:
            assert [step.commit.sha for step in opened.history()] == [sha]


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (["absent"], "git-not-a-repository"),
        (["plain"], "git-not-a-repository"),
        (["empty"], "git-empty"),
        (["broken"], "git-failed"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_place_without_commits_is_one_clear_problem(
    tmp_path: Path, made: list[str], code: str
) -> None:
    (tmp_path / "plain").mkdir()
    Repository(tmp_path / "empty")
    broken = Repository(tmp_path / "broken")
    broken.git("update-ref", "refs/heads/main", broken.commit(a="x"))
    head = broken.git("rev-parse", "HEAD")
    (broken.folder / ".git/objects" / head[:2] / head[2:]).unlink()
    with pytest.raises(DeedbookError) as caught:
        GitRepository(tmp_path / made[0])
    assert caught.value.code == code
    assert made[0] in caught.value.detail


def test_a_machine_without_git_is_said(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    repository.commit(a="x")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable) as caught:
        GitRepository(repository.folder)
    assert caught.value.code == "git-missing"
    program = tmp_path / "git"
    program.write_text("no program")
    program.chmod(0o755)
    with pytest.raises(Unavailable, match="cannot be started"):
        GitRepository(repository.folder)


def test_contents_have_a_limit_and_a_missing_one_is_named(repository: Repository) -> None:
    repository.commit(a="0123456789", b="later")
    blob = repository.git("rev-parse", "HEAD:a.md")
    with GitRepository(repository.folder) as opened:
        with pytest.raises(TooLarge) as caught:
            opened.content(blob, limit=9)
        assert caught.value.code == "git-blob-too-large"
        assert opened.content(blob, limit=10) == b"0123456789"
        with pytest.raises(NotFound) as missing:
            opened.content("0" * 40)
        assert missing.value.code == "git-blob-missing"
        assert opened.content(repository.git("rev-parse", "HEAD:b.md")) == b"later"


def test_a_damaged_repository_is_said_with_what_git_says(repository: Repository) -> None:
    repository.commit(a="x")
    tree = repository.git("rev-parse", "HEAD^{tree}")
    (repository.folder / ".git/objects" / tree[:2] / tree[2:]).unlink()
    with GitRepository(repository.folder) as opened:
        with pytest.raises(Damaged, match="git fsck"):
            list(opened.documents())
        with pytest.raises(Damaged) as caught:
            list(opened.history())
    assert caught.value.code == "git-failed"


def test_a_missing_parent_is_said(repository: Repository) -> None:
    first = repository.commit(a="x")
    repository.commit(a="y")
    (repository.folder / ".git/objects" / first[:2] / first[2:]).unlink()
    with GitRepository(repository.folder) as opened:
        with pytest.raises(Damaged, match="git rev-list failed"):
            opened.count()
        with pytest.raises(Damaged):
            list(opened.history())


def test_reading_may_stop_in_the_middle(repository: Repository) -> None:
    for n in range(5):
        repository.commit(a=str(n))
    with GitRepository(repository.folder) as opened:
        for step in opened.history():
            assert step.number == 1
            break
        assert opened.content(repository.git("rev-parse", "HEAD:a.md")) == b"4"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://user:secret@example.com/a/b.git?x=1#y", "https://example.com/a/b.git"),
        ("https://example.com/a/b.git", "https://example.com/a/b.git"),
        ("https://us@er:p/w@example.com/a", None),
        ("https://user:1/word@example.com/a", None),
        ("https://[::1]:8443/a", "https://[::1]:8443/a"),
        ("https://example.com/a?x=u@v", "https://example.com/a"),
        ("git@example.com:/srv/a.git", None),
        ("https:secret@example.com/a", None),
        ("ssh://git@example.com:22/a", "ssh://example.com:22/a"),
        ("git@example.com:a/b.git", "ssh://example.com/a/b.git"),
        ("/srv/git/a.git", None),
        ("file:///srv/git/a.git", None),
        ("C:\\git\\a", None),
        ("../a", None),
        ("https://example.com/a\x1b[31m", None),
        ("ext::sh -c touch% x", None),
    ],
)
def test_the_origin_is_told_without_secrets(
    repository: Repository, address: str, expected: str | None
) -> None:
    repository.commit(a="x")
    repository.git("config", "remote.origin.url", address)
    with GitRepository(repository.folder) as opened:
        assert opened.origin() == expected


def test_without_a_remote_there_is_no_origin(repository: Repository) -> None:
    repository.commit(a="x")
    with GitRepository(repository.folder) as opened:
        assert opened.origin() is None


def test_nothing_that_a_repository_names_is_run(repository: Repository, tmp_path: Path) -> None:
    """Configuration, attributes and hooks of a hostile repository."""
    repository.write(".gitattributes", "*.md diff=evil filter=evil\n")
    repository.commit(a="one\n")
    repository.commit(a="two\n")
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    trap.chmod(0o755)
    for name in (
        "core.fsmonitor",
        "core.pager",
        "core.editor",
        "core.sshCommand",
        "core.alternateRefsCommand",
        "core.askPass",
        "diff.external",
        "diff.evil.command",
        "diff.evil.textconv",
        "filter.evil.smudge",
        "filter.evil.clean",
        "filter.evil.process",
        "gpg.program",
        "credential.helper",
        "alias.rev-list",
        "remote.origin.uploadpack",
        "uploadpack.packObjectsHook",
    ):
        repository.git("config", name, str(trap))
    repository.git("config", "remote.origin.url", f"ext::{trap}")
    repository.git("config", "remote.origin.promisor", "true")
    repository.git("config", "extensions.partialClone", "origin")
    repository.git("config", "log.showSignature", "true")
    hooks = repository.folder / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-index-change", "reference-transaction", "fsmonitor-watchman"):
        (hooks / name).write_text(trap.read_text())
        (hooks / name).chmod(0o755)
    (repository.folder / ".git/info/attributes").write_text("*.md diff=evil\n")
    before = steps(repository)
    assert [one.commit.files[-1].path for one in before] == ["a.md", "a.md"]
    with GitRepository(repository.folder) as opened, pytest.raises(NotFound):
        opened.content("1" * 40)  # a promised object: nobody is asked for it
    assert not (tmp_path / "sprung").exists()


def test_settings_of_person_and_machine_change_nothing(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit(old="text\n" * 30)
    repository.git("mv", "old.md", "new.md")
    repository.commit("Grüße")
    expected = steps(repository)
    config = tmp_path / "config"
    config.write_text(
        "[diff]\n\trenames = copies\n\tnoprefix = true\n\torderFile = /nowhere\n"
        "[core]\n\tquotePath = true\n\tabbrev = 4\n[log]\n\tdate = iso\n"
        "[i18n]\n\tlogOutputEncoding = latin1\n[color]\n\tui = always\n"
    )
    for name, value in {
        "GIT_CONFIG_GLOBAL": str(config),
        "GIT_DIR": str(tmp_path / "elsewhere"),
        "GIT_EXTERNAL_DIFF": "false",
        "GIT_TRACE": "1",
        "LC_ALL": "de_DE.UTF-8",
        "GIT_DIFF_OPTS": "-u0",
    }.items():
        monkeypatch.setenv(name, value)
    with GitRepository(repository.folder) as opened:
        assert list(opened.history()) == expected
    text = config.read_text()
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.delenv("GIT_DIR")
    with (repository.folder / ".git/config").open("a") as opened_config:
        opened_config.write(text)
    assert steps(repository) == expected


def script(tmp_path: Path, text: str) -> GitProcess:
    """A program that takes git's place."""
    program = tmp_path / "fake"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    return GitProcess([str(program), "rev-list"], None, {"PATH": os.defpath})


def test_a_git_that_does_not_answer_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.git_process.ANSWER_SECONDS", 0.05)
    monkeypatch.setattr("adapters.git_process.STOP_SECONDS", 0.05)
    with script(tmp_path, "exec sleep 60") as process, pytest.raises(Unavailable) as caught:
        process.until(b"\n")
    assert caught.value.code == "git-timeout"
    with (
        script(tmp_path, "exec 1>&-; exec sleep 60") as process,
        pytest.raises(Unavailable, match="gave no answer"),
    ):
        assert process.rest() == b""
        process.finish()
    with script(tmp_path, "trap '' TERM; exec sleep 60") as process:
        pass
    assert process.status == -9


def test_a_git_that_answers_nonsense_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.git_process.MAX_RECORD_BYTES", 1_000)
    monkeypatch.setattr("adapters.git_process.MAX_OUTPUT_BYTES", 1_000)
    with (
        script(tmp_path, "yes | tr -d '\\n'") as process,
        pytest.raises(Damaged, match="without end"),
    ):
        process.until(b"\n")
    with script(tmp_path, "yes") as process, pytest.raises(Damaged, match="more than was asked"):
        process.rest()
    with (
        script(tmp_path, "printf half; echo why >&2") as process,
        pytest.raises(Damaged, match="failed: why"),
    ):
        process.until(b"\n")
    with script(tmp_path, "printf half") as process, pytest.raises(Damaged, match="no reason"):
        process.take(5)
    with script(tmp_path, "exit 0") as process:
        assert process.until(b"\n") == b""
        process.finish()
    with script(tmp_path, "exit 3") as process, pytest.raises(Damaged):
        process.finish()


def test_a_git_that_has_ended_takes_no_question(tmp_path: Path) -> None:
    with script(tmp_path, "echo gone >&2") as process:
        assert process.peek() == b""
        process._process.wait(20)
        with pytest.raises(Damaged, match="failed: gone"):
            process.ask(b"x")


def test_a_git_that_ends_under_way_is_said(repository: Repository) -> None:
    repository.commit(a="x")
    with GitRepository(repository.folder) as opened:
        assert opened.content(repository.git("rev-parse", "HEAD:a.md")) == b"x"
        assert opened._objects is not None
        opened._objects._process.kill()
        opened._objects._process.wait(20)
        with pytest.raises(Damaged, match="git cat-file failed"):
            opened.content(EMPTY_BLOB)


def test_a_git_that_does_not_answer_a_question_is_said(
    repository: Repository, tmp_path: Path
) -> None:
    repository.commit(a="x")
    with GitRepository(repository.folder) as opened:
        opened._objects = script(tmp_path, "read line; echo")
        with pytest.raises(Damaged, match="no reason"):
            opened.content(EMPTY_BLOB)


def test_an_old_git_that_minds_the_owner_is_told_apart(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "git"
    program.write_text("#!/bin/sh\necho 'fatal: detected dubious ownership' >&2; exit 128\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Damaged, match="another user owns"):
        GitRepository(repository.folder)


def test_what_git_complains_is_one_short_line(tmp_path: Path) -> None:
    with script(tmp_path, "printf 'a\\033[31m\\n\\tb %0500d.' 0 >&2; exit 1") as process:
        said = process.failure().detail
    assert "\x1b" not in said
    assert "\n" not in said
    assert len(said) < 450


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b":100644 100644 a b R100\\000x\\000!\\n", "diff-tree wrote"),
        (b":1 2 3 M\\000x\\000!\\n", "diff-tree wrote"),
        (b"?\\n", "failed"),
        (b"", "no reason"),
    ],
)
def test_output_that_diff_tree_does_not_have_is_refused(
    tmp_path: Path, answer: bytes, said: str
) -> None:
    with (
        script(tmp_path, f"read a; read b; printf '{answer.decode()}'") as fake,
        pytest.raises(Damaged, match=said),
    ):
        _diff(fake, "0" * 40, [])


def test_git_is_found_once_for_a_repository() -> None:
    status, output, _ = Git().answer("rev-parse", "--show-object-format", "--is-inside-work-tree")
    assert status in {0, 128}
    assert b"\0" not in output
