"""An error as commands print it: a sentence for people, a problem for programs."""

from app.printable import printable
from domain.errors import DeedbookError


def sentence(error: DeedbookError) -> str:
    """What went wrong, its code and its place."""
    place = f" at {error.pointer}" if error.pointer else ""
    return f"{printable(error.detail)} ({printable(error.code + place)})"


def problem(error: DeedbookError) -> dict[str, object]:
    """The same as an object (RFC 9457)."""
    return {
        "type": f"urn:deedbook:error:{error.code}",
        "detail": error.detail,
        "code": error.code,
        **({"errors": [{"pointer": error.pointer}]} if error.pointer else {}),
        **error.members,
    }


def other_problem(code: str, detail: str) -> dict[str, object]:
    """A problem that is no error of ours: `usage` or `unexpected`."""
    return {"type": f"urn:deedbook:error:{code}", "detail": detail, "code": code}
