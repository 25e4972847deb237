"""How good a ranking is, and whether one method is better than another by more than chance.

Rankings hold ids of documents, the best first, each once. Grades are 0 for what is not relevant.
"""

import math
import random
import statistics
from collections.abc import Mapping, Sequence

DEPTH = 10


def ndcg(ranking: Sequence[str], grades: Mapping[str, int], depth: int = DEPTH) -> float:
    """Normalised discounted cumulative gain: gain 2^grade - 1, discount log2(rank + 1).

    Burges et al., Learning to Rank using Gradient Descent (2005). 0 when nothing is relevant.
    """
    best = _gain(sorted(grades.values(), reverse=True)[:depth])
    return _gain([grades.get(one, 0) for one in ranking[:depth]]) / best if best else 0.0


def recall(ranking: Sequence[str], grades: Mapping[str, int], depth: int = DEPTH) -> float:
    """The share of the relevant documents that is found, of as many as could be.

    0 when nothing is relevant.
    """
    relevant = {one for one, grade in grades.items() if grade > 0}
    could = min(depth, len(relevant))
    return len(relevant.intersection(ranking[:depth])) / could if could else 0.0


def right_first(rankings: Sequence[Sequence[str]], grades: Sequence[Mapping[str, int]]) -> float:
    """The share of queries whose first document is relevant."""
    pairs = list(zip(rankings, grades, strict=True))
    return sum(bool(found) and known.get(found[0], 0) > 0 for found, known in pairs) / len(pairs)


def chance(
    ours: Sequence[float], theirs: Sequence[float], rounds: int = 10_000, seed: int = 1
) -> float:
    """How probable so large a difference of means is if the two methods are equal, in 0 to 1.

    The paired randomisation test, two-sided: in each round every query's two values change places or not.
    Smucker, Allan and Carterette, A Comparison of Statistical Significance Tests for Information Retrieval
    Evaluation (2007).

    Args:
        ours: A value for each query.
        theirs: The other method's, in the same order.
        rounds: How many.
        seed: The same one gives the same answer.
    """
    differences = [one - other for one, other in zip(ours, theirs, strict=True)]
    seen = abs(statistics.fmean(differences)) - 1e-12
    drawn = random.Random(seed)
    as_large = 0
    for _ in range(rounds):
        signs = drawn.getrandbits(len(differences))
        total = sum(one if signs >> at & 1 else -one for at, one in enumerate(differences))
        as_large += abs(total) / len(differences) >= seen
    return (as_large + 1) / (rounds + 1)


def _gain(grades: Sequence[int]) -> float:
    return sum((2.0**grade - 1) / math.log2(rank + 1) for rank, grade in enumerate(grades, start=1))
