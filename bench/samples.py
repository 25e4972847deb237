"""Documents that look like real ones, the same in every run."""

import random
from collections.abc import Iterator

from app.door import EventInput
from bench.ground import Ground

WORDS = [
    "the",
    "of",
    "and",
    "to",
    "in",
    "is",
    "that",
    "for",
    "it",
    "as",
    "with",
    "on",
    "by",
    "this",
    "be",
    "are",
    "from",
    "or",
    "an",
    "at",
    "which",
    "not",
    "have",
    "has",
    "service",
    "event",
    "ledger",
    "project",
    "version",
    "position",
    "export",
    "append",
    "writer",
    "reader",
    "deployment",
    "approval",
    "artifact",
    "migration",
    "database",
    "schema",
    "contract",
    "latency",
    "budget",
    "failure",
    "retry",
    "timeout",
    "queue",
    "customer",
    "operator",
    "auditor",
    "review",
    "decision",
    "consequence",
    "alternative",
    "requirement",
    "constraint",
    "security",
    "token",
    "scope",
    "identity",
    "network",
    "replica",
    "index",
    "backup",
    "restore",
    "incident",
    "rollout",
]
BATCH = 100


def documents(count: int, low: int, high: int, seed: int = 1) -> Iterator[bytes]:
    """Markdown with headings, paragraphs, lists, code and a table; between two sizes in bytes."""
    chosen = random.Random(seed)
    for number in range(count):
        size = chosen.randrange(low, high)
        parts = [f"# ADR {number}: {_sentence(chosen)}\n"]
        length = len(parts[0])
        while length < size:
            parts.append(_block(chosen))
            length += len(parts[-1])
        yield "".join(parts).encode()[:size]


def fill(ground: Ground, project: str, contents: Iterator[bytes]) -> int:
    """A new project with a document for each content; answers its position."""
    ground.ledger.create_project(project, title=project, actor="bench")
    batch: list[EventInput] = []
    for number, content in enumerate(contents):
        batch.append(
            EventInput(
                stream=f"artifact/ADR/{number:06}",
                type="ArtifactWritten",
                data={"media_type": "text/markdown", "title": f"Decision {number}"},
                content=content,
            )
        )
        if len(batch) == BATCH:
            ground.ledger.append(project, batch, actor="bench")
            batch = []
    if batch:
        ground.ledger.append(project, batch, actor="bench")
    return ground.ledger.position(project, None)


def _block(chosen: random.Random) -> str:
    match chosen.randrange(8):
        case 0:
            return f"\n## {_sentence(chosen)}\n"
        case 1:
            items = "".join(f"- {_sentence(chosen)}\n" for _ in range(chosen.randrange(2, 6)))
            return f"\n{items}"
        case 2:
            code = "\n".join("_".join(chosen.choices(WORDS, k=3)) + "()" for _ in range(4))
            return f"\n```python\n{code}\n```\n"
        case 3:
            rows = "".join(
                f"| {chosen.choice(WORDS)} | {chosen.randrange(10_000)} |\n" for _ in range(4)
            )
            return f"\n| what | count |\n|---|---|\n{rows}"
        case _:
            return "\n" + " ".join(_sentence(chosen) for _ in range(chosen.randrange(2, 6))) + "\n"


def _sentence(chosen: random.Random) -> str:
    words = chosen.choices(WORDS, k=chosen.randrange(6, 16))
    return " ".join(words).capitalize() + "."
