"""What lies between two commits of a real repository: commits, manifest and patch."""

import subprocess
from pathlib import Path

import pytest

from adapters import git_repository
from adapters.git_repository import GitRepository
from app.remote.patchsets import read_range
from domain.errors import NotFound, TooLarge
from domain.patchset import path_bytes, read_patchset
from tests.git_samples import Repository


@pytest.fixture
def work(tmp_path: Path) -> Repository:
    repository = Repository(tmp_path / "work")
    repository.commit(message="First", one="1\n")
    return repository


def applied(repository: Repository, base: str, patch: bytes) -> str:
    """The tree that the patch makes of a commit."""
    repository.git("switch", "--quiet", "--detach", base)
    repository.git("apply", "--index", given=patch)
    tree = repository.git("write-tree")
    repository.git("reset", "--quiet", "--hard")
    return tree


def test_a_patch_makes_the_head_from_the_base_whatever_the_settings_are(work: Repository) -> None:
    base = work.git("rev-parse", "HEAD")
    work.write("bin", bytes(range(256)) * 40)
    work.write(b'odd \xff\n".txt', "x\n\n\ny")
    (work.folder / "link").symlink_to("one.md")
    work.commit(message="Odd things")
    work.write("one.md", "1\n\n2\n")
    (work.folder / "bin").chmod(0o755)
    head = work.commit(message="More")
    for name, value in (
        ("diff.noprefix", "true"),
        ("diff.mnemonicPrefix", "true"),
        ("diff.external", "false"),
        ("diff.suppressBlankEmpty", "true"),
        ("diff.renames", "copies"),
        ("diff.context", "0"),
        ("color.ui", "always"),
        ("core.abbrev", "4"),
        ("diff.orderFile", "one.md"),
    ):
        work.git("config", name, value)
    work.write(".gitattributes", "*.md diff=evil -text\nbin text diff\n")
    found = read_range(work.folder, base, head)
    tree = work.git("rev-parse", f"{head}^{{tree}}")
    assert found.patch is not None
    assert b"\x1b[" not in found.patch
    for name in ("diff.noprefix", "diff.external", "color.ui"):
        work.git("config", "--unset", name)
    work.remove(".gitattributes")
    assert applied(work, base, found.patch) == tree
    patchset = read_patchset(found.document)
    assert [commit.message for commit in patchset.commits] == ["Odd things\n", "More\n"]
    assert (patchset.base, patchset.head) == (base, head)
    paths = [path_bytes(change.path) for change in patchset.diff_manifest]
    assert paths == [b"bin", b"link", b'odd \xff\n".txt', b"one.md"]
    assert [change.lines_added for change in patchset.diff_manifest] == [None, 1, 4, 2]


def test_the_manifest_is_of_the_whole_and_not_of_each_commit(work: Repository) -> None:
    base = work.git("rev-parse", "HEAD")
    work.commit(two="2\n", three="3\n")
    work.remove("two.md")
    work.write("three.md", "3\n4\n")
    head = work.commit()
    found = read_patchset(read_range(work.folder, base, "HEAD").document)
    assert [(one.path, one.change, one.lines_added) for one in found.diff_manifest] == [
        ("three.md", "added", 2)
    ]
    assert len(found.commits) == 2
    assert found.head == head


def test_a_merge_stands_among_its_commits_parents_first(work: Repository) -> None:
    base = work.git("rev-parse", "HEAD")
    work.branch("topic")
    topic = work.commit(topic="t")
    work.switch("main")
    trunk = work.commit(trunk="m")
    merge = work.merge("topic")
    found = read_patchset(read_range(work.folder, base, merge).document)
    shas = [commit.sha for commit in found.commits]
    assert set(shas) == {topic, trunk, merge}
    assert shas[-1] == merge
    assert found.commits[-1].parents == (trunk, topic)
    assert [change.path for change in found.diff_manifest] == ["topic.md", "trunk.md"]


def test_equal_ranges_give_equal_bytes_from_another_clone(work: Repository, tmp_path: Path) -> None:
    base = work.git("rev-parse", "HEAD")
    head = work.commit(two="2")
    subprocess.run(
        ["git", "clone", "--quiet", "--bare", str(work.folder), str(tmp_path / "bare")],
        check=True,
        timeout=60,
        capture_output=True,
    )
    one, other = (read_range(folder, base, head) for folder in (work.folder, tmp_path / "bare"))
    assert (one.document, one.patch) == (other.document, other.patch)


def test_what_is_not_there_is_named(work: Repository) -> None:
    with pytest.raises(NotFound, match="'no-branch' names no commit"):
        read_range(work.folder, "no-branch", "HEAD")
    for revision in ("--all", "HEAD^{tree}", "", "a\nb", "HEAD\0", "x" * 10_000):
        with pytest.raises(NotFound):
            read_range(work.folder, revision, "HEAD")
    with pytest.raises(NotFound, match="HEAD has every commit of HEAD"):
        read_range(work.folder, "HEAD", "HEAD")
    work.git("checkout", "--quiet", "--orphan", "other")
    work.commit(other="o")
    with pytest.raises(NotFound, match="no common ancestor"):
        read_range(work.folder, "main", "other")


def test_what_is_too_large_is_refused_with_what_to_do(
    work: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = work.git("rev-parse", "HEAD")
    work.commit(two="2\n" * 1_000)
    work.commit(three="3\n" * 1_000)
    with pytest.raises(TooLarge, match="--no-patch"):
        read_range(work.folder, base, "HEAD", limit=4_000)
    assert read_range(work.folder, base, "HEAD", with_patch=False, limit=4_000).patch is None
    with pytest.raises(TooLarge, match="manifest"):
        read_range(work.folder, base, "HEAD", with_patch=False, limit=100)
    monkeypatch.setattr(git_repository, "MAX_RANGE_COMMITS", 1)
    with pytest.raises(TooLarge, match="record it in parts"):
        read_range(work.folder, base, "HEAD")
    monkeypatch.setattr(git_repository, "MAX_RANGE_COMMITS", 10)
    monkeypatch.setattr(git_repository, "MAX_RANGE_CHARACTERS", 10)
    with pytest.raises(TooLarge):
        read_range(work.folder, base, "HEAD")


def test_in_a_shallow_clone_it_is_said_what_to_fetch(work: Repository, tmp_path: Path) -> None:
    work.commit(two="2")
    work.commit(three="3")
    clone = ["git", "clone", "--quiet", "--depth", "1", f"file://{work.folder}", "shallow"]
    subprocess.run(clone, cwd=tmp_path, check=True, timeout=60, capture_output=True)
    with pytest.raises(NotFound, match="The clone is shallow"):
        read_range(tmp_path / "shallow", work.git("rev-parse", "HEAD~2"), "HEAD")


def test_submodules_are_named_by_their_commit(work: Repository, tmp_path: Path) -> None:
    inner = Repository(tmp_path / "inner")
    sha = inner.commit(inside="i")
    base = work.git("rev-parse", "HEAD")
    work.git("update-index", "--add", "--cacheinfo", f"160000,{sha},sub")
    work.git("commit", "--quiet", "-m", "A submodule")
    with GitRepository(work.folder) as repository:
        found = repository.between(base, repository.head)
    [change] = found.files
    assert (change.path, change.new_mode, change.new_blob) == ("sub", "160000", sha)
