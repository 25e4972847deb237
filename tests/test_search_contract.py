"""What search means, whoever answers: the index in Postgres, with a model and without, and hosted ones."""

from collections.abc import Iterator

import pytest

from domain.errors import Invalid
from tests.search_backends import BACKENDS, Searched, searched
from tests.upstash_double.server import UpstashDouble

pytest_plugins = ["tests.upstash_running"]


@pytest.fixture(params=BACKENDS)
def found(
    request: pytest.FixtureRequest, database_url: str, upstash: UpstashDouble
) -> Iterator[Searched]:
    with searched(request.param, database_url, upstash) as opened:
        yield opened


def test_what_was_written_is_found_by_its_words_the_best_first(found: Searched) -> None:
    found.write("retries", "# Client\n\nA failed upload is tried again, and the upload resumes.\n")
    found.write("colours", "# Design\n\nThe page is blue. An upload is shown in grey.\n")
    found.write("other", "# Kitchen\n\nChocolate cake.\n")
    found.index()
    assert found.keys("failed upload resumes", "lexical")[:2] == ["retries", "colours"]
    assert "other" not in found.keys("failed upload resumes", "lexical")
    assert found.keys("failed upload resumes")[0] == "retries"
    [best, *_] = found.ask("failed upload").hits
    assert (best.rank, best.kind, best.version, best.title) == (1, "PRD", 1, "Client")
    marked = [best.passage.snippet[first:stop] for first, stop in best.passage.marks]
    assert "upload" in marked


def test_an_answer_says_who_gave_it_and_how(found: Searched) -> None:
    found.write("main", "The zebra.\n")
    found.index()
    answer = found.ask("zebra")
    assert answer.backend == ("postgres" if found.name in {"words", "postgres"} else "upstash")
    words = found.name == "words"
    assert answer.mode == ("lexical" if words else "hybrid")
    assert answer.degraded is words
    assert answer.warnings == (("embedder-missing",) if words else ())
    assert (answer.indexed_position, answer.position) == (2, 2)
    if not words:
        assert found.ask("zebra", "semantic").mode == "semantic"
        assert found.keys("zebra", "semantic") == ["main"]


def test_only_the_newest_version_is_found_also_by_an_index_that_lags(found: Searched) -> None:
    found.write("main", "The zebra.\n")
    found.index()
    found.write("main", "The giraffe.\n")
    assert found.keys("zebra", "lexical") == []
    assert found.ask("zebra", "lexical").warnings == ("index-behind",)
    found.index()
    assert found.keys("giraffe", "lexical") == ["main"]
    assert found.keys("zebra", "lexical") == []
    assert found.ask("giraffe", "lexical").hits[0].version == 2


def test_a_shorter_version_leaves_nothing_of_the_longer_one(found: Searched) -> None:
    sections = "".join(f"# Part {number}\n\n{'word ' * 100}\n\n" for number in range(12))
    found.write("main", sections)
    found.index()
    assert {(one[0], one[2] >= 12) for held in found.held() for one in held} == {
        ("artifact/PRD/main", True)
    }
    found.write("main", "Short.\n")
    found.index()
    assert all(held == {("artifact/PRD/main", 3, 1)} for held in found.held())


def test_what_was_erased_is_never_shown_and_soon_nowhere(found: Searched) -> None:
    found.write("main", "The word is sesame.\n")
    found.index()
    erasures = found.ledger.erasures
    stream = "artifact/PRD/main"
    confirm = erasures.preview(found.project, stream).confirm or ""
    erasures.erase(found.project, stream, None, reason="leaked", confirm=confirm, actor="user:ada")
    assert found.keys("sesame", "lexical") == []
    assert found.keys("sesame") == []
    found.index()
    assert all(held == set() for held in found.held())


def test_another_projects_texts_are_never_found(found: Searched) -> None:
    other = f"{found.project}-b"
    found.ledger.create_project(other, title="Another", actor="user:ada")
    found.write("main", "The quokka.\n")
    found.write("theirs", "The quokka.\n", project=other)
    found.index()
    assert found.keys("quokka") == ["main"]
    assert [hit.key for hit in found.ask("quokka", project=other).hits] == ["theirs"]


def test_kinds_choose(found: Searched) -> None:
    found.write("main", "The zebra.\n")
    found.write("other", "The zebra.\n", kind="ADR")
    found.index()
    assert sorted(found.keys("zebra", "lexical")) == ["main", "other"]
    assert found.keys("zebra", "lexical", "ADR") == ["other"]
    assert found.keys("zebra", "lexical", "NOTE") == []


def test_an_identifier_alone_finds_what_is_called_so_first(found: Searched) -> None:
    found.write("chatter", "FR-014 and again FR-014, as FR-014 says: FR-014.\n")
    found.write("FR-014", "# Drafts\n\nAn author may leave and come back.\n")
    found.write("other", "# FR-015 Live view\n\nSee FR-014.\n")
    found.index()
    assert found.keys("FR-014")[0] == "FR-014"
    assert found.keys("fr-014", "lexical")[0] == "FR-014"
    assert found.keys("FR-015")[0] == "other"


def test_indexing_again_changes_nothing(found: Searched) -> None:
    found.write("one", "The zebra.\n")
    found.write("two", "The zebra crossing.\n")
    found.index()
    before = found.held()
    order = found.keys("zebra crossing")
    found.ledger.search.upkeep.reindex(found.project)
    found.index()
    assert found.held() == before
    assert found.keys("zebra crossing") == order


def test_reconciling_mends_what_is_missing_and_what_should_not_be_there(found: Searched) -> None:
    found.write("one", "The zebra.\n")
    found.write("two", "The zebra crossing.\n")
    found.index()
    upkeep = found.ledger.search.upkeep
    assert upkeep.reconcile(found.project).missing == 0
    good = found.held()
    for _, holding in upkeep.held:
        holding.drop(found.project, ["artifact/PRD/one"])
    mended = upkeep.reconcile(found.project)
    assert mended.missing == len(upkeep.held)
    found.index()
    assert found.held() == good
    again = upkeep.reconcile(found.project)
    assert (again.sources, again.missing, again.stale) == (2, 0, 0)


@pytest.mark.parametrize("text", ["", "  ", "the of", "a\0", "\x1b[31m", "\ud800", "x" * 2_001])
def test_a_bad_query_is_a_problem_whoever_answers(found: Searched, text: str) -> None:
    found.write("main", "The zebra.\n")
    found.index()
    with pytest.raises(Invalid):
        found.ask(text, "lexical")


@pytest.mark.parametrize(
    "text", ['"', "' OR '1'='1", "artifactKind = 'PRD'", "zebra') OR (1=1", "%_*?", "zebra\\"]
)
def test_what_looks_like_a_query_language_is_words(found: Searched, text: str) -> None:
    found.write("main", "The zebra.\n")
    found.index()
    try:
        answer = found.keys(text, "lexical")
    except Invalid:  # it has no word
        return
    assert answer == (["main"] if "zebra" in text else [])
