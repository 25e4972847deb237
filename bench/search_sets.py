"""Labelled search sets: documents, queries, and which documents answer them.

A set is a folder with `docs.jsonl` (id, title, text), `queries.jsonl` (id, text, kind) and `qrels.tsv` (a
header, then query, document and grade). They are no part of this repository: they lie in `shared/data/search`
beside it or above, or below the folder that DEEDBOOK_TEST_SHARED_DATA names.
"""

import os
from pathlib import Path

import msgspec

IDENTIFIER = "identifier"
"""The kind of a query that is a document's own name; it is reported apart."""

_ROOT = Path(__file__).parent.parent


class Document(msgspec.Struct, frozen=True):
    id: str
    title: str
    text: str


class Query(msgspec.Struct, frozen=True):
    id: str
    text: str
    kind: str = "sentence"


class SearchSet(msgspec.Struct, frozen=True):
    """A set as it was read.

    Attributes:
        name: Of its folder.
        grades: By query, then by document; what is not in it is not relevant.
    """

    name: str
    documents: tuple[Document, ...]
    queries: tuple[Query, ...]
    grades: dict[str, dict[str, int]]


def folders() -> list[Path]:
    """The folders of the sets that are here, by name."""
    named = os.environ.get("DEEDBOOK_TEST_SHARED_DATA")
    above = [Path(named)] if named else [one / "shared" / "data" for one in _ROOT.parents]
    found = next((one / "search" for one in above if (one / "search").is_dir()), None)
    return [] if found is None else sorted(one.parent for one in found.glob("*/qrels.tsv"))


def read_set(folder: Path) -> SearchSet:
    """Read a set.

    Raises:
        ValueError: A line is not what it should be, or a grade names what the set does not hold.
    """
    documents = msgspec.json.Decoder(Document).decode_lines((folder / "docs.jsonl").read_bytes())
    queries = msgspec.json.Decoder(Query).decode_lines((folder / "queries.jsonl").read_bytes())
    ids = {one.id for one in documents}
    grades: dict[str, dict[str, int]] = {one.id: {} for one in queries}
    for line in (folder / "qrels.tsv").read_text("utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")
        if query not in grades or document not in ids:
            raise ValueError(f"{folder.name}: {query} or {document} is not in the set")
        grades[query][document] = int(grade)
    return SearchSet(folder.name, tuple(documents), tuple(queries), grades)
