"""Health and readiness, for whoever watches the process."""

import msgspec
from starlette.responses import Response

from app.http.answers import answer
from app.http.call import Call, NoQuery
from app.http.endpoint import Endpoints
from app.http.gate import OPEN
from app.version import VERSION
from domain.errors import Unavailable

endpoints = Endpoints("health")


class Health(msgspec.Struct, frozen=True):
    """How the process is."""

    status: str


class Readiness(msgspec.Struct, frozen=True):
    """That the process can do its work; `search_degraded` says why searches find less than they could.

    That does not make it unready: the log and what is made of it are whole without search.
    """

    status: str
    search_degraded: tuple[str, ...]


class Version(msgspec.Struct, frozen=True):
    """Which program answers."""

    name: str
    version: str


@endpoints.add("GET", "/healthz", scope=OPEN, answers={200: Health})
def healthz(_call: Call[NoQuery, None]) -> Response:
    """Say that the process lives."""
    return answer(Health("alive"))


@endpoints.add(
    "GET",
    "/readyz",
    scope=OPEN,
    answers={200: Readiness},
    problems=("shutting-down", "database-unavailable", "migrations-pending"),
)
def readyz(call: Call[NoQuery, None]) -> Response:
    """Say whether the process can do its work now."""
    if call.ledger.signal.stopping:
        raise Unavailable("shutting-down", "The ledger is shutting down.")
    waiting = call.ledger.schema.pending()
    if waiting:
        raise Unavailable(
            "migrations-pending", f"Not applied yet: {', '.join(waiting)}; run deedbook migrate."
        )
    return answer(Readiness("ready", tuple(call.ledger.search.degraded())))


@endpoints.add("GET", "/version", scope=OPEN, answers={200: Version})
def version(_call: Call[NoQuery, None]) -> Response:
    """Say which version of the program answers."""
    return answer(Version("deedbook", VERSION))
