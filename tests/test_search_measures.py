"""The numbers by which searches are judged, and the sets that they are judged on."""

import math
from pathlib import Path

import pytest

from bench.search_measures import chance, ndcg, recall, right_first
from bench.search_sets import IDENTIFIER, folders, read_set


def test_a_gain_is_discounted_by_its_rank() -> None:
    assert ndcg(["a"], {"a": 1}) == 1.0
    assert ndcg(["x", "a"], {"a": 1}) == 1 / math.log2(3)
    assert ndcg([*"xxxxxxxxxx", "a"], {"a": 1}) == 0.0


def test_a_higher_grade_gains_more_than_twice() -> None:
    grades = {"a": 2, "b": 1, "c": 0}
    best = 3 + 1 / math.log2(3)
    assert ndcg(["a", "b"], grades) == 1.0
    assert math.isclose(ndcg(["b", "a"], grades), (1 + 3 / math.log2(3)) / best)
    assert math.isclose(ndcg(["c", "x", "a"], grades), (3 / 2) / best)


def test_what_could_not_be_found_is_not_missed() -> None:
    many = {str(one): 1 for one in range(20)}
    assert recall([str(one) for one in range(10)], many) == 1.0
    assert recall(["a", "x"], {"a": 1, "b": 2, "c": 0}) == 0.5
    assert recall(["c"], {"c": 0}) == ndcg(["c"], {"c": 0}) == 0.0


def test_the_first_document_is_right_or_not() -> None:
    assert right_first([["a", "b"], ["b", "a"], []], [{"a": 1}] * 3) == 1 / 3


def test_a_difference_that_always_points_one_way_is_no_chance() -> None:
    assert chance([1.0] * 20, [0.5] * 20, rounds=2_000) < 0.001
    assert chance([0.5] * 20, [1.0] * 20, rounds=2_000) < 0.001
    assert chance([0.7] * 20, [0.7] * 20, rounds=500) == 1.0
    assert chance([1.0, 0.0] * 10, [0.0, 1.0] * 10, rounds=500) == 1.0


def test_the_probability_is_that_of_all_changes_of_places() -> None:
    # Of the 16 ways to change places, the 2 at the ends are as far out as what was seen.
    assert math.isclose(chance([1.0] * 4, [0.0] * 4), 2 / 16, abs_tol=0.01)
    assert chance([1.0] * 4, [0.0] * 4, rounds=500, seed=7) == chance(
        [1.0] * 4, [0.0] * 4, rounds=500, seed=7
    )


def test_a_set_is_read_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "docs.jsonl").write_text('{"id": "d", "title": "T", "text": "x"}\n')
    (tmp_path / "queries.jsonl").write_text('{"id": "q", "text": "y"}\n')
    (tmp_path / "qrels.tsv").write_text("query\tdoc\tgrade\nq\td\t2\n")
    found = read_set(tmp_path)
    assert (found.documents[0].title, found.queries[0].text) == ("T", "y")
    assert found.grades == {"q": {"d": 2}}
    (tmp_path / "qrels.tsv").write_text("query\tdoc\tgrade\nq\tother\t2\n")
    with pytest.raises(ValueError, match="other is not in the set"):
        read_set(tmp_path)


@pytest.mark.skipif(
    not folders(),
    reason="the search sets are not here: no folder shared/data/search beside it or above",
)
def test_every_query_of_the_sets_has_an_answer() -> None:
    sets = [read_set(folder) for folder in folders()]
    assert {one.name: len(one.documents) for one in sets} == {"eips": 466, "powershell-docs": 366}
    for one in sets:
        assert all(any(one.grades[query.id].values()) for query in one.queries)
    assert sum(query.kind == IDENTIFIER for one in sets for query in one.queries) == 40
