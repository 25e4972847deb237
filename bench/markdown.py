"""Markdown while it is written: what changed, rendered, against all of the text rendered again at each piece."""

import time
from collections.abc import Iterator

from bench.ground import Ground
from bench.measure import Figure, race, ratio
from projections.markdown.block import inline, to_html
from projections.markdown.parser import parse_blocks
from projections.markdown.renderer import MarkdownRenderer

CHARACTERS = 50_000
PIECE = 20
TIMED_SHARE = 25
"""Every so many-th piece is rendered again and timed; all of them take minutes."""
SECTION = """## Section {number}

Some **words** about `{number}`, with a [link](https://example.com/{number}) and *emphasis* in a paragraph that goes on for a while,
as paragraphs do, until it has said what it had to say, and then some more.

- one item with `code`
- another with **bold _and emphasis_**
  - and one below

| name | value |
|:-----|------:|
| a    | {number} |
| b    | 2 |

```python
def section_{number}(x: int) -> int:
    return x + {number}
```

> A quotation, [@source-{number}], and what follows from it.

"""


def measure(ground: Ground, rounds: int) -> Iterator[Figure]:  # noqa: ARG001 - needs no ledger
    """50 KB in pieces of 20 characters."""
    text = "".join(SECTION.format(number=number) for number in range(200))[:CHARACTERS]
    rates = race({"changes": lambda: _changes(text), "again": lambda: _again(text)}, rounds)
    yield ratio(
        f"{CHARACTERS // 1000} KB in pieces of {PIECE} characters, to rendering all of it each time",
        rates,
        "changes",
        "again",
        "characters/s",
        target=">= 20",
    )


def _changes(text: str) -> float:
    """Characters a second when only what changed is rendered, code with its marks."""
    began = time.perf_counter()
    renderer = MarkdownRenderer()
    for at in range(0, len(text), PIECE):
        renderer.append(text[at : at + PIECE])
    renderer.finish()
    return len(text) / (time.perf_counter() - began)


def _again(text: str) -> float:
    """Characters a second when all of it is rendered at each piece, in one go and without marks."""
    seconds = 0.0
    for end in range(PIECE * TIMED_SHARE, len(text) + 1, PIECE * TIMED_SHARE):
        began = time.perf_counter()
        references: dict[str, object] = {}
        tokens = [one for block in parse_blocks(text[:end], references) for one in block]
        inline(tokens, {"references": references, "known": None})
        to_html(tokens, settled=False)
        seconds += time.perf_counter() - began
    return len(text) / (seconds * TIMED_SHARE)
