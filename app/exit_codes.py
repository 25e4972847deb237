"""The exit codes of the commands, and which of them belongs to which error."""

from collections.abc import Mapping

from domain.errors import (
    Conflict,
    Damaged,
    DeedbookError,
    Forbidden,
    Gone,
    Invalid,
    Malformed,
    NotFound,
    StaleVersion,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

OK = 0
UNEXPECTED = 1
USAGE = 2
NOT_VERIFIED = 3
AUTHENTICATION = 4
NOT_FOUND = 5
CONFLICT = 6
SERVER = 7
INTERRUPTED = 130

EXIT_CODES: Mapping[type[DeedbookError], int] = {
    Malformed: USAGE,
    Invalid: USAGE,
    TooLarge: USAGE,
    Damaged: NOT_VERIFIED,
    Unauthenticated: AUTHENTICATION,
    Forbidden: AUTHENTICATION,
    NotFound: NOT_FOUND,
    Gone: NOT_FOUND,
    Conflict: CONFLICT,
    StaleVersion: CONFLICT,
    Unavailable: SERVER,
}


def exit_code_of(error: DeedbookError) -> int:
    """The exit code that belongs to an error."""
    if error.code == "digest-mismatch" and isinstance(error, Damaged):
        return SERVER
    return EXIT_CODES.get(type(error), UNEXPECTED)
