"""In-toto Statements (v1) by others: what they are about, and what kind of claim they make."""

import re

import msgspec

from domain import canonical
from domain.errors import Invalid, Malformed
from domain.events import AttestedSubject

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
MAX_SUBJECTS = 10_000
MAX_DIGESTS = 16
MAX_NAME_CHARACTERS = 1_024
MAX_TYPE_CHARACTERS = 512
TYPE = re.compile(rf"[A-Za-z][A-Za-z0-9+.-]*:[!-~]{{1,{MAX_TYPE_CHARACTERS}}}")
_ALGORITHM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,63}")
_DIGEST = re.compile(r"[!-~]{1,256}")
_HEX = {
    "sha1": re.compile(r"[0-9a-f]{40}"),
    "sha256": re.compile(r"[0-9a-f]{64}"),
    "sha384": re.compile(r"[0-9a-f]{96}"),
    "sha512": re.compile(r"[0-9a-f]{128}"),
    "gitCommit": re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?"),
}


class Statement(msgspec.Struct, frozen=True):
    """A claim about subjects; what is claimed stays in the bytes."""

    predicate_type: str
    subjects: tuple[AttestedSubject, ...]


def read_statement(raw: bytes, place: str = "") -> Statement:
    """The statement in a payload.

    Args:
        raw: As it was signed.
        place: Of the payload, as a JSON Pointer.

    Raises:
        Invalid: `attestation-malformed` with the place of the payload, or `nul-character`.
    """
    try:
        given = msgspec.convert(canonical.read_foreign(raw), _Statement)
    except Malformed as error:
        raise _bad(error.detail.rstrip("."), place) from None
    except msgspec.ValidationError as error:
        raise _bad(str(error)[:200], place) from None
    if given.type != STATEMENT_TYPE:
        raise _bad(f"its payload's _type is not {STATEMENT_TYPE}", place)
    if TYPE.fullmatch(given.predicate_type) is None:
        raise _bad("its predicateType is no URI", place)
    if not 1 <= len(given.subject) <= MAX_SUBJECTS:
        raise _bad(f"a statement has 1 to {MAX_SUBJECTS} subjects", place)
    return Statement(given.predicate_type, tuple(_subject(one, place) for one in given.subject))


def _subject(given: "_Subject", place: str) -> AttestedSubject:
    name = given.name or ""
    if len(name) > MAX_NAME_CHARACTERS:
        raise _bad(f"a subject's name has more than {MAX_NAME_CHARACTERS} characters", place)
    canonical.check(name, place)
    if not 1 <= len(given.digest) <= MAX_DIGESTS:
        raise _bad(f"a subject has 1 to {MAX_DIGESTS} digests", place)
    for algorithm, digest in given.digest.items():
        grammar = _HEX.get(algorithm, _DIGEST)
        if _ALGORITHM.fullmatch(algorithm) is None or grammar.fullmatch(digest) is None:
            raise _bad("a subject's digest is not written as its algorithm has it", place)
    digests = tuple(sorted(f"{algorithm}:{digest}" for algorithm, digest in given.digest.items()))
    return AttestedSubject(digests=digests, name=name)


def _bad(why: str, place: str) -> Invalid:
    return Invalid(
        "attestation-malformed", f"This is no attestation: {why}.", pointer=place or None
    )


class _Subject(msgspec.Struct, frozen=True):
    digest: dict[str, str]
    name: str | None = None


class _Statement(
    msgspec.Struct, frozen=True, rename={"type": "_type", "predicate_type": "predicateType"}
):
    type: str
    subject: tuple[_Subject, ...]
    predicate_type: str
    predicate: dict[str, object] | None = None
