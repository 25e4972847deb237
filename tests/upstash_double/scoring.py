"""The service's published arithmetic: similarity, inverse document frequency, and how two lists become one."""

import math
import struct
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

Sparse = Mapping[int, float]
Ranked = list[tuple[str, float]]
RRF_K = 60


def single(value: float) -> float:
    """As a float of 32 bits, which is what the service computes in."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """(1 + cos) / 2."""
    lengths = math.hypot(*one) * math.hypot(*other)
    if lengths == 0.0:
        return 0.5
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return single((1.0 + product / lengths) / 2.0)


def inverse_frequency(count: int, having: int) -> float:
    """ln((N - n + 0.5) / (n + 0.5) + 1)."""
    return math.log((count - having + 0.5) / (having + 0.5) + 1.0)


def inner_product(query: Sparse, document: Sparse, weights: Sparse) -> float | None:
    """None where the two have nothing in common."""
    shared = query.keys() & document.keys()
    if not shared:
        return None
    return single(sum(query[one] * document[one] * weights.get(one, 1.0) for one in shared))


def fuse(lists: Sequence[Ranked], algorithm: str) -> Ranked:
    """One list of two; of one it is that one, unchanged."""
    if len(lists) == 1:
        return lists[0]
    scores: dict[str, float] = {}
    for ranked in lists:
        fused = _dbsf(ranked) if algorithm == "DBSF" else _rrf(ranked)
        for id_, score in fused:
            scores[id_] = scores.get(id_, 0.0) + score
    return ordered([(id_, single(score)) for id_, score in scores.items()])


def ordered(scores: Ranked) -> Ranked:
    """The best first; equals stay as they came."""
    return sorted(scores, key=lambda one: -one[1])


def _rrf(ranked: Ranked) -> Ranked:
    return [(id_, 1.0 / (RRF_K + rank)) for rank, (id_, _) in enumerate(ranked)]


def _dbsf(ranked: Ranked) -> Ranked:
    values = [score for _, score in ranked]
    spread = stdev(values) if len(values) > 1 else 0.0
    if spread == 0.0:
        return [(id_, 0.5) for id_, _ in ranked]
    low = fmean(values) - 3.0 * spread
    return [(id_, (score - low) / (6.0 * spread)) for id_, score in ranked]
