"""The seal's statement: which ZIP is which project's log at which position (in-toto Statement v1).

It holds no time and nothing of whoever asks, so that the same export and head commit give the same bytes.
"""

import re

import msgspec

from domain import canonical
from domain.digest import format_digest, parse_digest
from domain.errors import Damaged, DeedbookError, Invalid

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
SEAL_TYPE = "https://deedbook.example/export-seal/v1"
FORMAT_VERSION = 1
SEAL_LOG = ""
"""The seal log's place among the logs of projects: no project has this slug."""
MAX_STATEMENT_BYTES = 1_000_000

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REPOSITORY = re.compile(r"(?:https?|ssh|git)://[!-~]{1,500}")


class Head(msgspec.Struct, frozen=True):
    """The commit for which an export was sealed, such as a pull request's head.

    Attributes:
        commit: Its id: 40 lower-case hex digits, or 64.
        repository: Where it is: a URL such as https://github.com/deedbook/deedbook.
    """

    commit: str
    repository: str


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    """What a seal says.

    Attributes:
        file_name: Of the ZIP.
        zip_sha256: Of the ZIP, 32 bytes.
        manifest_sha256: Of its `data/manifest.json`.
        origin: Of the project's log.
        position: The last that the export covers.
        root: Of the log there.
        scope: `project`, or what part of it.
        head: The commit that it was sealed for, if any.
    """

    file_name: str
    zip_sha256: bytes
    manifest_sha256: bytes
    origin: str
    position: int
    root: bytes
    scope: str
    head: Head | None = None


def check_head(head: Head) -> Head:
    """A commit that a seal can name.

    Raises:
        Invalid: `validation-failed`.
    """
    if _COMMIT.fullmatch(head.commit) is None:
        raise Invalid(
            "validation-failed",
            "A commit is its whole id: 40 or 64 lower-case hex digits.",
            pointer="/head/commit",
        )
    if _REPOSITORY.fullmatch(head.repository) is None:
        raise Invalid(
            "validation-failed",
            "A repository is a URL like https://github.com/deedbook/deedbook.",
            pointer="/head/repository",
        )
    return head


def encode_statement(seal: Seal) -> bytes:
    """The Statement, canonical."""
    subject = [_Subject({"sha256": seal.zip_sha256.hex()}, seal.file_name)]
    if seal.head is not None:
        name = f"git+{seal.head.repository}"
        subject.append(_Subject({"gitCommit": seal.head.commit}, name))
    predicate = _Predicate(
        format_version=FORMAT_VERSION,
        manifest=format_digest(seal.manifest_sha256),
        origin=seal.origin,
        position=seal.position,
        root=format_digest(seal.root),
        scope=seal.scope,
    )
    return canonical.write(_Statement(STATEMENT_TYPE, predicate, SEAL_TYPE, tuple(subject)))


def parse_statement(raw: bytes) -> Seal:
    """What a Statement says, strictly: only what `encode_statement` gives is taken.

    Raises:
        Damaged: `statement-malformed`.
    """
    try:
        statement = msgspec.json.decode(raw, type=_Statement)
        subjects, predicate = statement.subject, statement.predicate
        head = None
        if len(subjects) > 1:
            name = subjects[1].name.removeprefix("git+")
            head = check_head(Head(subjects[1].digest["gitCommit"], name))
        seal = Seal(
            file_name=subjects[0].name,
            zip_sha256=parse_digest(f"sha256:{subjects[0].digest['sha256']}"),
            manifest_sha256=parse_digest(predicate.manifest),
            origin=predicate.origin,
            position=predicate.position,
            root=parse_digest(predicate.root),
            scope=predicate.scope,
            head=head,
        )
        same = encode_statement(seal) == raw
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, LookupError) as error:
        raise _bad(str(error)[:200]) from None
    except DeedbookError as error:
        raise _bad(error.detail) from None
    if not same:
        raise _bad("it is not as a seal is written here")
    return seal


class _Subject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    digest: dict[str, str]
    name: str


class _Predicate(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"
):
    format_version: int
    manifest: str
    origin: str
    position: int
    root: str
    scope: str


class _Statement(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    rename={"type": "_type", "predicate_type": "predicateType"},
):
    type: str
    predicate: _Predicate
    predicate_type: str
    subject: tuple[_Subject, ...]


def _bad(why: str) -> Damaged:
    return Damaged("statement-malformed", f"This is not the statement of a seal: {why}.")
