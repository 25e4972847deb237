"""What can go wrong, as a small closed set: each error has a stable code and reads as a sentence.

The code is the contract with callers (RFC 9457 `code`, CLI `--json`); the HTTP status that belongs
to it stands in one table, in `app/http/problems.py`.
"""

from collections.abc import Mapping


class DeedbookError(Exception):
    """The family: something a caller got wrong or can act on.

    Args:
        code: The stable name of the problem, in kebab case.
        detail: One sentence for a person: what is wrong and what to do.
        pointer: Where in the input, as a JSON Pointer (RFC 6901), if anywhere.
        members: Further facts for programs, such as `current_version`.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        pointer: str | None = None,
        members: Mapping[str, int | str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.pointer = pointer
        self.members = dict(members or {})


class Malformed(DeedbookError):
    """The input cannot be read at all: not JSON, too deep, a parameter that does not parse."""


class Invalid(DeedbookError):
    """The input can be read but breaks a rule; nothing was recorded."""


class Unauthenticated(DeedbookError):
    """No token, or one that is unknown, expired or revoked."""


class Forbidden(DeedbookError):
    """The token is good, but not for this project or this scope."""


class NotFound(DeedbookError):
    """The thing named does not exist (or not yet, at the position asked for)."""


class Gone(DeedbookError):
    """The thing existed and was erased or discarded."""


class Conflict(DeedbookError):
    """The thing exists already, or the request contradicts what is recorded."""


class StaleVersion(DeedbookError):
    """A precondition on a version did not hold; `current_version` says what the stream has."""


class TooLarge(DeedbookError):
    """More bytes, events or nesting than the documented limit."""


class Unavailable(DeedbookError):
    """The ledger cannot answer now; repeating later, with the same key, is safe."""


class Damaged(DeedbookError):
    """Stored or given bytes contradict their digest, size or place; names the place."""
