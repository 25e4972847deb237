"""The page inside every export that says how to check it by hand."""

_OPENING = """\
# A provenance export

These files were taken from a Deedbook ledger: an append-only log of what was done to deliver a
piece of software. Everything here follows from the events in `data/events.jsonl`, and the same
ledger gives the same bytes for the same position, whoever asks and whenever.

## Check it with the program

    deedbook verify THIS-EXPORT.zip

It needs no network and no server. It replays the events, makes every file again, compares the
bytes, and says what it could not establish. To hold the export against something you knew before,
add `--pin ROOT@SIZE` with a root hash that you noted at an earlier size.

## Check it by hand

From inside the top folder:

    sha256sum -c manifest-sha256.txt
    sha256sum -c tagmanifest-sha256.txt

The folder is a bag (RFC 8493), so `bagit.py --validate` works as well.

Each line of `data/events.jsonl` is one event, and its bytes without the newline are one leaf of a
Merkle tree (RFC 6962, SHA-256). The leaf hash of the first event here:

    (printf '\\0'; head -1 data/events.jsonl | tr -d '\\n') | sha256sum

Two hashes are joined by SHA-256 over a byte 01, the left one and the right one. The root over all
leaves stands in `data/tree.json`.
"""

_WHOLE = """
## What is here

| file | what it is |
|---|---|
| `data/events.jsonl` | every event of the project, in order, as stored |
| `data/tree.json` | the log's name, size and root hash |
| `data/manifest.json` | every other file with size and digest, and what it is |
| `data/artifacts/` | the latest version of each artifact |
| `data/citations/` | the citations of those versions that have some |
| `data/runs/` | each implementation run: a summary, and the contents that it recorded |
"""

_ONE_RUN = """
## What is here

| file | what it is |
|---|---|
| `data/events.jsonl` | the events of one run, of the artifacts that it names, and of erasures |
| `data/leaves.txt` | the leaf hash of every event of the project, here or withheld |
| `data/tree.json` | the log's name, size and root hash |
| `data/manifest.json` | every other file with size and digest, and what it is |
| `data/artifacts/` | the versions of artifacts that the run names |
| `data/citations/` | the citations of those versions that have some |
| `data/runs/` | the run: a summary, and the contents that it recorded |

The other events are withheld. Their leaf hashes show how many there are and that the root covers
them; that none of them belongs to this run is the ledger's word.
"""

_ORIGINALS = """
Beside them is `data/originals/`: the uploaded files, such as PDFs, of those versions of artifacts
that were written with one. The text of an artifact is what its writer says is in its original.
"""

_CLOSING = """
A content that was erased has no file. `data/manifest.json` lists it under `erased`, with its digest
and the position of the event that records the erasure.

## What this does not show

That everything was recorded, or that what was recorded is true. Who acted and when is the ledger's
word. Changes are detected against what has already left the ledger: an export that nothing outside
vouches for shows that it is consistent, not that it is the only history.
"""


def readme(*, whole_project: bool, originals: bool = False) -> bytes:
    """The bytes of `data/README.md`."""
    here = _WHOLE if whole_project else _ONE_RUN
    return (_OPENING + here + (_ORIGINALS if originals else "") + _CLOSING).encode()
