"""NDJSON replay against `COPY … TO STDOUT` of the same lines, over HTTP and in this process."""

import psycopg

from app.ledger import EventInput
from bench.measure import Ratio, compare, rate_of
from bench.place import Place, serve
from bench.served import connection, drain

PROJECT = "bench-replay"
EVENTS = 60_000
BATCH = 1_000
TARGET = ">= 0.4"


def fill(place: Place, project: str, events: int) -> None:
    """A project of small documents; a line has about 400 bytes."""
    place.ledger.create_project(project, title="bench", actor="bench")
    for first in range(0, events, BATCH):
        place.ledger.append(
            project,
            [
                EventInput(
                    stream=f"artifact/DOCUMENT/d{number % 5_000}",
                    type="ArtifactWritten",
                    data={"media_type": "text/markdown", "title": f"Document {number}"},
                    content=b"%d" % (number % 1_000),
                )
                for number in range(first, min(first + BATCH, events))
            ],
            actor="bench",
        )


def measure(place: Place, rounds: int, *, quick: bool = False) -> list[Ratio]:
    """Every line about replay."""
    events = EVENTS // 4 if quick else EVENTS
    fill(place, PROJECT, events)
    upto = events + 1

    def copy() -> float:
        def work() -> None:
            with psycopg.connect(place.owner_url) as opened, opened.cursor() as cursor:
                statement = (
                    "COPY (SELECT line FROM event WHERE project_id = %s ORDER BY position) "
                    "TO STDOUT (FORMAT binary)"
                )
                with cursor.copy(statement, (PROJECT,)) as lines:
                    for _ in lines:
                        pass

        return rate_of(upto, work)

    def in_process() -> float:
        return rate_of(
            upto, lambda: sum(len(page) for page in place.ledger.log.lines(PROJECT, 0, upto))
        )

    with serve(place) as service, connection(service) as opened:

        def over_http() -> float:
            path = f"/v1/projects/{PROJECT}/events"
            return rate_of(upto, lambda: drain(opened, service, path, "application/x-ndjson"))

        return [
            compare("replay over HTTP, against COPY binary", over_http, copy, rounds=rounds, target=TARGET),
            compare("replay in process, against COPY binary", in_process, copy, rounds=rounds),
        ]  # fmt: skip
