"""Stand-ins for the service's hosted models: bags of words, the same in every process."""

import hashlib
import re
from collections import Counter

_WORD = re.compile(r"\w+")


def _number(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest(), "big") >> 1


def _words(text: str) -> Counter[str]:
    return Counter(_WORD.findall(text.lower()))


def dense(text: str, dimension: int) -> list[float]:
    """Texts with words in common have a smaller angle between them."""
    vector = [0.0] * dimension
    for word, times in _words(text).items():
        for place in range(3):
            number = _number(f"{place} {word}")
            vector[number % dimension] += times * (1.0 if number & 1024 else 0.5)
    return vector


def sparse(text: str) -> dict[int, float]:
    """The service's BM25 weights, without its stems: k1 1.2, b 0.75, mean length 32."""
    words = _words(text)
    length = words.total()
    return {
        _number(word): times * 2.2 / (times + 1.2 * (0.25 + 0.75 * length / 32.0))
        for word, times in words.items()
    }
